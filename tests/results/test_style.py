"""How a figure is saved: the same bytes each time, in files whose names are taken as they are."""

import pandas as pd
from matplotlib.figure import Figure

from equitune.results import style


def figure():
    """A figure with all that could differ from drawing to drawing: hatches, clips, text."""
    with style.look():
        drawn = Figure(figsize=(3, 2))
        axis = drawn.subplots()
        axis.bar([0, 1], [0.5, 1.0], hatch="//", label="λ-equi-tuned")
        axis.plot([0, 1], [0.2, 1.4], "o-", clip_on=True)
        axis.set_ylim(0, 1.2)
        axis.legend()
    return drawn


def test_a_second_drawing_has_the_same_bytes(tmp_path):
    shown, written = pd.DataFrame({"mean": [0.1 + 0.2]}), []
    for place in ("first", "second"):
        style.save(figure(), tmp_path / place / "orbit_timm:net.in21k", shown)
        written.append({f.name: f.read_bytes() for f in (tmp_path / place).iterdir()})
    assert written[0] == written[1]
    stem = "orbit_timm:net.in21k"
    assert written[0].keys() == {f"{stem}.svg", f"{stem}.pdf", f"{stem}.csv"}
    assert b"<svg" in written[0][f"{stem}.svg"]
    assert written[0][f"{stem}.pdf"].startswith(b"%PDF")
    assert written[0][f"{stem}.csv"] == b"mean\n0.3\n"
