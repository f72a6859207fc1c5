"""The figures of what equi-tuning gains: against fine-tuning, and against the forecast."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from equitune.methods import METHODS
from equitune.results.figures import parts
from equitune.results.figures.image import ARCHITECTURES
from equitune.results.style import look

GREY = "#666666"
Z = 1.96  # of a 95 % interval, in standard errors
# what was measured: column, its error, whether points are filled, what it is
MEASURED = (
    ("averaged_gain", "averaged_error", True, "filled: same weights, averaged over the group"),
    ("tuned_gain", "tuned_error", False, "open: equi-tuned instead of fine-tuned"),
)
CELL = ["dataset", "architecture", "group"]


def image_gains(gains: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """Draw the gain in accuracy on moved images with its interval, one panel per cell.

    Args:
        gains: rows of results/tables/image_gains.csv; of none an empty panel says so.

    Returns:
        The figure, and the numbers it shows.

    Raises:
        ValueError: a method is not known.
    """
    shown = gains[gains["measure"] == "rotated_accuracy"].drop(columns="measure")
    for column in ("method", "against"):
        if len(shown):
            parts.check(shown.assign(method=shown[column]))
    cells = list(shown.groupby(CELL, sort=True))
    against = [name for name in METHODS if name in set(shown["against"])]
    with look():
        figure = Figure(figsize=(6.5, 0.6 + sum(_height(rows) for _, rows in cells) or 1.5))
        if not cells:
            _empty(figure, "no equi-tuned model beside a fine-tuned one")
            return figure, shown
        heights = [_height(rows) for _, rows in cells]
        axes = figure.subplots(len(cells), 1, squeeze=False, sharex=True, height_ratios=heights)
        for (names, rows), axis in zip(cells, axes[:, 0], strict=True):
            _panel(axis, rows, against)
            counts = f"n = {rows['images'].max()} images, {parts.span(rows['seeds'])} seeds"
            axis.set_title(f"{_title(names)} ({counts})")
        axes[-1, 0].set_xlabel("points of accuracy on moved images more than that of")
        handles = {
            label: handle
            for axis in axes[:, 0]
            for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)
        }
        parts.explain(figure, list(handles.values()), "against", list(handles))
        figure.tight_layout()
    return figure, shown


def image_forecast(forecasts: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """Draw measured gains in the Brier score against those foretold without labels.

    One point per seed, with 95 % intervals; on the dashed line the two are equal.

    Args:
        forecasts: rows of results/tables/image_forecast.csv.

    Returns:
        The figure, and the numbers it shows.

    Raises:
        ValueError: no rows.
    """
    if forecasts.empty:
        raise ValueError("the table has no rows, so there is nothing to draw: run snakemake")
    cells = list(forecasts.groupby(CELL, sort=True))
    colours = list(dict.fromkeys(method.colour for method in METHODS.values()))[1:]
    with look():
        figure = Figure(figsize=(4.8, 4.2))
        axis = figure.subplots()
        for place, (names, rows) in enumerate(cells):
            # a marker a cell too, to be told in grey
            colour, marker = (
                colours[place % len(colours)],
                parts.MARKERS[place % len(parts.MARKERS)],
            )
            axis.plot([], [], marker, color=colour, label=_title(names))
            for gain, error, filled, _ in MEASURED:
                axis.errorbar(
                    rows["forecast"],
                    rows[gain],
                    xerr=Z * rows["forecast_error"],
                    yerr=Z * rows[error],
                    fmt=marker,
                    color=colour,
                    mfc=colour if filled else "white",
                    ms=5,
                    lw=0.8,
                )
        for *_, filled, label in MEASURED:
            axis.plot([], [], "o", color=GREY, mfc=GREY if filled else "white", label=label)
        ends = (
            min(axis.get_xlim()[0], axis.get_ylim()[0], 0),
            max(axis.get_xlim()[1], axis.get_ylim()[1]),
        )
        axis.plot(ends, ends, "--", color=GREY, lw=0.8, zorder=0, label="as foretold")
        axis.set(xlim=ends, ylim=ends)
        for each in (axis.xaxis, axis.yaxis):
            each.set_major_locator(MaxNLocator(5))  # so that their numbers keep apart
        axis.grid(axis="x", visible=True)
        axis.set_xlabel("foretold before training, without labels:\nBrier score saved")
        axis.set_ylabel("measured on moved test images:\nBrier score saved")
        parts.explain(figure, axis.get_legend_handles_labels()[0], "this run")
        figure.tight_layout()
    return figure, forecasts


def _panel(axis: Axes, rows: pd.DataFrame, against: list[str]) -> None:
    """Draw one cell: one line per method, on it an interval for each method it is compared with."""
    methods = [name for name in METHODS if name in set(rows["method"])]
    for place, other in enumerate(against):
        here = rows[rows["against"] == other]
        ys = here["method"].map(methods.index) + 0.22 * (place - (len(against) - 1) / 2)
        name, colour = METHODS[other].label, METHODS[other].colour
        axis.hlines(ys, 100 * here["low"], 100 * here["high"], color=colour, lw=1.5)
        axis.plot(100 * here["gain"], ys, "o", color=colour, ms=5, label=name)
        for y in ys:
            parts.at_the_edge(axis, [y], [name])
    axis.axvline(0, color=GREY, lw=0.8, ls="--")
    axis.set_ylim(len(methods) - 0.5, -0.5)
    parts.sideways(axis, range(len(methods)), [METHODS[name].label for name in methods])


def _height(rows: pd.DataFrame) -> float:
    """Return the height of a cell's panel in inches."""
    return 0.7 + 0.45 * rows["method"].nunique()


def _title(names: Sequence[object]) -> str:
    """Return what a cell is called."""
    dataset, architecture, group = map(str, names)
    model = ARCHITECTURES.get(architecture, architecture)
    return f"{dataset.replace('_', ' ')}, {model}, {group}"


def _empty(figure: Figure, text: str) -> None:
    """Say why there is nothing to draw."""
    axis = figure.subplots()
    axis.axis("off")
    axis.text(0.5, 0.5, text, ha="center", va="center")
