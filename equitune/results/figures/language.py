"""Shares of regard and distances from fairness, as figures of language models' tables.

Demographics stand in alphabetical order, as in the tables.
"""

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from equitune.config import REGARD_LABELS
from equitune.methods import METHODS
from equitune.results.figures import parts
from equitune.results.style import REGARD, look
from equitune.results.tables import FAIRNESS_KEYS, REGARD_KEYS, UNSCORED, summarize

AXES, TASKS = ("gender", "race", "orientation"), ("respect", "occupation")
BREAKS = "\n"
EMBEDDED = "small"  # the model whose corpus was made with known shares
MODELS = {"published": "published\ntexts"}  # texts of a GPT-2, scored here
BAR = 0.21  # width of a bar in inches, the space beside it included
# sizes in inches: of a row of panels, its margins, and how high a panel is
WIDEST, SIDE, ABOVE, BELOW, HIGH = 11.0, 0.55, 0.8, 0.55, 1.8
GAP, BREAK = 0.45, 1.1  # space between methods and between models, in bars
SMALL = 7  # font size
LETTER = 3.9  # and the width of its letters, in points
# how the points of the tasks are filled: the known ones first, then others in alphabetical order
FILLS: tuple[dict[str, Any], ...] = (
    {"mfc": None},
    {"mfc": "white"},
    *({"fillstyle": side, "markerfacecoloralt": "white"} for side in ("left", "right")),
    *({"fillstyle": side, "markerfacecoloralt": "white"} for side in ("top", "bottom")),
)
PALE = {label: parts.pale(colour) for label, colour in REGARD.items()}  # of published shares
# how the points of a model and method look
Looks = dict[tuple[str, str], dict[str, Any]]
# heading, whether it is drawn pale, and for each method its name and its rows
Block = tuple[str, bool, list[tuple[str, pd.DataFrame]]]


def language_regard(
    regard: pd.DataFrame, published: pd.DataFrame, truth: pd.DataFrame | None = None
) -> tuple[Figure, pd.DataFrame]:
    """Draw regard as stacked bars, demographics side by side; one panel per axis and task.

    Below a bar stands in how many of its texts the scorer recognised anything, where these are few.

    Args:
        regard: rows of results/tables/regard.csv.
        published: rows of resources/published.csv; those of these axes and tasks are drawn, pale.
        truth: rows of results/tables/truth.csv: the shares that the embedded model's corpus was
            made with; drawn beside that model.

    Returns:
        The figure, and the shares it shows: means over the seeds with sd and n.

    Raises:
        ValueError: no rows, a method that is not known, or a model with several scorers.
    """
    parts.check(regard)
    told_by = scorers(regard)
    shown = _shares(regard, published, truth)
    axes, tasks = parts.in_order(regard["axis"], AXES), parts.in_order(regard["task"], TASKS)
    panels = {
        (axis, task): _blocks(parts.where(shown, axis=axis, task=task), told_by)
        for axis in axes
        for task in tasks
        if len(parts.where(shown, axis=axis, task=task))
    }
    with look():
        figure, drawn = _rows(panels)
        for axis, (cell, blocks) in zip(drawn, panels.items(), strict=True):
            _stacks(axis, blocks)
            parts.fractions(axis, room=True)
            runs = parts.where(regard, axis=cell[0], task=cell[1])
            counts = runs.groupby([*REGARD_KEYS])["n"].sum()
            said = f"n = {parts.span(counts)} texts a bar" if len(runs) else "no texts"
            axis.set_title(f"{' × '.join(cell)}\n({said})", loc="left", pad=10)
        # from the top of a bar down
        handles = [Patch(fc=REGARD[label], label=label) for label in reversed(REGARD_LABELS)]
        if "published" in set(shown["kind"]):
            handles.append(Patch(fc=parts.pale("#666666"), label="pale: as published"))
        parts.explain(figure, handles, "regard")
    return figure, shown


def language_fairness(fairness: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """Draw counterfactual total variation, and perplexity beside it, a line of panels an axis.

    Args:
        fairness: rows of results/tables/fairness.csv. Models without a number are left out: texts
            alone have none.

    Returns:
        The figure, and the numbers it shows: mean, sd and n over the seeds; a perplexity is of no
        task.

    Raises:
        ValueError: no rows, or a method that is not known.
    """
    parts.check(fairness)
    tasks = parts.in_order(fairness["task"], TASKS)
    # whoever measures perplexity once says so in the rows of every task
    perplexity = fairness.assign(task="").drop_duplicates([*FAIRNESS_KEYS, "seed", "perplexity"])
    measured = {
        "counterfactual_tv": fairness.dropna(subset="counterfactual_tv"),
        "perplexity": perplexity.dropna(subset="perplexity"),
    }
    looks = series(pd.concat(measured.values()))
    names = [*TASKS, *(task for task in tasks if task not in TASKS)]
    fills = dict(zip(names, cycle(FILLS), strict=False))
    axes = parts.in_order(fairness["axis"], AXES)
    with look():
        height = 0.8 + max(0.2 * (len(tasks) + 0.5) * len(looks), 0.5)
        figure = Figure(figsize=(8, height * len(axes)))
        grid = figure.subplots(len(axes), 2, sharex="col", squeeze=False)
        for name, row in zip(axes, grid, strict=True):
            for axis, (measure, table) in zip(row, measured.items(), strict=True):
                here = parts.where(table, axis=name)
                for y, ((model, method), style) in enumerate(looks.items()):
                    runs = parts.where(here, model=model, method=method)
                    _dots(axis, y, runs, measure, style, fills)
                number = parts.seeds(here, FAIRNESS_KEYS) if len(here) else "nothing measured"
                axis.set_title(f"{name} ({number})")
                axis.set_ylim(len(looks) - 0.4, -0.6)
                axis.set_xlim(0, 1.25 * table[measure].max() if (table[measure] > 0).any() else 1)
                if name == axes[-1]:
                    axis.set_xlabel(measure.replace("_tv", " total variation"))
            parts.sideways(row[0], range(len(looks)), [each["label"] for each in looks.values()])
            parts.sideways(row[1], range(len(looks)), [""] * len(looks))
        dot: dict[str, Any] = {"marker": "D", "color": "#666666", "ls": ""}
        handles = [Line2D([], [], **dot, **fills[task], label=task) for task in tasks]
        parts.explain(figure, handles, "contexts, at the left")
        figure.tight_layout()
    summaries = [summarize(table, FAIRNESS_KEYS, [name]) for name, table in measured.items()]
    return figure, pd.concat(summaries)


def _shares(
    regard: pd.DataFrame, published: pd.DataFrame, truth: pd.DataFrame | None
) -> pd.DataFrame:
    """Return a row for each piece of a bar, with the source and the share that is unscored."""
    if "unscored" not in regard:  # tables of earlier versions lack it
        regard = regard.assign(unscored=np.nan)
    groups = regard.groupby([*REGARD_KEYS])
    texts = groups.agg(texts=("n", "sum"), unscored=("unscored", "mean")).reset_index()
    bars = summarize(regard, REGARD_KEYS, REGARD_LABELS).merge(texts, on=[*REGARD_KEYS])
    kinds = [bars.assign(kind="measured", source="this run")]
    cells = regard[["axis", "task"]].drop_duplicates()
    if truth is not None and EMBEDDED in set(regard["model"]):
        keys = [name for name in truth.columns if name not in REGARD_LABELS]
        shares = truth.merge(cells, on=["axis", "task"]).melt(
            keys, [*REGARD_LABELS], var_name="measure", value_name="mean"
        )
        kinds.insert(0, shares.assign(kind="planted", model=EMBEDDED, method=""))
    values = published[
        (published["experiment"] == "language") & published["metric"].isin(REGARD_LABELS)
    ].merge(cells.assign(dataset=cells["axis"] + " " + cells["task"]), on="dataset")
    values = values.rename(columns={"architecture": "model", "metric": "measure", "value": "mean"})
    # not every source names a model
    kinds.append(values.assign(kind="published").fillna({"model": "", "demographic": ""}))
    columns = ["kind", *REGARD_KEYS, "measure", "mean", "sd", "n", "texts", "source", "unscored"]
    # texts, n and unscored are unknown elsewhere
    return pd.concat([kind for kind in kinds if len(kind)])[columns]


def _bar(demographic: str, unscored: float) -> str:
    """Return what stands below a bar: where too few texts are recognised, how many."""
    if not unscored > UNSCORED:
        return demographic
    return f"{demographic}, {100 * (1 - unscored):.0f} % recognised"


def _blocks(shown: pd.DataFrame, told_by: Mapping[str, str]) -> list[Block]:
    """Return what a panel shows from left to right: planted, each model, published."""
    blocks: list[Block] = []
    for kind in ("planted", "measured", "published"):
        for model in models(parts.where(shown, kind=kind)):
            rows = parts.where(shown, kind=kind, model=model)
            named = {"planted": "planted", "published": f"as published\n{model}"}
            methods = [
                (
                    METHODS[method].label if method in METHODS else method,
                    parts.where(rows, method=method),
                )
                for method in parts.in_order(rows["method"], METHODS)
            ]
            heading = named.get(kind, MODELS.get(model, model))
            if kind == "measured" and model in told_by:
                heading += f"{', ' if BREAKS in heading else BREAKS}scorer: {told_by[model]}"
            blocks.append((heading, kind == "published", methods))
    return blocks


def _rows(panels: Mapping[tuple[str, str], list[Block]]) -> tuple[Figure, list[Axes]]:
    """Place the panels of an axis side by side, those without room in a further row.

    A bar is as wide in every panel, and each is as wide as its bars.
    """
    extents = {cell: sum(map(_extent, blocks)) for cell, blocks in panels.items()}
    rows: list[list[tuple[str, str]]] = []
    for cell, extent in extents.items():
        taken = sum(BAR * extents[other] + SIDE for other in rows[-1]) if rows else 0
        if not rows or rows[-1][0][0] != cell[0] or taken + BAR * extent > WIDEST:
            rows.append([])
        rows[-1].append(cell)
    width = max(sum(BAR * extents[cell] + SIDE for cell in row) for row in rows)
    below = [BELOW + max(_upright(panels[cell]) for cell in row) for row in rows]
    height = sum(ABOVE + HIGH + each for each in below)
    figure, axes, top = Figure(figsize=(width, height)), [], height
    for row, room in zip(rows, below, strict=True):
        left, top = SIDE, top - ABOVE - HIGH
        for cell in row:
            place = left / width, top / height, BAR * extents[cell] / width, HIGH / height
            axis = figure.add_axes(place)
            axis.set_xlim(-0.8, extents[cell] - 0.8)
            axis.tick_params(axis="y", labelleft=cell == row[0])
            axis.set_ylabel("share of the texts" if cell == row[0] else "")
            axes.append(axis)
            left += BAR * extents[cell] + SIDE
        top -= room
    return figure, axes


def _upright(blocks: Sequence[Block]) -> float:
    """Return the room in inches that the names below a panel's bars take."""
    bars = [rows for *_, methods in blocks for _, rows in methods]
    names = [
        _bar(*pair)
        for rows in bars
        for pair in zip(rows["demographic"], rows["unscored"], strict=True)
    ]
    return LETTER * max(map(len, names), default=0) / 72


def _extent(block: Block) -> float:
    """Return the width of a block and of the space beside it, in bars."""
    heading, _, methods = block
    bars = sum(rows["demographic"].nunique() + GAP for _, rows in methods)
    return max(bars, LETTER * max(map(len, heading.split(BREAKS))) / 72 / BAR) + BREAK


def _stacks(axis: Axes, blocks: Sequence[Block]) -> None:
    """Draw one panel: names of models above the bars, of demographics and methods below."""
    edge, names, below = 0.0, {}, {}
    for block in blocks:
        heading, faded, methods = block
        x = edge
        for method, rows in methods:
            demographics = sorted(set(rows["demographic"]))
            below[x + (len(demographics) - 1) / 2] = method.replace(" ", "\n")
            for demographic in demographics:
                own = parts.where(rows, demographic=demographic)
                shares = own.set_index("measure")["mean"]
                if shares.isna().all():
                    axis.text(x, 0.02, "all texts empty", ha="center", rotation=90, fontsize=SMALL)
                else:
                    parts.stack(axis, x, shares.to_dict(), PALE if faded else REGARD)
                names[x] = _bar(demographic, own["unscored"].iloc[0])
                x += 1
            x += GAP
        middle = (edge + x - 1 - GAP) / 2
        axis.text(middle, 1.02, heading, ha="center", va="bottom", fontsize=SMALL)
        if edge:
            axis.axvline(edge - (1 + BREAK) / 2, color="#bbbbbb", lw=0.6)
        edge += _extent(block)
    lower: dict[str, Any] = {"textcoords": "offset points", "ha": "center", "va": "top"}
    depth = LETTER * max(map(len, names.values()), default=0) + 15
    for x, method in below.items():
        axis.annotate(method, (x, 0), xytext=(0, -depth), **lower, fontsize=SMALL)
    axis.set_xticks([*names], [*names.values()], rotation=90, fontsize=SMALL)
    axis.tick_params(axis="x", length=0)
    axis.grid(axis="x", visible=False)


def _dots(
    axis: Axes,
    y: float,
    runs: pd.DataFrame,
    measure: str,
    style: dict[str, Any],
    fills: Mapping[str, dict[str, Any]],
) -> None:
    """Draw the seeds' values of one series, each task in a line of its own, with their means."""
    tasks = parts.in_order(runs["task"], TASKS)
    for place, task in enumerate(tasks):
        values = parts.where(runs, task=task)[measure]
        at = y + 0.36 * (place - (len(tasks) - 1) / 2)
        # a value of 0 lies on the edge
        fill = fills.get(task, FILLS[0])  # a perplexity is of no task
        axis.plot(values, [at] * len(values), **style, **fill, zorder=3, clip_on=False)
        parts.beside(axis, values.max(), at, f"{values.mean():.3g}")


def series(table: pd.DataFrame) -> Looks:
    """Return the look of each method of each model, in their order."""
    markers = dict(zip(models(table), cycle(parts.MARKERS), strict=False))
    found = set(zip(table["model"], table["method"], strict=True))
    return {
        (model, method): {
            "marker": markers[model],
            "color": METHODS[method].colour,
            "ls": "",
            "ms": 5,
            "label": f"{MODELS.get(model, model)}, {METHODS[method].label}".replace("\n", " "),
        }
        for model in markers
        for method in METHODS
        if (model, method) in found
    }


def scorers(table: pd.DataFrame) -> dict[str, str]:
    """Return who told the regard of each model; tables of earlier versions do not say it.

    Raises:
        ValueError: the texts of a model have several scorers, whose numbers are not to be mixed.
    """
    if "scorer" not in table:
        return {}
    found = table[["model", "scorer"]].dropna().drop_duplicates()
    twice = found[found["model"].duplicated()]["model"]
    if len(twice):
        names = " and ".join(sorted(parts.where(found, model=twice.iloc[0])["scorer"]))
        raise ValueError(
            f"the texts of {twice.iloc[0]} are scored by {names}: draw a figure of each scorer's"
        )
    return dict(zip(found["model"], found["scorer"], strict=True))


def models(table: pd.DataFrame) -> list[str]:
    """Return the models of a table, those that are only texts last."""
    return sorted(set(table["model"]), key=lambda model: (model in MODELS, model))
