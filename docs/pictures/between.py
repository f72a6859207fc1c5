"""Draws docs/pictures/between.svg and fills the table of docs/actions.md, from between.csv.

How far a model averaged over `Rotate(n)` is from following turns that are not samples. Run it:
python docs/pictures/between.py, with --measure to measure anew (about two minutes).
"""

import re
import sys
from pathlib import Path

import pandas as pd
import torch
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator, PercentFormatter
from torch import nn
from torch.nn import functional as F

from equitune import EquiTuned, actions
from equitune.methods import METHODS
from equitune.results.style import look

TABLE = Path(__file__).with_suffix(".csv")
PICTURE, PAGE = TABLE.with_suffix(".svg"), TABLE.parents[1] / "actions.md"
SAMPLES, PIXELS, NETWORKS = (1, 4, 8, 16, 32), (32, 64), range(5)
INTERPOLATIONS = ("bilinear", "bicubic")
ANGLES = [3.0 + 17.0 * i for i in range(21)]  # degrees; no sample of any n
COLUMNS = ("pixels", "interpolation", "n", "network", "between", "samples")


def network(seed: int) -> nn.Module:
    """Return a network with random weights, which knows rows from columns."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 16, 5, padding=2),
        nn.Tanh(),
        nn.Conv2d(16, 16, 5, stride=2),
        nn.Tanh(),
        nn.AdaptiveAvgPool2d(4),
        nn.Flatten(),
        nn.Linear(256, 10),
    )


def images(pixels: int, seed: int) -> torch.Tensor:
    """Return smooth random images, (4, 1, pixels, pixels)."""
    torch.manual_seed(seed)
    coarse = torch.randn(4, 1, 8, 8)
    return F.interpolate(coarse, (pixels, pixels), mode="bicubic", align_corners=False)


@torch.no_grad()
def errors(n: int, interpolation: str, pixels: int, seed: int) -> tuple[float, float]:
    """Return max |f(gx) - f(x)| / max |f(x)| over angles between the samples, and over samples."""
    turns = actions.Rotate(n, interpolation)
    model, x = EquiTuned(network(seed), turns, actions.Trivial(turns.group)), images(pixels, seed)
    y = model(x)

    def worst(angles: list[float]) -> float:
        off = max(float((model(turns.turn(x, angle)) - y).abs().max()) for angle in angles)
        return off / float(y.abs().max())

    return worst(ANGLES), worst([360.0 * g / n for g in turns.group.elements])


def measure() -> pd.DataFrame:
    """Return the errors of every network, by pixels, interpolation and number of samples."""
    rows = [
        (pixels, interpolation, n, seed, *errors(n, interpolation, pixels, seed))
        for pixels in PIXELS
        for interpolation in INTERPOLATIONS
        for n in SAMPLES
        for seed in NETWORKS
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def medians(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the median over networks, for each setting and n."""
    by = rows.groupby(["pixels", "interpolation", "n"], sort=False)
    return by[["between", "samples"]].median().reset_index()


def fill(page: str, rows: pd.DataFrame) -> str:
    """Return the page with what stands between <!-- between --> and its end written anew."""
    head = ["pixels, interpolation", *(f"n = {n}" for n in SAMPLES), f"samples of {SAMPLES[-1]}"]
    lines = [head, ["---"] * len(head)]
    for (pixels, kind), part in medians(rows).groupby(["pixels", "interpolation"], sort=False):
        values = [*part["between"], part["samples"].iloc[-1]]
        lines.append([f"{pixels}, {kind}", *(f"{value:.2g}" for value in values)])
    text = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return re.sub(
        r"(<!-- between -->\n).*?(<!-- /between -->)",
        lambda match: f"{match[1]}{text}\n{match[2]}",
        page,
        flags=re.DOTALL,
    )


def draw(rows: pd.DataFrame) -> Figure:
    """Draw the error between the samples against their number."""
    colours = (METHODS["equitune"].colour, METHODS["finetune"].colour)
    with look():
        figure = Figure(figsize=(5, 3.2))
        axis = figure.subplots()
        for (pixels, kind), part in medians(rows).groupby(["pixels", "interpolation"], sort=False):
            colour, line = colours[PIXELS.index(pixels)], "-o" if kind == "bilinear" else "--s"
            axis.plot(
                part["n"],
                part["between"],
                line,
                color=colour,
                label=f"{pixels} px, {kind}",
                markersize=4,
            )
        axis.set_xscale("log", base=2)
        axis.set_yscale("log")
        axis.set_xticks(SAMPLES, [str(n) for n in SAMPLES])
        axis.xaxis.set_minor_locator(NullLocator())
        axis.yaxis.set_major_formatter(PercentFormatter(1))
        axis.set_xlabel("number of rotations n that are averaged")
        axis.set_ylabel("error between them")
        axis.legend()
    return figure


def read() -> pd.DataFrame:
    """Return the rows that `measure` gave."""
    return pd.read_csv(TABLE)


def save(rows: pd.DataFrame) -> None:
    """Draw the picture."""
    with look():
        draw(rows).savefig(PICTURE, metadata={"Date": None, "Creator": None}, bbox_inches="tight")


def main() -> None:
    """Measure if that is asked, draw, and fill the page."""
    if "--measure" in sys.argv:
        measure().to_csv(TABLE, index=False, float_format="%.6g")
    save(rows := read())
    PAGE.write_text(fill(PAGE.read_text(encoding="utf-8"), rows), encoding="utf-8")


if __name__ == "__main__":
    main()
