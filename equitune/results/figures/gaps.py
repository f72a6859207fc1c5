"""The gaps in regard that language models leave, by both scorers."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from equitune.results.figures import parts
from equitune.results.figures.language import (
    AXES,
    EMBEDDED,
    MODELS,
    TASKS,
    Looks,
    models,
    scorers,
    series,
)
from equitune.results.style import PUBLISHED, look
from equitune.results.tables import FAIRNESS_KEYS, UNSCORED

SYMMETRIC = ["symmetric_gap", "symmetric_gap_low", "symmetric_gap_high", "unscored"]
OPEN: dict[str, Any] = {"marker": "o", "mfc": "white", "ls": "", "ms": 3.5}  # symmetric scorer
BELOW = 0.45  # how far below the scorer's own point
PAIR = "/"  # between the two demographics of a gap
PLANTED: dict[str, Any] = {"marker": "D", "mfc": "white", "color": PUBLISHED, "ls": "", "ms": 5}


def language_gaps(
    fairness: pd.DataFrame, truth: pd.DataFrame | None = None
) -> tuple[Figure, pd.DataFrame]:
    """Draw the gap in mean regard between two demographics, with its interval, for every seed.

    Below each point, open and thin, stands the gap by the symmetric scorer, if the table has it. A
    point without an interval says so, and where the scorer recognises too few texts how many.

    Args:
        fairness: rows of results/tables/fairness.csv.
        truth: rows of results/tables/truth.csv, which planted gaps are computed from.

    Returns:
        The figure, and the numbers it shows, one row per point.

    Raises:
        ValueError: no rows, a method that is not known, a pair that is none, or a model with
            several scorers.
    """
    parts.check(fairness)
    told_by = scorers(fairness)
    looks = series(fairness)
    order = dict(zip(looks, range(len(looks)), strict=True))
    for name in SYMMETRIC:  # tables of earlier versions lack them
        fairness = fairness if name in fairness else fairness.assign(**{name: np.nan})
    both = bool(fairness["symmetric_gap"].notna().any())
    shown = pd.concat([*_planted(fairness, truth), fairness.assign(kind="measured")])
    # what was planted comes first, as it is of no method
    rows_of = zip(shown["model"], shown["method"], strict=True)
    shown = shown.assign(place=[order.get(each, -1) for each in rows_of])
    shown = shown.sort_values(["place", "seed"], kind="stable")
    cells = [
        cell
        for axis in parts.in_order(fairness["axis"], AXES)
        for task in parts.in_order(fairness["task"], TASKS)
        if len(parts.where(fairness, **(cell := {"axis": axis, "task": task})))
    ]
    rows = [parts.where(shown, **cell) for cell in cells]
    # seeds of one method stand closer together
    steps = {True: 1.0 + BELOW * both, False: 0.6 + BELOW * both}
    ys = [(row["place"].diff() != 0).map(steps).cumsum() for row in rows]
    heights = [max(y.max() + 1, 3) for y in ys]
    with look():
        figure = Figure(figsize=(7.5, 0.9 + 0.17 * sum(heights)))
        axis = figure.subplots()
        bottom, middles, names = 0.0, [], []
        for cell, row, y, height in zip(cells, rows, ys, heights, strict=True):
            pairs = [" − ".join(_pair(pair)) for pair in row["pair"]]
            at = bottom + y + (height - y.max() - 1) / 2
            for place, point, pair in zip(at, row.to_dict("records"), pairs, strict=True):
                _point(axis, place, point, looks, pair if len(set(pairs)) > 1 else "")
            parts.at_the_edge(axis, at, [_who(point, looks) for point in row.to_dict("records")])
            middles.append(bottom + height / 2)
            said = pairs[0] if len(set(pairs)) == 1 else "largest difference of a pair"
            names.append(f"{' × '.join(cell.values())}\n{said}")
            bottom += height
            axis.axhline(bottom, color="#bbbbbb", lw=0.6)
        axis.axvline(0, color="black", lw=0.8)
        axis.set_ylim(bottom, 0)
        parts.sideways(axis, middles, names)
        axis.set_xlabel("difference in mean regard (first − second demographic)")
        title = f"gap in regard (n = {parts.span(fairness['n'])} texts a gap)"
        axis.set_title(title + _told(fairness, told_by))
        handles = [Line2D([], [], **style) for style in looks.values()]
        if both:
            style = OPEN | {"color": "#666666", "label": "symmetric scorer"}
            handles.append(Line2D([], [], **style))
        if "planted" in set(shown["kind"]):
            handles.append(Line2D([], [], **PLANTED, label=f"planted ({EMBEDDED})"))
        parts.explain(figure, handles, "this run")
        figure.tight_layout()
    columns = ["seed", "pair", "regard_gap", "regard_gap_low", "regard_gap_high", "p_value", "n"]
    columns += SYMMETRIC
    return figure, shown[["kind", *FAIRNESS_KEYS, *columns]]


def _planted(fairness: pd.DataFrame, truth: pd.DataFrame | None) -> list[pd.DataFrame]:
    """Return a table of the gaps that the embedded model's corpus was made with, if there are."""
    if truth is None:
        return []
    columns = [truth[name] for name in ("axis", "task", "demographic")]
    keys = zip(*columns, strict=True)
    regard = dict(zip(keys, truth["positive"] - truth["negative"], strict=True))
    rows = []
    measured = parts.where(fairness, model=EMBEDDED)[["axis", "task", "pair"]].drop_duplicates()
    for axis, task, pair in measured.itertuples(index=False):
        first, second = ((axis, task, demographic) for demographic in _pair(pair))
        if first in regard and second in regard:
            row = {"kind": "planted", "model": EMBEDDED, "method": "", "axis": axis, "task": task}
            rows.append(row | {"pair": pair, "regard_gap": regard[first] - regard[second]})
    return [pd.DataFrame(rows)] if rows else []


def _told(fairness: pd.DataFrame, told_by: Mapping[str, str]) -> str:
    """Return a line that names the scorer of each model, if the table says it."""
    said = [
        f"{MODELS.get(model, model)} by {told_by[model]}".replace("\n", " ")
        for model in models(fairness)
        if model in told_by
    ]
    return f"\nscorer: {', '.join(said)}" if said else ""


def _pair(pair: Any) -> list[str]:
    """Return the two demographics that a gap is between."""
    names = str(pair).split(PAIR)
    if len(names) != 2:
        raise ValueError(
            f"pair is {pair!r}: expected two demographics, as in 'man{PAIR}woman'; "
            "see results/README.md"
        )
    return names


def _who(row: Mapping[Any, Any], looks: Looks) -> str:
    """Return whose gap a row is, as the legend says it."""
    return str(looks[row["model"], row["method"]]["label"]) if row["method"] else "planted"


def _point(axis: Axes, y: float, row: dict[Any, Any], looks: Looks, pair: str) -> None:
    """Draw a gap by both scorers with its intervals, and beside it what is to be known of it."""
    style = looks.get((row["model"], row["method"]), PLANTED)
    drawn = [parts.ranged(axis, y, row, "regard_gap", style, 1.5)]
    if pd.notna(row["symmetric_gap"]):
        thin = OPEN | {"color": style["color"]}
        drawn.append(parts.ranged(axis, y + BELOW, row, "symmetric_gap", thin, 0.8))
    said = [pair, *(_lacking(row) if row["kind"] == "measured" else [])]
    parts.beside(axis, max(drawn), y, "; ".join(filter(None, said)))


def _lacking(row: dict[Any, Any]) -> list[str]:
    """Return what is missing of a measured gap, in a few words; the table says why."""
    said = []
    if pd.isna(row["regard_gap"]):
        said.append("no gap: nothing recognised")
    elif pd.isna(row["regard_gap_low"]):
        said.append("no interval")
    elif pd.notna(row["symmetric_gap"]) and pd.isna(row["symmetric_gap_low"]):
        said.append("no interval by the symmetric scorer")
    if row["unscored"] > UNSCORED and pd.notna(row["regard_gap"]):
        said.append(f"{100 * (1 - row['unscored']):.0f} % of the texts recognised")
    return said
