"""Figures: DataFrame in, Figure out; they read and write no file."""

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from equitune.results.style import METHODS, PUBLISHED, look

TASK_NAMES = {"add_jump": "add jump", "around_right": "around right", "simple": "simple"}
HATCHES = (None, "//", "xx", "..")
MARKERS = ("D", "s", "^", "v", "P", "X")


def scan_accuracy(scan: pd.DataFrame, published: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """Draw test accuracy by task and architecture, methods side by side, seeds as points.

    Args:
        scan: rows of results/tables/scan.csv.
        published: rows of resources/published.csv; those of this experiment's tasks are drawn.

    Returns:
        The figure, and the numbers it shows: bars with mean, sd and n; published values.
    """
    tasks = [task for task in TASK_NAMES if task in set(scan["task"])]
    architectures = [a for a in ("RNN", "GRU", "LSTM") if a in set(scan["architecture"])]
    bars = _bars(scan)
    values = published[
        (published["experiment"] == "scan")
        & (published["metric"] == "test_accuracy")
        & published["dataset"].isin(tasks)
    ]
    with look():
        # a panel is as wide as its bars need
        series = [len(set(_series(bars, task))) for task in tasks]
        widths = [max(3.4, 0.2 * count * len(architectures) + 1) for count in series]
        figure = Figure(figsize=(0.8 + sum(widths), 3.6))
        axes = figure.subplots(1, len(tasks), sharey=True, squeeze=False, width_ratios=widths)[0]
        for axis, task in zip(axes, tasks, strict=True):
            _panel(axis, task, architectures, bars, scan, values)
        axes[0].set_ylabel("exact match on the test set")
        handles = {
            label: handle
            for axis in axes
            for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)
        }
        measured = list(dict.fromkeys(bars["label"]))
        labels = [*measured, *(label for label in handles if label not in measured)]
        figure.legend(
            [handles[label] for label in labels],
            labels,
            loc="upper left",
            bbox_to_anchor=(1.0, 0.95),
            borderaxespad=0,
            title="this run, and published values",
            alignment="left",
        )
        figure.tight_layout()
    shown = values.rename(columns={"dataset": "task", "value": "mean"})
    shown = shown.assign(group="", kind="published")
    bars = bars.drop(columns="label").assign(kind="measured", source="this run")
    columns = ["kind", "task", "architecture", "method", "group", "mean", "sd", "n", "source"]
    return figure, pd.concat([bars, shown])[columns]


def _bars(scan: pd.DataFrame) -> pd.DataFrame:
    """Mean, sd and n of every bar; a method's label names its groups where it has several."""
    keys = ["task", "architecture", "method", "group"]
    cells = scan.groupby(keys, sort=False)["test_accuracy"]
    bars = cells.agg(mean="mean", sd="std", n="count").reset_index()
    # first, second … group of each task share a label
    nth = bars.groupby(["task", "method"])["group"].rank(method="dense").astype(int)
    bars["label"] = [METHODS[method][0] for method in bars["method"]]
    for (method, _), rows in bars.groupby(["method", nth], sort=False):
        names = " / ".join(dict.fromkeys(rows["group"]))
        if nth[bars["method"] == method].max() > 1:
            bars.loc[rows.index, "label"] += f" ({names})"
    order = {method: place for place, method in enumerate(METHODS)}
    places = bars["method"].map(order)
    return bars.assign(place=places).sort_values(["task", "place", "group"]).drop(columns="place")


def _series(bars: pd.DataFrame, task: str) -> list[tuple[str, str, str]]:
    """Method, group and label of a task's bars, in their order from left to right."""
    here = bars[bars["task"] == task]
    return list(dict.fromkeys(zip(here["method"], here["group"], here["label"], strict=True)))


def _panel(axis, task, architectures, bars, scan, values) -> None:  # type: ignore[no-untyped-def]
    """Draw one task: a cluster of bars for each architecture, published values beside them."""
    series = _series(bars, task)
    width = 0.8 / max(len(series), 1)
    for place, (method, group, label) in enumerate(series):
        colour = METHODS[method][1]
        # further groups of one method: the same colour, hatched
        nth = [s[1] for s in series if s[0] == method].index(group)
        for at, architecture in enumerate(architectures):
            x = at + (place - (len(series) - 1) / 2) * width
            rows = scan[
                (scan["task"] == task)
                & (scan["architecture"] == architecture)
                & (scan["method"] == method)
                & (scan["group"] == group)
            ]
            if rows.empty:
                continue
            mean = rows["test_accuracy"].mean()
            hatch = HATCHES[nth % len(HATCHES)]
            axis.bar(x, mean, width * 0.92, color=colour, label=label, hatch=hatch, ec="white")
            axis.plot(
                [x] * len(rows), rows["test_accuracy"], ".", color="black", ms=4, clip_on=False
            )
            axis.annotate(
                f"{mean:.1%}".replace("%", ""),
                (x, max(mean, rows["test_accuracy"].max())),
                xytext=(0, 4),
                textcoords="offset points",
                ha="center",
                fontsize=7,
                rotation=90 if len(series) > 4 else 0,
            )
    for place, row in enumerate(values[values["dataset"] == task].itertuples()):
        axis.plot(
            len(architectures) - 0.15,
            row.value,
            MARKERS[place % len(MARKERS)],
            mfc="white",
            color=PUBLISHED,
            ms=5,
            label=f"{row.method}, {row.source}",
            clip_on=False,
        )
    axis.set_xticks(
        [*range(len(architectures)), len(architectures) - 0.15], [*architectures, "published"]
    )
    axis.set_xlim(-0.6, len(architectures) + 0.25)
    axis.set_ylim(0, 1.14 if len(series) > 4 else 1.05)
    axis.set_yticks([0, 0.2, 0.4, 0.6, 0.8, 1])
    axis.yaxis.set_major_formatter(PercentFormatter(1))
    seeds = scan["seed"].nunique()
    axis.set_title(f"{TASK_NAMES[task]} (n = {seeds} seed{'s' if seeds > 1 else ''})")
    axis.grid(axis="x", visible=False)
