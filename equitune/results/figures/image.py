"""The figures of image classification."""

from collections.abc import Callable, Iterable, Sequence
from itertools import cycle
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from equitune.config.image_groups import IMAGE_GROUPS
from equitune.methods import METHODS
from equitune.results.figures import parts
from equitune.results.style import PUBLISHED, look
from equitune.results.tables import IMAGE_KEYS

ARCHITECTURES = {
    "alexnet": "AlexNet",
    "resnet": "ResNet",  # as a source says it, without the depth
    "resnet18": "ResNet-18",
    "vgg11_bn": "VGG-11-BN",
    "densenet121": "DenseNet-121",
    "efficientnet_lite0": "EfficientNet-Lite0",
    "efficientnet_lite0_frozen": "EfficientNet-Lite0, frozen",
}
ACROSS = 2  # panels side by side, as wide as the report has room for
GREY = "#666666"
LETTER = 0.085  # width of a letter in inches


def image_accuracy(images: pd.DataFrame, published: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """Draw accuracy on upright images beside that on moved ones, one panel per dataset.

    Args:
        images: rows of results/tables/image.csv.
        published: rows of resources/published.csv; those of these datasets are drawn.

    Returns:
        The figure, and the numbers it shows: bars with mean, sd and n; published values.

    Raises:
        ValueError: no rows, or a method that is not known.
    """
    parts.check(images)
    measures = ("upright_accuracy", "rotated_accuracy")
    bars = parts.cells(images, IMAGE_KEYS, measures)
    values = published[
        (published["experiment"] == "image")
        & (published["metric"] == "rotated_accuracy")
        & published["dataset"].isin(set(images["dataset"]))
    ]
    with look():
        figure = _panels(images, bars, measures, lambda mean: f"{100 * mean:.1f}", values)
        for axis in figure.axes:
            parts.fractions(axis, room=True)
            axis.set_ylabel("accuracy on the test set")
        explained = [
            (Patch(fc=parts.pale(GREY)), "pale: upright images"),
            (Patch(fc=GREY), "solid: each moved by a\nrandom group element"),
            parts.POINT,
        ]
        parts.legend(figure, bars, explained)
        figure.tight_layout()
    shown = values.rename(columns={"metric": "measure", "value": "mean"})
    shown = shown.assign(group="", kind="published")
    bars = bars.assign(kind="measured", source="this run")
    columns = ["kind", *IMAGE_KEYS, "measure", "mean", "sd", "n", "source"]
    return figure, pd.concat([bars, shown])[columns]


def image_cost(images: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """Draw the time that training takes, in units of what `finetune` takes of the same model.

    Args:
        images: rows of results/tables/image.csv.

    Returns:
        The figure, and the numbers it shows. Where a dataset and architecture has no time of
        `finetune` to compare with, all times are in seconds.

    Raises:
        ValueError: no rows, or a method that is not known.
    """
    parts.check(images)
    plain = images["train_seconds"].where(images["method"] == "finetune")
    plain = plain.groupby([images["dataset"], images["architecture"]]).transform("mean")
    relative = bool((plain > 0).all())
    measure = "relative_train_time" if relative else "train_seconds"
    if relative:
        images = images.assign(relative_train_time=images["train_seconds"] / plain)
    bars = parts.cells(images, IMAGE_KEYS, [measure])
    with look():
        figure = _panels(images, bars, [measure], lambda mean: f"{mean:.1f}")
        for axis in figure.axes:
            axis.set_ylabel(
                "training time relative to\nplain fine-tuning" if relative else "training time in s"
            )
            axis.set_ylim(0, 1.15 * images[measure].max())
            if relative:
                axis.axhline(1, color=GREY, lw=0.8, ls="--")
        parts.legend(figure, bars, [parts.POINT])
        figure.tight_layout()
    return figure, bars[[*IMAGE_KEYS, "measure", "mean", "sd", "n"]]


def image_rotation(elements: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """Draw accuracy at each group element, one panel per model, in it the methods side by side.

    Every point stands above the name of its own element.

    Args:
        elements: rows of results/tables/image_elements.csv.

    Returns:
        The figure, and the numbers it shows: mean, sd and n of every element.

    Raises:
        ValueError: no rows, or a method that is not known.
    """
    parts.check(elements)
    keys = [*IMAGE_KEYS, "measured_by", "element"]
    points = parts.cells(elements, keys, ["accuracy"])
    panels = [
        {"dataset": dataset, "measured_by": group, "architecture": architecture}
        for dataset, group in dict.fromkeys(
            zip(points["dataset"], points["measured_by"], strict=True)
        )
        for architecture in parts.in_order(
            parts.where(points, dataset=dataset, measured_by=group)["architecture"], ARCHITECTURES
        )
    ]
    here = [parts.where(points, **panel) for panel in panels]
    names = [element_names(each["measured_by"].iloc[0], each["element"]) for each in here]
    widths = [len(parts.series(each)) * (len(n) + 1) for each, n in zip(here, names, strict=True)]
    across = min(len(panels), ACROSS)
    down = -(-len(panels) // across)
    with look():
        size = (0.8 + across * max(0.14 * max(widths), 2.6), 0.3 + 3.2 * down)
        figure = Figure(figsize=size)
        axes = figure.subplots(down, across, sharey=True, squeeze=False)
        for place, (panel, cells, own) in enumerate(zip(panels, here, names, strict=True)):
            axis, group = axes.flat[place], panel["measured_by"]
            runs = parts.where(elements, **panel)
            _turned(axis, runs, cells, own)
            model = ARCHITECTURES.get(panel["architecture"], panel["architecture"])
            axis.set_title(f"{_spaced(panel['dataset'])}, {model}\n({parts.seeds(runs, keys)})")
            axis.set_xlabel(
                "test images rotated by, and method"
                if group == "rotate90"
                else f"test images moved by ({group}), and method"
            )
            parts.fractions(axis, room=False)
            if place % across == 0:
                axis.set_ylabel("accuracy on the test set")
        for axis in axes.flat[len(panels) :]:
            axis.remove()
        mean = Line2D([], [], color=GREY, lw=3), "line: mean over the seeds"
        said = mean, parts.POINT
        parts.explain(figure, [h for h, _ in said], "this run", [label for _, label in said])
        figure.tight_layout()
    return figure, points[[*keys, "mean", "sd", "n"]]


def element_names(group: str, elements: Iterable[str]) -> dict[str, str]:
    """Return what a reader calls the elements that occur, in the order of their group.

    Args:
        group: of `IMAGE_GROUPS`; elements of another keep their names.
        elements: names as in `equitune.groups`.
    """
    known = IMAGE_GROUPS[group].elements if group in IMAGE_GROUPS else {}
    return {name: known.get(name, name) for name in parts.in_order(elements, known)}


def _panels(
    images: pd.DataFrame,
    summary: pd.DataFrame,
    measures: Sequence[str],
    text: Callable[[float], str],
    values: pd.DataFrame | None = None,
) -> Figure:
    """Draw bars of measures by architecture and method, one panel below another a dataset."""
    architectures = parts.in_order(images["architecture"], ARCHITECTURES)
    datasets = sorted(set(images["dataset"]))
    most = max(len(parts.series(parts.where(summary, dataset=dataset))) for dataset in datasets)
    # as wide as the bars need, and the names below them
    cluster = max(0.17 * most * len(measures), LETTER * _longest(architectures) + 0.1)
    width = max(4.0, cluster * len(architectures) + 1.2)
    figure = Figure(figsize=(width + 0.8, 3.0 * len(datasets) + 0.2))
    axes = figure.subplots(len(datasets), 1, squeeze=False)[:, 0]
    for axis, dataset in zip(axes, datasets, strict=True):
        rows = parts.where(images, dataset=dataset)
        here = parts.where(summary, dataset=dataset)
        architectures = parts.in_order(rows["architecture"], ARCHITECTURES)
        parts.bars(axis, rows, here, architectures, measures, text)
        known = [] if values is None else _published(parts.where(values, dataset=dataset))
        names = [_wrapped(name) for name in architectures]
        parts.published(axis, names, known)
        size = parts.tested(rows, "images")
        axis.set_title(f"{_spaced(dataset)} ({parts.seeds(rows, IMAGE_KEYS)}{size})")
    return figure


def _published(values: pd.DataFrame) -> list[tuple[float, str, str, str]]:
    """Value, label, marker and colour of published rows: a marker a model, to be told in grey."""
    values = values.fillna({"architecture": ""})  # not every source names one
    drawn = []
    columns = [values[name] for name in ("value", "method", "architecture", "source")]
    for row, marker in zip(zip(*columns, strict=True), cycle(parts.MARKERS), strict=False):
        value, method, architecture, source = row
        known = METHODS.get(method)
        name, colour = (known.label, known.colour) if known else (method, PUBLISHED)
        model = ARCHITECTURES.get(architecture, architecture)
        drawn.append((value, f"{name} {model}".rstrip() + f", {source}", marker, colour))
    return drawn


def _turned(axis: Axes, runs: pd.DataFrame, points: pd.DataFrame, names: dict[str, str]) -> None:
    """Draw one panel: for each method and group its elements, means as lines, seeds as points."""
    ticks: dict[float, str] = {}
    below: dict[float, str] = {}
    for place, (method, group, label, _) in enumerate(parts.series(points)):
        left = place * (len(names) + 1)
        rows = parts.where(runs, method=method, group=group)
        for x, (element, name) in enumerate(names.items(), start=left):
            values = parts.where(rows, element=element)["accuracy"]
            mean = values.mean()  # nothing is drawn where there is none
            axis.plot([x - 0.3, x + 0.3], [mean, mean], color=METHODS[method].colour, lw=3)
            axis.plot([x] * len(values), values, ".", color="black", ms=4, clip_on=False)
            ticks[x] = name.replace("\n", " ")
        if place % 2:
            axis.axvspan(left - 1, left + len(names), color="#f2f2f2", lw=0, zorder=0)
        below[left + 0.5 * (len(names) - 1)] = label.replace(" ", "\n")
    axis.set_xticks([*ticks], [*ticks.values()], rotation=90, fontsize=7)
    axis.tick_params(axis="x", length=0)
    axis.set_xlim(-1, max(ticks) + 1)
    longest = 3.9 * max(map(len, ticks.values()))  # in points, of letters of this size
    for middle, label in below.items():
        offset: dict[str, Any] = {"xytext": (0, -longest - 10), "textcoords": "offset points"}
        axis.annotate(label, (middle, 0), **offset, ha="center", va="top", fontsize=7)
    axis.xaxis.labelpad = 10 * max(label.count("\n") + 1 for label in below.values()) + 16


def _longest(architectures: Iterable[str]) -> int:
    """Return the number of letters in the longest line of the names."""
    return max(len(line) for name in architectures for line in _wrapped(name).split("\n"))


def _wrapped(architecture: str) -> str:
    """Return the name of an architecture as an axis shows it: what follows a comma stands below."""
    return ARCHITECTURES.get(architecture, architecture).replace(", ", ",\n")


def _spaced(name: str) -> str:
    """Return a name as a title shows it."""
    return name.replace("_", " ")
