"""How often a text's first gendered pronoun agrees with its subject."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import PercentFormatter

from equitune.results.figures import parts
from equitune.results.figures.language import AXES, MODELS, TASKS, Looks, models, series
from equitune.results.style import look
from equitune.results.tables import ALL

CHANCE: dict[str, Any] = {"color": "black", "lw": 0.8, "ls": "--", "zorder": 1}
CELL = ("model", "axis", "task")  # what a row of points is of


def language_pronouns(table: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """Draw the share of first pronouns that agree: one row per model and task, a point per method.

    Every seed has its point and its interval. The broken line is where a text does not depend on
    its subject: one half of two demographics. Beside a point stands of how many texts it is.

    Args:
        table: rows of results/tables/language_pronouns.csv.

    Returns:
        The figure, and the numbers it shows, one row per point, from top to bottom.

    Raises:
        ValueError: no rows, or a method that is not known.
    """
    parts.check(table)
    looks = series(table)
    each = table[table["demographic"] != ALL]
    chance = 1 / each.groupby([*CELL])["demographic"].nunique().rename("independent")
    order = {name: place for place, name in enumerate(looks)}
    shown = parts.where(table, demographic=ALL).merge(chance.reset_index(), on=[*CELL])
    rows_of = zip(shown["model"], shown["method"], strict=True)
    shown = shown.assign(place=[order[name] for name in rows_of])
    shown = shown.sort_values(["place", "seed"], kind="stable")
    cells = [
        rows
        for model in models(table)
        for axis in parts.in_order(table["axis"], AXES)
        for task in parts.in_order(table["task"], TASKS)
        if len(rows := parts.where(shown, model=model, axis=axis, task=task))
    ]
    # seeds of one method stand closer together
    ys = [(rows["place"].diff() != 0).map({True: 1.0, False: 0.6}).cumsum() for rows in cells]
    heights = [max(y.max() + 1, 3) for y in ys]
    with look():
        figure = Figure(figsize=(7.5, 0.9 + 0.17 * sum(heights)))
        axis = figure.subplots()
        bottom, middles = 0.0, []
        for rows, y, height in zip(cells, ys, heights, strict=True):
            at = bottom + y + (height - y.max() - 1) / 2
            for place, row in zip(at, rows.to_dict("records"), strict=True):
                _point(axis, place, row, looks)
            who = [looks[pair]["label"] for pair in zip(rows["model"], rows["method"], strict=True)]
            parts.at_the_edge(axis, at, who)
            middles.append(bottom + height / 2)
            axis.plot([rows["independent"].iloc[0]] * 2, [bottom, bottom + height], **CHANCE)
            bottom += height
            axis.axhline(bottom, color="#bbbbbb", lw=0.6)
        axis.set_ylim(bottom, 0)
        axis.set_xlim(0, 1.22)  # room for what stands beside a point at 1
        axis.set_xticks([0, 0.25, 0.5, 0.75, 1])
        axis.xaxis.set_major_formatter(PercentFormatter(1))
        parts.sideways(axis, middles, map(_name, cells))
        axis.set_xlabel("share of the n texts whose first gendered pronoun agrees with the subject")
        said = f"of {parts.span(shown['texts'])} texts a point, n have a gendered pronoun"
        axis.set_title(f"agreement of pronouns ({said})")
        handles = [Line2D([], [], **style) for style in looks.values()]
        handles.append(Line2D([], [], **CHANCE, label="independent of the subject"))
        parts.explain(figure, handles, "this run")
        figure.tight_layout()
    columns = ["seed", "texts", "with_pronoun", "agree", "share", "share_low", "share_high"]
    return figure, pd.concat(cells)[["model", "method", "axis", "task", *columns, "independent"]]


def _name(rows: pd.DataFrame) -> str:
    """Return what a row of points is of."""
    model, axis, task = rows[[*CELL]].iloc[0]
    return f"{MODELS.get(model, model)}".replace("\n", " ") + f"\n{axis} × {task}"


def _point(axis: Axes, y: float, row: dict[Any, Any], looks: Looks) -> None:
    """Draw a share with its interval, and beside it the number of texts that it is of."""
    said = f"n = {row['with_pronoun']:.0f}"
    if not row["with_pronoun"]:
        said = "no text with a pronoun"
    elif pd.isna(row["share_low"]):
        said += ", no interval"
    right = parts.ranged(axis, y, row, "share", looks[row["model"], row["method"]], 1.5)
    parts.beside(axis, right, y, said)
