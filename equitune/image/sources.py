"""Where images come from: embedded digits, CIFAR-10, folders.

Every source gives the images to learn from, those to test on, and the names of the classes. All
are prepared alike, as for the published weights: resized so that the shorter side has the wanted
size (bilinear, antialiased), then cropped to the square in the middle.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from equitune.compat import extra
from equitune.config import ImageSource
from equitune.config.image_kinds import IMAGE_KINDS
from equitune.image.data import Images, Lazy, stratified
from equitune.image.decoding import decode, prepare
from equitune.image.listed import SUFFIX, read_listing
from equitune.image.tree import EXPECTED, Place, classes_of, files_of, parts_of, tell_left_out
from equitune.io.archives import unpack
from equitune.io.names import nearest
from equitune.io.places import looked_at

with extra("image"):
    from PIL import Image

logger = logging.getLogger(__name__)

Split = tuple[Images, Images, tuple[str, ...]]

CROPS = ("center", "none")
BROKEN = ("refuse", "skip")
DIGITS_SEED = 0  # draws the test part, which is not part of a run
SUBSET_SEED = 0  # likewise, what train_images and test_images keep
TEST_FRACTION = 0.2
LIMIT = 1 << 34  # bytes that an archive may unpack to


def read_source(
    source: ImageSource, archive: Path | None, seed: int, name: str = "<dataset>"
) -> Split:
    """Return the images that a source of the configuration describes.

    Args:
        source: kind, size and what is done about shapes and broken files.
        archive: the retrieved file, for the kinds that have one.
        seed: splits a folder that has no test part.
        name: of the dataset in the configuration, for messages.

    Returns:
        Images to learn from, images to test on, and the classes' names. Where there can be many,
        the images are `Lazy`.

    Raises:
        FileNotFoundError: the archive or the folder does not exist.
        ValueError: what is there cannot be read, or more images are asked for than there are;
            see the readers below.
    """
    train, test, classes = _read(source, archive, seed, name)
    return (
        _some(train, source.train_images, "train_images"),
        _some(test, source.test_images, "test_images"),
        classes,
    )


def _read(source: ImageSource, archive: Path | None, seed: int, name: str) -> Split:
    """Return all images of a source; errors as `read_source`."""
    place = archive if IMAGE_KINDS[source.kind].retrieved else Path(source.location or "")
    if place is None:
        raise ValueError(f"a source of kind {source.kind} needs its file: pass --archive")
    return READERS[source.kind](source, place, seed, name)


def _read_files(source: ImageSource, place: Path, seed: int, name: str) -> Split:
    """Read class folders as a source wants them; errors as `read_folder`."""
    return read_folder(place, source.size, source.crop, source.broken, seed, name)


def _some(images: Images, count: int | None, key: str) -> Images:
    """Return that many of the images, drawn evenly from the classes, the same on every call."""
    if count is None or count == len(images):
        return images
    if count > len(images):
        raise ValueError(f"{key} is {count}, and there are {len(images)}: ask for no more, or null")
    generator = torch.Generator().manual_seed(SUBSET_SEED)
    # in a drawn order, the k-th image of each class before the k + 1-th of any
    order = torch.randperm(len(images), generator=generator)
    drawn = images.labels[order]
    nth = torch.zeros(len(images), dtype=torch.long)
    for label in set(drawn.tolist()):
        nth[drawn == label] = torch.arange(int((drawn == label).sum()))
    chosen = order[torch.argsort(nth, stable=True)[:count]]
    return images[chosen.sort().values]


def read_digits(size: int) -> Split:
    """Return scikit-learn's 1 797 scanned digits, resized, in three equal channels.

    The scans have 8 × 8 values of 0 … 16 (Alpaydin & Kaynak 1998, UCI optical recognition of
    handwritten digits). A fifth of each class is the test part, the same for every run.

    Args:
        size: side of the square images, in pixels.
    """
    with extra("image"):
        from sklearn.datasets import load_digits

    digits = load_digits()
    scans = np.round(digits.images * (255 / 16)).astype(np.uint8)
    lazy = _scanned(scans, torch.from_numpy(digits.target).long(), size)
    images = Images(lazy.pixels, lazy.labels)
    generator = torch.Generator().manual_seed(DIGITS_SEED)
    is_test = stratified(images.labels, TEST_FRACTION, generator)
    return images[~is_test], images[is_test], tuple(str(name) for name in digits.target_names)


def read_cifar10(archive: Path, size: int) -> Split:
    """Return CIFAR-10 (Krizhevsky 2009): 50 000 images to learn from, 10 000 to test on.

    Args:
        archive: the published cifar-10-python.tar.gz.
        size: side of the square images, in pixels; the published ones have 32.

    Raises:
        FileNotFoundError: there is no such archive.
        ValueError: it is not the published one.
    """
    with extra("image"):
        import torchvision

    cifar10 = torchvision.datasets.CIFAR10
    with tempfile.TemporaryDirectory() as temporary:
        folder = unpack(archive, Path(temporary) / "cifar10", LIMIT)
        try:
            # checksums are compared before anything is unpickled
            halves = [cifar10(folder, train=train, download=False) for train in (True, False)]
        except RuntimeError as error:
            raise ValueError(
                f"{archive} is not the published CIFAR-10: expected {cifar10.filename} with md5 "
                f"{cifar10.tgz_md5}: retrieve it again"
            ) from error
    train, test = (_scanned(half.data, torch.tensor(half.targets), size) for half in halves)
    return train, test, tuple(halves[0].classes)


def read_folder(
    location: Path, size: int, crop: str, broken: str, seed: int, name: str = "<dataset>"
) -> Split:
    """Return images from class folders, in a folder or an archive, or those that a CSV lists.

    The class folders stand in train/ and in test/ or val/, or there is one tree of them, of which
    a fifth of each class is drawn for testing. Either may have single folders above it. Hidden
    files are passed over, and so is what stands beside the folders; text and what systems leave
    beside the images is left out, and the log says how many. `equitune.image.listed` says what a
    CSV has.

    Args:
        location: the folder, a .tar, .tar.gz or .zip, or a .csv.
        size: the shorter side, in pixels.
        crop: "center" cuts the square in the middle; "none" keeps images of one shape whole.
        broken: "refuse", or "skip" with a warning for each, files that cannot be decoded.
        seed: draws the test part of a tree without one; otherwise nothing depends on it.
        name: of the dataset in the configuration, for messages.

    Raises:
        ValueError: there is no such location; there are not the folders or images described; a
            class lacks a part; files cannot be decoded, or images have different shapes, and that
            is not allowed.
    """
    for key, value, known in (("crop", crop, CROPS), ("broken", broken, BROKEN)):
        if value not in known:
            raise ValueError(f"unknown {key} {value!r}{nearest(value, known)}")
    prepared = Prepared(size, crop, broken, seed)
    if location.is_dir():
        return _read_tree(Place(location, location, name), prepared)
    if not location.is_file():
        raise ValueError(
            f"{location} does not exist: expected a {EXPECTED}: set image.sources.{name}.location"
            f"{looked_at(location)}"
        )
    if location.suffix == SUFFIX:
        return _read_listing(Place(location.parent, location.parent, name), location, prepared)
    with tempfile.TemporaryDirectory() as temporary:
        root = unpack(location, Path(temporary) / "images", LIMIT)
        return _read_tree(Place(root, location, name), prepared)


@dataclass(frozen=True)
class Prepared:
    """What is done with images; see `read_folder`."""

    size: int
    crop: str
    broken: str
    seed: int


def _read_tree(tree: Place, how: Prepared) -> Split:
    """Read the images of a tree; errors as `read_folder`."""
    parts = parts_of(tree, tree.root)
    classes = classes_of(tree, parts)
    listed = [[files_of(tree, part / name) for name in classes] for part in parts]
    files = [file for part in listed for found in part for file in found]
    places = [label for part in listed for label, found in enumerate(part) for _ in found]
    tell_left_out(tree, parts, classes)
    held_out = None
    if len(parts) == 2:
        held_out = torch.arange(len(files)) >= sum(map(len, listed[0]))
    return _split(tree, files, torch.tensor(places), held_out, classes, how)


def _read_listing(place: Place, table: Path, how: Prepared) -> Split:
    """Read the images that a CSV lists; errors as `read_folder`."""
    files, names, held_out = read_listing(table)
    classes = tuple(sorted(set(names)))
    if len(classes) == 1:
        raise ValueError(f"{table} has one class, {classes[0]}: expected two or more")
    labels = torch.tensor([classes.index(name) for name in names])
    mask = None if held_out is None else torch.tensor(held_out)
    return _split(place, files, labels, mask, classes, how)


def _split(
    place: Place,
    files: Sequence[Path],
    labels: Tensor,
    held_out: Tensor | None,
    classes: tuple[str, ...],
    how: Prepared,
) -> Split:
    """Decode files and return the two parts; without `held_out` the test part is drawn."""
    pixels, kept = decode(place, files, how.size, how.crop, how.broken)
    labels = labels[kept]
    if held_out is None:
        generator = torch.Generator().manual_seed(how.seed)
        is_test = stratified(labels, TEST_FRACTION, generator)
    else:
        is_test = held_out[kept]
    for part, mask in (("train", ~is_test), ("test", is_test)):
        for label, name in enumerate(classes):
            if not (labels[mask] == label).any():
                raise ValueError(
                    f"{place.known_as}: class {name} has no image left for the {part} part: add "
                    "some, or remove the class"
                )
    images = Images(pixels, labels).lazy()
    return images[~is_test], images[is_test], classes


def _scanned(scans: NDArray[np.uint8], labels: Tensor, size: int) -> Images:
    """Return square scans (n, height, width) or (n, height, width, 3), prepared one by one."""

    def prepared(places: Tensor) -> Tensor:
        pixels = torch.empty(len(places), 3, size, size, dtype=torch.uint8)
        for row, place in enumerate(places.tolist()):
            pixels[row] = prepare(Image.fromarray(scans[place]).convert("RGB"), size, "center")
        return pixels

    return Lazy(prepared, torch.arange(len(labels)), labels)


# by kind: of a source, its file or folder if it has one, the seed and the name of the dataset
READERS: dict[str, Callable[[ImageSource, Path, int, str], Split]] = {
    "digits": lambda source, *_: read_digits(source.size),
    "cifar10": lambda source, place, *_: read_cifar10(place, source.size),
    "archive": _read_files,
    "folder": _read_files,
}
