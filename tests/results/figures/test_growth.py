"""The figure of growth: a panel for each variable, fitted powers, slopes as the table has them."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from equitune.results import tables
from equitune.results.figures.growth import COLOURS, cost_growth

SIZES = {"|G|": (1, 2, 4), "examples": (10, 100), "cores": (1, 2)}


def row(benchmark, variable, size, what, **numbers):
    experiment, detail = numbers.pop("experiment", "scan"), numbers.pop("detail", "batch 2")
    keys = benchmark, experiment, "LSTM", f"{variable} {size}, {detail}", 2, what, "the other"
    filled = {"ratio": 1.0, "low": None, "high": None, "n": 5, "unit": "seconds"} | numbers
    blank = dict.fromkeys(tables.COST_COLUMNS)
    return blank | dict(zip(tables.COST_KEYS, keys, strict=True)) | filled


def line(variable, what, slope, unit="seconds", **more):
    """Rows whose values are an exact power of the size, and the row of its slope."""
    benchmark = "growth_memory" if unit == "bytes" else "growth"
    ends = {} if unit == "bytes" else {"low": slope - 0.1, "high": slope + 0.12}
    rows = [
        row(benchmark, variable, size, what, value=3e6 * size**slope, unit=unit, **more)
        for size in SIZES[variable]
    ]
    span = f"{SIZES[variable][0]} to {SIZES[variable][-1]}"
    return [*rows, row("growth_slope", variable, span, what, ratio=slope, **ends, **more)]


@pytest.fixture
def cost():
    return pd.DataFrame(
        [
            *line("cores", "training steps, threads", 0.4, "steps/second"),
            *line("|G|", "training step", 0.9),
            *line("|G|", "training step, peak memory", 0.5, "bytes"),
            *line("examples", "evaluate", 1.1),
            *line("examples", "evaluate", 0.8, experiment="image"),
            row("growth_hundredfold", "examples", 10000, "evaluate", ratio=158.5),
            row("order", "examples", 4, "forward pass"),
        ]
    )


def seen(figure):
    return [axis for axis in figure.axes if axis.get_visible()]


def test_every_variable_has_a_panel_and_memory_one_below(cost):
    figure, shown = cost_growth(cost)
    panels = [(axis.get_xlabel(), axis.get_ylabel()) for axis in seen(figure)]
    assert panels == [
        ("order of the group, |G|", "seconds of the processor"),
        ("examples", "seconds of the processor"),
        ("cores", "steps a second of the clock"),
        ("order of the group, |G|", "peak memory, MB"),
    ]
    assert {axis.get_xscale() for axis in seen(figure)} == {"log"}
    assert set(shown["benchmark"]) == {"growth", "growth_memory", "growth_slope"}


def test_slopes_stand_in_the_panel_with_their_intervals(cost):
    times, examples, _, memory = seen(cost_growth(cost)[0])
    texts = [
        [text.get_text() for text in axis.get_legend().get_texts()] for axis in (times, memory)
    ]
    assert texts == [
        ["training step: 0.90 (0.80–1.02)", "slope 1: in proportion"],
        ["training step: 0.50", "slope 1: in proportion"],
    ]
    assert [text.get_text() for text in examples.get_legend().get_texts()][:2] == [
        "SCAN, evaluate: 1.10 (1.00–1.22)",
        "images, evaluate: 0.80 (0.70–0.92)",
    ]


def test_lines_have_the_slope_of_the_table_and_go_through_the_points(cost):
    _, examples, *_, memory = seen(cost_growth(cost)[0])
    blue, orange = (COLOURS[name].lower() for name in ("scan", "image"))
    for colour, slope in ((blue, 1.1), (orange, 0.8)):
        points, power = (each for each in examples.lines if to_hex(each.get_color()) == colour)
        np.testing.assert_allclose(points.get_ydata(), [3e6 * 10**slope, 3e6 * 100**slope])
        np.testing.assert_allclose(power.get_ydata(), points.get_ydata())
        np.testing.assert_allclose(power.get_xdata(), (10, 100))
    dashed = next(each for each in examples.lines if each.get_linestyle() == "--")
    assert np.ptp(np.log(dashed.get_ydata())) == pytest.approx(np.log(10))
    np.testing.assert_allclose(memory.lines[0].get_ydata(), [3 * n**0.5 for n in (1, 2, 4)])


def test_the_legend_has_room_above_the_lines(cost):
    figure, _ = cost_growth(cost)
    figure.canvas.draw()
    for axis in seen(figure):
        top = max(np.max(line.get_ydata()) for line in axis.lines)
        y = axis.transData.transform((1, top))[1]
        assert y < axis.get_legend().get_window_extent().y0


def test_a_table_without_measurements_is_one_line(cost):
    for table in (cost.assign(ratio=float("nan")), cost[:0]):
        with pytest.raises(ValueError, match="no measurement of growth or growth_memory") as caught:
            cost_growth(table)
        assert "\n" not in str(caught.value)
