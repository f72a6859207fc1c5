"""The figure of products of groups: time, error and distance to the model, side by side."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from equitune.methods import METHODS
from equitune.results.figures import parts
from equitune.results.style import PUBLISHED, look

FORMS = {  # as the table has them, with their colours
    "all copies": METHODS["equitune"].colour,
    "additive": PUBLISHED,
    "frame": METHODS["frame"].colour,
}
PLAIN = METHODS["pretrained"].colour
CELL = ("model", "setting", "order")
LEAST = 1e-18  # where an error of 0 is drawn
PANELS = {  # by benchmark: what is drawn, and what stands below
    "product_time": ("ratio", "time over the plain model's"),
    "product_error": ("value", "largest relative error"),
    "product_distance": ("ratio", "distance to M, relative"),
}


def cost_products(cost: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """Draw the ways to equivariance under a product of groups.

    Args:
        cost: rows of results/tables/cost.csv; those of `PANELS` are drawn.

    Returns:
        The figure, and the rows it shows.

    Raises:
        ValueError: there are none.
    """
    shown = cost[cost["benchmark"].isin(list(PANELS))]
    if shown.empty:
        raise ValueError(
            "the table has no measurement of products of groups, so there is nothing to draw: run "
            "snakemake benchmarks"
        )
    cells = list(dict.fromkeys(zip(*(shown[key] for key in CELL), strict=True)))
    places = {
        (cell, form): -float(row)
        for row, (cell, form) in enumerate((c, f) for c in cells for f in FORMS)
    }
    with look():
        figure = Figure(figsize=(10.0, 1.2 + 0.24 * len(places)))
        grid = figure.subplots(1, len(PANELS), sharey=True)
        for axis, (benchmark, (column, label)) in zip(grid, PANELS.items(), strict=True):
            rows = parts.where(shown, benchmark=benchmark)
            _points(axis, rows, places, column)
            for edge in range(len(FORMS), len(places), len(FORMS)):
                axis.axhline(0.5 - edge, color="#bbbbbb", lw=0.6)
            axis.set_ylim(0.5 - len(places), 0.5)
            axis.set_xlabel(label)
        names = [
            f"{model}, {setting.partition(',')[0]}, |G| = {order}: {form}"
            if form == next(iter(FORMS))
            else form
            for (model, setting, order), form in places
        ]
        parts.sideways(grid[0], places.values(), names)
        for axis in grid[1:]:
            axis.tick_params(axis="y", labelleft=False)
        times = parts.where(shown, benchmark="product_time")
        grid[0].set_title(parts.rounds(times["n"]))
        grid[0].set_xlim(left=0)
        grid[1].set_xscale("log")
        grid[1].set_xlim(LEAST / 10, 10)
        grid[2].set_xlim(left=0)
        figure.tight_layout()
    return figure, shown


def _points(
    axis: Axes,
    rows: pd.DataFrame,
    places: Mapping[tuple[tuple[Any, ...], str], float],
    column: str,
) -> None:
    """Draw each form in its line; the plain model's time and error as a stroke."""
    for row in rows.to_dict("records"):
        cell, form = tuple(row[key] for key in CELL), row["numerator"]
        at, x = places[cell, form], row[column]
        if row["benchmark"] == "product_time":
            axis.plot(1.0, at, "|", color=PLAIN, ms=9, mew=2)
            axis.hlines(at, row["low"], row["high"], color=FORMS[form], lw=1.5)
        if row["benchmark"] == "product_error":
            axis.plot(row["denominator_value"], at, "|", color=PLAIN, ms=9, mew=2)
            x = max(x, LEAST)
        axis.plot(x, at, "D", color=FORMS[form], ms=5)
