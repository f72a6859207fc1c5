"""The figure of how time and memory grow with what a run is made larger by."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from equitune.results.figures import parts
from equitune.results.figures.cost import EXPERIMENTS, GREY, rows_of
from equitune.results.style import look

VARIABLES = {  # what grows, in the order of drawing, with the label of its axis
    "|G|": "order of the group, |G|",
    "examples": "examples",
    "vocabulary": "ids in the vocabulary",
    "image side": "side of the images, pixels",
    "parameters": "parameters of the model",
    "cores": "cores",
}
QUANTITIES = {  # by unit: what is drawn, how large its unit is
    "seconds": ("seconds of the processor", 1.0),
    "bytes": ("peak memory, MB", 1e6),
    "steps/second": ("steps a second of the clock", 1.0),
}
MEMORY = ", peak memory"  # how the names of what is held end
# from dark to light, so that they differ in grey too
COLOURS = {"scan": "#1B4F72", "image": "#E67E22", "language": "#5DADE2"}
FEW, NARROW = 7, 300  # sizes that are all named; the range where 2 and 5 stand beside 1
ACROSS = 3  # panels in a row
LINE_HEIGHT = 0.05  # of a panel, for each line of its legend
SETTING = r"(?P<variable>\D+) (?P<size>\d+)(?: to (?P<largest>\d+))?, (?P<detail>.*)"
LINE = ["experiment", "model", "numerator", "detail"]  # what tells the lines of a panel apart


def cost_growth(cost: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """Draw time and memory against size, a panel for each of what grows, with fitted powers.

    Args:
        cost: rows of results/tables/cost.csv; those of the benchmarks "growth", "growth_memory"
            and "growth_slope" are drawn.

    Returns:
        The figure, and the rows it shows.

    Raises:
        ValueError: there are none.
    """
    shown = rows_of(cost, ["growth", "growth_memory", "growth_slope"])
    split = shown["setting"].str.extract(f"^{SETTING}$")
    rows = shown.assign(**split).astype({"size": float})
    slopes = parts.where(rows, benchmark="growth_slope")
    points = rows[rows["benchmark"] != "growth_slope"].merge(
        slopes[["variable", *LINE, "ratio", "low", "high"]],
        on=["variable", *LINE],
        suffixes=("", "_slope"),
    )
    found = [name for name in VARIABLES if name in set(points["variable"])]
    # time above memory, a few variables in a row
    panels = [
        [(name, benchmark) for name in found[first : first + ACROSS]]
        for first in range(0, len(found), ACROSS)
        for benchmark in ("growth", "growth_memory")
    ]
    panels = [row for row in panels if any(len(_of(points, *panel)) for panel in row)]
    with look():
        across = max(map(len, panels))
        figure = Figure(figsize=(3.7 * across, 3.5 * len(panels)))
        grid = figure.subplots(len(panels), across, squeeze=False)
        for axes, row in zip(grid, panels, strict=True):
            for axis in axes[len(row) :]:
                axis.set_visible(False)
            for axis, (name, benchmark) in zip(axes, row, strict=False):
                here = _of(points, name, benchmark)
                axis.set_visible(len(here) > 0)
                if len(here):
                    _panel(axis, here)
        figure.tight_layout()
    return figure, shown


def _of(points: pd.DataFrame, variable: str, benchmark: str) -> pd.DataFrame:
    """Return the points of a panel."""
    return parts.where(points, variable=variable, benchmark=benchmark)


def _panel(axis: Axes, points: pd.DataFrame) -> None:
    """Draw the lines of one variable, each with its slope, and one of slope 1."""
    label, scale = QUANTITIES[points["unit"].iloc[0]]
    points = points.assign(value=points["value"] / scale)
    several = points["experiment"].nunique() > 1
    handles = []
    for place, (_, line) in enumerate(points.groupby(LINE, sort=False)):
        row = line.iloc[0]
        name = row["numerator"].removesuffix(MEMORY)
        name = f"{EXPERIMENTS[row['experiment']]}, {name}" if several else name
        style: dict[str, Any] = {
            "color": COLOURS[row["experiment"]],
            "mfc": "white",
            "ms": 4,
            "lw": 1.2,
        }
        style["marker"] = parts.MARKERS[place % len(parts.MARKERS)]
        axis.plot(line["size"], line["value"], **style | {"ls": ""})
        _power(axis, line, row["ratio_slope"], color=style["color"], lw=style["lw"])
        handles.append(Line2D([], [], **style, label=f"{name}: {_said(row)}"))
    _power(axis, points, 1.0, color=GREY, lw=1.0, ls="--")
    handles.append(Line2D([], [], color=GREY, lw=1.0, ls="--", label="slope 1: in proportion"))
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xlabel(VARIABLES[points["variable"].iloc[0]])
    axis.set_ylabel(label)
    low, high = axis.get_ylim()
    share = 1 - LINE_HEIGHT * (len(handles) + 0.5)  # what the legend leaves
    axis.set_ylim(low, low * (high / low) ** (1 / share))
    axis.legend(handles=handles, loc="upper left", fontsize=7, handlelength=1.5, borderaxespad=0)
    _ticks(axis, sorted(set(points["size"])))


def _ticks(axis: Axes, sizes: Sequence[float]) -> None:
    """Write plain numbers at both axes; few sizes stand below the axis themselves."""
    low, high = axis.get_ylim()
    between = (1.0, 2.0, 5.0) if high < NARROW * low else (1.0,)
    for side, steps in ((axis.xaxis, (1.0,)), (axis.yaxis, between)):
        side.set_major_locator(LogLocator(subs=steps))
        side.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.15g}".replace(",", " ")))
        side.set_minor_locator(NullLocator())
    if len(sizes) <= FEW:
        axis.set_xticks(sizes)


def _power(axis: Axes, points: pd.DataFrame, slope: float, **style: Any) -> None:
    """Draw a power of the size through the middle of points, where the least squares' line goes."""
    size = np.log(points["size"])
    ends = np.array([size.min(), size.max()])
    middle = np.log(points["value"]).mean() - slope * size.mean()
    axis.plot(np.exp(ends), np.exp(middle + slope * ends), **style)


def _said(row: "pd.Series[Any]") -> str:
    """Return a slope, with its interval if it has one."""
    slope, *ends = (row[f"{name}_slope"] for name in ("ratio", "low", "high"))
    said = f" ({ends[0]:.2f}–{ends[1]:.2f})" if pd.notna(ends).all() else ""
    return f"{slope:.2f}{said}"
