"""The figures of compositional generalization."""

from itertools import cycle

import pandas as pd
from matplotlib.figure import Figure

from equitune.results.figures import parts
from equitune.results.style import PUBLISHED, look
from equitune.results.tables import SCAN_KEYS

# those known, from left to right; others follow
ARCHITECTURES = ("RNN", "GRU", "LSTM")
TASKS = ("add_jump", "around_right", "simple")


def scan_accuracy(scan: pd.DataFrame, published: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """Draw test accuracy by task and architecture, methods side by side, seeds as points.

    Args:
        scan: rows of results/tables/scan.csv.
        published: rows of resources/published.csv; those of this experiment's tasks are drawn.

    Returns:
        The figure, and the numbers it shows: bars with mean, sd and n; published values.

    Raises:
        ValueError: no rows, or a method that is not known.
    """
    parts.check(scan)
    tasks = parts.in_order(scan["task"], TASKS)
    architectures = parts.in_order(scan["architecture"], ARCHITECTURES)
    bars = parts.cells(scan, SCAN_KEYS, ["test_accuracy"])
    values = published[
        (published["experiment"] == "scan")
        & (published["metric"] == "test_accuracy")
        & published["dataset"].isin(tasks)
    ]
    # one marker for each published method, whichever tasks it is published of
    markers = dict(zip(dict.fromkeys(values["method"]), cycle(parts.MARKERS), strict=False))
    with look():
        # a panel is as wide as its bars need
        series = [len(parts.series(parts.where(bars, task=task))) for task in tasks]
        widths = [max(3.6, 0.2 * count * len(architectures) + 1) for count in series]
        figure = Figure(figsize=(0.8 + sum(widths), 3.6))
        axes = figure.subplots(1, len(tasks), sharey=True, squeeze=False, width_ratios=widths)[0]
        for axis, task, count in zip(axes, tasks, series, strict=True):
            rows = parts.where(scan, task=task)
            parts.bars(
                axis,
                rows,
                parts.where(bars, task=task),
                architectures,
                ["test_accuracy"],
                lambda mean: f"{100 * mean:.1f}",
            )
            here = parts.where(values, dataset=task)
            known = zip(here["value"], here["method"], here["source"], strict=True)
            drawn = [
                (value, f"{method}, {source}", markers[method], PUBLISHED)
                for value, method, source in known
            ]
            parts.published(axis, architectures, drawn)
            parts.fractions(axis, count > parts.MANY_BARS)
            size = parts.tested(rows, "commands")
            axis.set_title(f"{task.replace('_', ' ')} ({parts.seeds(rows, SCAN_KEYS)}{size})")
        axes[0].set_ylabel("exact match on the test set")
        parts.legend(figure, bars, [parts.POINT])
        figure.tight_layout()
    shown = values.rename(columns={"dataset": "task", "value": "mean"})
    shown = shown.assign(group="", kind="published")
    bars = bars.assign(kind="measured", source="this run")
    columns = ["kind", "task", "architecture", "method", "group", "mean", "sd", "n", "source"]
    return figure, pd.concat([bars, shown])[columns]
