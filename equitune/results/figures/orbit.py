"""The pictures of a few orbits and what each model sees in every copy.

Every size is in inches, as pictures are laid out by hand: a grid of axes would not keep the lines
of text below them apart.
"""

import base64
import binascii
from io import BytesIO
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.lines import Line2D

from equitune.results.figures import parts
from equitune.results.figures.image import ARCHITECTURES, element_names
from equitune.results.style import RIGHT, WRONG, look
from equitune.results.tables import IMAGE_KEYS

PICTURE, GAP, LINE = 0.95, 0.3, 0.145  # side of a picture, space beside it, a line of text
LEFT, TOP, BELOW = 1.75, 0.98, 0.2  # room for the methods' names, for the title, after an image
SMALL = 8  # font size of the predictions


def image_orbit(
    examples: pd.DataFrame, dataset: str, architecture: str
) -> tuple[Figure, pd.DataFrame]:
    """Draw test images moved by every group element, and below each what the models predict.

    Args:
        examples: rows of results/tables/image_examples.csv.
        dataset: whose images are shown.
        architecture: whose models are shown.

    Returns:
        The figure, one row per image and one column per element, and the predictions it shows.
        Without rows of this dataset and architecture the figure says so.

    Raises:
        ValueError: a method that is not known, or a picture that is missing or cannot be read.
    """
    rows = parts.where(examples, dataset=dataset, architecture=architecture)
    title = f"{dataset.replace('_', ' ')}, {ARCHITECTURES.get(architecture, architecture)}"
    if rows.empty:
        return _nothing(title), _shown(rows)
    parts.check(rows)
    rows = rows[rows["seed"] == rows["seed"].min()]
    names = element_names(rows["measured_by"].iloc[0], rows["element"])
    models = parts.series(parts.cells(rows.assign(copies=1), IMAGE_KEYS, ["copies"]))
    images = sorted(set(rows["image"]))
    height = PICTURE + 0.06 + LINE * len(models) + BELOW
    width = LEFT + len(names) * (PICTURE + GAP)
    with look():
        sheet = _Sheet(width, TOP + height * len(images))
        seed = rows["seed"].iloc[0]
        sheet.write(0, 0.1, f"{title}, seed {seed}: predictions for each copy of an image", size=10)
        sheet.write(0, 0.3, _drawn(rows), size=SMALL)
        for x, name in enumerate(names.values()):
            flat = name.replace("\n", " ")
            sheet.write(LEFT + x * (PICTURE + GAP) + PICTURE / 2, TOP - 0.2, flat, ha="center")
        for place, image in enumerate(images):
            here = parts.where(rows, image=image)
            top = TOP + place * height
            sheet.write(0, top + PICTURE / 2 - 0.16, "true class", color=RIGHT)
            sheet.write(0, top + PICTURE / 2, here["label"].iloc[0], weight="bold", size=10)
            sheet.write(0, top + PICTURE / 2 + 0.2, _kind(here, next(iter(names))), size=SMALL)
            below = top + PICTURE + 0.06
            for y, (_, _, name, _) in enumerate(models):
                sheet.write(0, below + y * LINE, name, size=SMALL)
            for x, element in enumerate(names):
                left = LEFT + x * (PICTURE + GAP)
                copies = parts.where(here, element=element)
                sheet.picture(left, top, _pixels(copies, image, element))
                for y, (method, group, _, _) in enumerate(models):
                    mine = parts.where(copies, method=method, group=group)
                    for prediction, label in zip(mine["prediction"], mine["label"], strict=True):
                        right = prediction == label
                        sheet.write(
                            left,
                            below + y * LINE,
                            f"{'✓' if right else '✗'} {prediction}",
                            size=SMALL,
                            color=RIGHT if right else WRONG,
                            weight="normal" if right else "bold",
                        )
            if place:
                sheet.rule(top - BELOW / 2)
    return sheet.figure, _shown(rows)


class _Sheet:
    """A figure on which things are placed in inches from its upper left corner."""

    def __init__(self, width: float, height: float) -> None:
        self.width, self.height = width, height
        self.figure = Figure(figsize=(width, height))

    def write(self, left: float, top: float, text: str, size: float = 9, **options: Any) -> None:
        """Write a line."""
        place = left / self.width, 1 - top / self.height
        self.figure.text(*place, text, va="top", fontsize=size, **options)

    def picture(self, left: float, top: float, pixels: Any) -> None:
        """Draw a picture, its pixels as they are."""
        corner = left / self.width, 1 - (top + PICTURE) / self.height
        axis = self.figure.add_axes((*corner, PICTURE / self.width, PICTURE / self.height))
        axis.imshow(pixels, interpolation="none")
        axis.set_axis_off()

    def rule(self, top: float) -> None:
        """Draw a thin line from edge to edge."""
        y = 1 - top / self.height
        self.figure.add_artist(Line2D([0, 1], [y, y], color="#cccccc", lw=0.6))


def _pixels(copies: pd.DataFrame, image: int, element: str) -> Any:
    """Return the picture of one copy, which stands in one of its rows: (height, width, 3)."""
    encoded = copies["png"].dropna()
    try:
        return imread(BytesIO(base64.b64decode(encoded.iloc[0], validate=True)), format="png")
    except (IndexError, binascii.Error, OSError, SyntaxError) as error:  # Pillow's own, the last
        raise ValueError(
            f"image {image}, element {element}: png holds no picture ({error}): "
            "evaluate the models again"
        ) from error


def _drawn(rows: pd.DataFrame) -> str:
    """Say how the images were chosen; tables of earlier versions do not know from how many."""
    counts = rows.reindex(columns=["disagree", "test_size"]).iloc[0]
    among = "the {:.0f} of {:.0f}".format(*counts) if counts.notna().all() else "the"
    return (
        f"Drawn at random from {among} test images on whose copies the models disagree:\n"
        "some that every model gets right as they are, some that one gets wrong; classes in turn"
    )


def _kind(rows: pd.DataFrame, upright: str) -> str:
    """Say which of the two an image is."""
    own = parts.where(rows, element=upright)
    return (
        "upright: all right" if (own["prediction"] == own["label"]).all() else "upright: one wrong"
    )


def _nothing(title: str) -> Figure:
    with look():
        figure = Figure(figsize=(6, 0.8))
        sentence = "there is no test image on whose copies the models disagree"
        figure.text(0, 0.5, f"{title}: {sentence}", va="center")
    return figure


def _shown(rows: pd.DataFrame) -> pd.DataFrame:
    columns = [*IMAGE_KEYS, "seed", "measured_by", "image", "label", "element", "prediction"]
    return rows.sort_values(["image", "element", "method", "group"])[columns]
