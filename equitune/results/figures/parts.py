"""What figures of all experiments are put together from: series, bars, markers, the legend.

A cell is what seeds are averaged over: one method and group at one place of one panel.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import PercentFormatter

from equitune.io.names import nearest, show
from equitune.methods import METHODS
from equitune.results.tables import summarize

HATCHES = (None, "//", "xx", "..")
MARKERS = ("D", "s", "^", "v", "P", "X", "<", ">", "p", "h", "*")
POINT = (Line2D([], [], marker=".", color="black", ls="", ms=4), "point: one seed")
MANY_BARS = 4  # in a cluster; with more, the numbers above them stand upright


def check(table: pd.DataFrame) -> None:
    """Raise a ValueError if a table has no rows, or a method that has no colour."""
    if table.empty:
        raise ValueError("the table has no rows, so there is nothing to draw: run snakemake")
    for method in table["method"].unique():
        if method not in METHODS:
            raise ValueError(f"unknown method {show(method)}{nearest(str(method), METHODS)}")


def cells(table: pd.DataFrame, keys: Sequence[str], measures: Sequence[str]) -> pd.DataFrame:
    """Summarize over seeds, and name the series that the cells belong to.

    Args:
        table: one row per run.
        keys: columns that tell cells apart, "method" and "group" among them; the first is the
            panel's.
        measures: the columns to average.

    Returns:
        Rows of `tables.summarize` in the order of drawing, with label, which names a method's
        group where it has several, and nth, the group's place among them, from 0.
    """
    summary = summarize(table, keys, measures)
    # first, second … group of each panel share a label
    nth = summary.groupby([keys[0], "method"])["group"].rank(method="dense").astype(int) - 1
    label = pd.Series([METHODS[method].label for method in summary["method"]], summary.index)
    for (method, _), rows in summary.groupby(["method", nth], sort=False):
        if nth[summary["method"] == method].max() > 0:
            label[rows.index] += f" ({' / '.join(dict.fromkeys(rows['group']))})"
    order = {method: place for place, method in enumerate(METHODS)}
    summary = summary.assign(label=label, nth=nth, place=summary["method"].map(order))
    return summary.sort_values([keys[0], "place", "group"], kind="stable").drop(columns="place")


def series(summary: pd.DataFrame) -> list[tuple[str, str, str, int]]:
    """Method, group, label and nth of what cells show, in their order from left to right."""
    columns = [summary[name] for name in ("method", "group", "label", "nth")]
    return list(dict.fromkeys(zip(*columns, strict=True)))


def where(table: pd.DataFrame, **values: Any) -> pd.DataFrame:
    """Return the rows whose columns have these values."""
    for column, value in values.items():
        table = table[table[column] == value]
    return table


def in_order(names: Iterable[str], known: Iterable[str]) -> list[str]:
    """Return the different names, those known first and in that order."""
    found, known = set(names), list(known)
    return [name for name in known if name in found] + sorted(found - set(known))


def seeds(table: pd.DataFrame, keys: Sequence[str]) -> str:
    """Return the number of seeds in each cell as a title says it."""
    counts = table.groupby(list(keys))["seed"].nunique()
    return f"n = {span(counts)} seed{'s' if counts.max() > 1 else ''}"


def tested(table: pd.DataFrame, what: str) -> str:
    """Return the size of the test set as a title says it; tables of earlier versions lack it."""
    sizes = table.reindex(columns=["test_size"])["test_size"].dropna().astype(int)
    return f", {span(sizes)} test {what}" if len(sizes) else ""


def span(counts: pd.Series) -> str:
    """Return the number that all counts are, or the smallest and the largest."""
    fewest, most = counts.min(), counts.max()
    return str(most) if fewest == most else f"{fewest} to {most}"


def rounds(counts: pd.Series) -> str:
    """Return the number of rounds of measurements as a title or a legend has it."""
    number = span(counts)
    return f"n = {number} round" if number == "1" else f"n = {number} rounds"


def bars(
    axis: Axes,
    table: pd.DataFrame,
    summary: pd.DataFrame,
    clusters: Sequence[str],
    measures: Sequence[str],
    text: Callable[[float], str],
) -> None:
    """Draw a cluster of bars for each architecture: means, with seeds as points.

    Args:
        axis: where to draw.
        table: the panel's runs.
        summary: their cells.
        clusters: the architectures, from left to right.
        measures: columns whose bars stand side by side; all but the last are drawn pale.
        text: what is written above a bar.
    """
    drawn = {name: series(_measured(where(summary, architecture=name))) for name in clusters}
    count = max(map(len, drawn.values()), default=0) * len(measures)
    width = 0.8 / max(count, 1)
    for one in series(summary):
        method, group, label, nth = one
        colour = METHODS[method].colour
        for at, architecture in enumerate(clusters):
            if one not in drawn[architecture]:
                continue  # what was not run takes no room
            rows = where(table, architecture=architecture, method=method, group=group)
            first = drawn[architecture].index(one) * len(measures)
            middle = (len(drawn[architecture]) * len(measures) - 1) / 2
            for which, measure in enumerate(measures):
                values = rows[measure].dropna()
                if values.empty:
                    continue
                solid = which == len(measures) - 1
                x = at + (first + which - middle) * width
                axis.bar(
                    x,
                    values.mean(),
                    # the bars of one run touch
                    width * (0.92 if len(measures) == 1 else 1),
                    color=colour if solid else pale(colour),
                    label=label if solid else None,
                    hatch=HATCHES[nth % len(HATCHES)],
                    ec="white",
                )
                axis.plot([x] * len(values), values, ".", color="black", ms=4, clip_on=False)
                axis.annotate(
                    text(values.mean()),
                    (x, values.max()),
                    xytext=(0, 4),
                    textcoords="offset points",
                    ha="center",
                    va="bottom",
                    fontsize=7,
                    rotation=90 if count > MANY_BARS else 0,
                )
    axis.grid(axis="x", visible=False)


def _measured(summary: pd.DataFrame) -> pd.DataFrame:
    """Return the cells that have a number."""
    return summary[summary["n"] > 0]


def pale(colour: str) -> tuple[float, ...]:
    """Return a colour mixed with white."""
    return tuple(1 - 0.4 * (1 - part) for part in to_rgb(colour))


def published(
    axis: Axes, clusters: Sequence[str], values: Iterable[tuple[float, str, str, str]]
) -> None:
    """Name the clusters of bars, and draw values published elsewhere beside them.

    Args:
        axis: where to draw.
        clusters: what is written under the bars.
        values: each value with its label, marker and colour.
    """
    x = len(clusters) - 0.15
    drawn = [
        axis.plot(x, value, marker, mfc="white", color=colour, ms=5, label=label, clip_on=False)
        for value, label, marker, colour in values
    ]
    ticks, names = [*range(len(clusters))], [*clusters]
    axis.set_xticks([*ticks, x] if drawn else ticks, [*names, "published"] if drawn else names)
    axis.set_xlim(-0.6, len(clusters) + (0.25 if drawn else -0.4))


def fractions(axis: Axes, room: bool) -> None:
    """Let the y axis show fractions from 0 to 1 as percent, with room for upright numbers."""
    axis.set_ylim(0, 1.2 if room else 1.05)
    axis.set_yticks([0, 0.2, 0.4, 0.6, 0.8, 1])
    axis.yaxis.set_major_formatter(PercentFormatter(1))


def legend(
    figure: Figure, summary: pd.DataFrame, explained: Sequence[tuple[Any, str]] = ()
) -> None:
    """Put the legend at the right of the panels.

    Args:
        figure: its panels are drawn.
        summary: the cells; their labels come first.
        explained: further handles and what they mean; labels that are not a cell's come last.
    """
    handles = {
        label: handle
        for axis in figure.axes
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)
    }
    # a series whose values are all missing was not drawn
    measured = [label for label in dict.fromkeys(summary["label"]) if label in handles]
    rest = [label for label in handles if label not in measured]
    explain(
        figure,
        [*(handles[m] for m in measured), *(h for h, _ in explained), *(handles[r] for r in rest)],
        "this run, from left to right" + (", and published values" if rest else ""),
        [*measured, *(label for _, label in explained), *rest],
    )


def explain(
    figure: Figure, handles: Sequence[Any], title: str, labels: Sequence[str] | None = None
) -> None:
    """Put handles and what they mean, by default their own labels, at the right of the panels."""
    figure.legend(
        handles=handles,
        labels=labels,
        loc="upper left",
        bbox_to_anchor=(1.0, 0.95),
        borderaxespad=0,
        title=title,
        alignment="left",
    )


def stack(axis: Axes, x: float, shares: Mapping[Any, float], colours: Mapping[str, Any]) -> None:
    """Draw shares as one stacked bar, and in percent those that have room for it."""
    bottom = 0.0
    for name, colour in colours.items():
        share = shares.get(name, 0.0)
        axis.bar(x, share, 0.92, bottom=bottom, color=colour, ec="white", lw=0.5)
        if share >= 0.05:
            axis.text(
                x,
                bottom + share / 2,
                f"{100 * share:.0f}",
                color="black" if sum(to_rgb(colour)) > 1.8 else "white",
                ha="center",
                va="center",
                fontsize=6,
            )
        bottom += share


def sideways(axis: Axes, ys: Iterable[float], names: Iterable[str]) -> None:
    """Let the y axis list names, from top to bottom, and the x axis show the numbers."""
    axis.set_yticks([*ys], [*names])
    axis.tick_params(axis="y", length=0, pad=8)  # clear of points on the edge
    axis.grid(axis="y", visible=False)
    axis.grid(axis="x", visible=True)


def beside(axis: Axes, x: float, y: float, text: str) -> None:
    """Write a few words at the right of a point."""
    axis.annotate(text, (x, y), xytext=(6, 0), textcoords="offset points", va="center", fontsize=7)


def at_the_edge(axis: Axes, ys: Iterable[float], names: Iterable[str]) -> None:
    """Write whose points stand in each line at the right edge, once for lines that follow."""
    before = None
    for y, name in zip(ys, names, strict=True):
        if name != before:
            place = axis.get_yaxis_transform()
            axis.text(1.01, y, name, va="center", fontsize=7, transform=place)
        before = name


def ranged(
    axis: Axes, y: float, row: Mapping[Any, Any], name: str, style: Mapping[str, Any], width: float
) -> float:
    """Draw a number of a row with its interval, if it has one.

    Args:
        axis: where to draw.
        y: the line it stands in.
        row: has the number under a name, and the ends under name_low and name_high.
        name: that name.
        style: of the point.
        width: of the line from end to end.

    Returns:
        How far it reaches to the right, from zero on.
    """
    value, ends = row[name], (row[f"{name}_low"], row[f"{name}_high"])
    axis.plot(ends, (y, y), color=style["color"], lw=width)  # nothing where there are no ends
    axis.plot(value, y, **style)
    return max((float(x) for x in (value, *ends) if pd.notna(x)), default=0.0)
