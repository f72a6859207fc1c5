"""The figures of image classification; they know rows of the image tables and no model."""

from collections.abc import Callable, Iterable, Sequence
from itertools import cycle

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from equitune.groups import DihedralGroup
from equitune.results.figures import parts
from equitune.results.style import METHODS, PUBLISHED, look
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
LINES = ("-", "--", ":", "-.")
GREY = "#666666"
LETTER = 0.085  # width of a letter in inches


def image_accuracy(images: pd.DataFrame, published: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """Draw accuracy on upright images beside that on moved ones, a panel a dataset.

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
            (Patch(fc=GREY), "solid: each moved by a random group element"),
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
        parts.legend(figure, bars)
        figure.tight_layout()
    return figure, bars[[*IMAGE_KEYS, "measure", "mean", "sd", "n"]]


def image_rotation(elements: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """Draw accuracy against the group element that moved the images, a line a method.

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
    architectures = parts.in_order(elements["architecture"], ARCHITECTURES)
    rows = list(dict.fromkeys(zip(points["dataset"], points["measured_by"], strict=True)))
    with look():
        most = elements.groupby("measured_by")["element"].nunique().max()
        # as wide as the names of the elements need, and the titles
        title = len(max(elements["dataset"], key=len)) + _longest(architectures)
        width = max(0.7 * most, LETTER * title + 0.5)
        figure = Figure(figsize=(0.8 + len(architectures) * width, 0.4 + 2.4 * len(rows)))
        axes = figure.subplots(len(rows), len(architectures), sharey=True, squeeze=False)
        for (dataset, group), line in zip(rows, axes, strict=True):
            names = element_names(group, parts.where(elements, measured_by=group)["element"])
            for architecture, axis in zip(architectures, line, strict=True):
                cell = {"dataset": dataset, "measured_by": group, "architecture": architecture}
                runs = parts.where(elements, **cell)
                _lines(axis, runs, parts.where(points, **cell), names)
                model = ARCHITECTURES.get(architecture, architecture)
                number = parts.seeds(runs, keys) if len(runs) else "no runs"
                axis.set_title(f"{_spaced(dataset)}, {model}\n({number})")
                axis.set_xlabel(
                    "test images rotated by"
                    if group == "rotate90"
                    else f"test images moved by ({group})"
                )
                parts.fractions(axis, room=False)
            line[0].set_ylabel("accuracy on the test set")
        parts.legend(figure, points)
        figure.tight_layout()
    return figure, points[[*keys, "mean", "sd", "n"]]


def element_names(group: str, elements: Iterable[str]) -> dict[str, str]:
    """Return what a reader calls the elements that occur, in the order of their group.

    Args:
        group: "rotate90", "rotate_flip" or "flip"; elements of another keep their names.
        elements: names as in `equitune.groups`.
    """
    # "mirrored, 90°" is rs: first the mirror image, then the turn
    turns = {
        name: ("mirrored,\n" if "s" in name else "") + f"{90 * (k % 4)}°"
        for k, name in enumerate(DihedralGroup(4).names)
    }
    known = {
        "rotate90": turns,
        "rotate_flip": turns,
        "flip": {"e": "upright", "r": "mirrored"},
    }.get(group, {})
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
        parts.bars(axis, rows, here, architectures, measures, text)
        known = [] if values is None else _published(parts.where(values, dataset=dataset))
        names = [ARCHITECTURES.get(name, name) for name in architectures]
        parts.published(axis, names, known)
        axis.set_title(f"{_spaced(dataset)} ({parts.seeds(rows, IMAGE_KEYS)})")
    return figure


def _published(values: pd.DataFrame) -> list[tuple[float, str, str, str]]:
    """Value, label, marker and colour of published rows: a marker an architecture."""
    values = values.fillna({"architecture": ""})  # not every source names one
    markers = dict(zip(dict.fromkeys(values["architecture"]), cycle(parts.MARKERS), strict=False))
    drawn = []
    columns = [values[name] for name in ("value", "method", "architecture", "source")]
    for value, method, architecture, source in zip(*columns, strict=True):
        name, colour = METHODS.get(method, (method, PUBLISHED))
        model = ARCHITECTURES.get(architecture, architecture)
        drawn.append(
            (value, f"{name} {model}".rstrip() + f", {source}", markers[architecture], colour)
        )
    return drawn


def _lines(axis: Axes, runs: pd.DataFrame, points: pd.DataFrame, names: dict[str, str]) -> None:
    """Draw one panel: a line a method and group, seeds as points, side by side at each element."""
    here = parts.series(points)
    for place, (method, group, label, nth) in enumerate(here):
        colour, style = METHODS[method][1], LINES[nth % len(LINES)]
        shift = 0.3 * ((place + 0.5) / len(here) - 0.5)
        rows = parts.where(runs, method=method, group=group)
        # mirror images are no rotations: the line does not lead on to them
        for mirrored in (False, True):
            xs = {name: x for x, name in enumerate(names) if ("s" in name) == mirrored}
            means = [parts.where(rows, element=name)["accuracy"].mean() for name in xs]
            line = [x + shift for x in xs.values()]
            axis.plot(line, means, style, color=colour, lw=1.5, label=label)
        at = rows["element"].map({name: x + shift for x, name in enumerate(names)})
        axis.plot(
            at, rows["accuracy"], "o", color=colour, mec="black", mew=0.4, ms=4, clip_on=False
        )
    axis.set_xticks(range(len(names)), [*names.values()])
    axis.set_xlim(-0.4, len(names) - 0.6)


def _longest(architectures: Iterable[str]) -> int:
    """Return the number of letters in the longest name."""
    return max(len(ARCHITECTURES.get(name, name)) for name in architectures)


def _spaced(name: str) -> str:
    """Return a name as a title shows it."""
    return name.replace("_", " ")
