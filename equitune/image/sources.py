"""Where images come from: embedded digits, CIFAR-10, folders; knows no group and no model.

Every source gives the images to learn from, those to test on, and the names of the classes. All
are prepared alike, as for the published weights: resized so that the shorter side has the wanted
size (bilinear, antialiased), then cropped to the square in the middle.
"""

from __future__ import annotations

import io
import logging
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from equitune.archives import unpack
from equitune.config import ImageSource
from equitune.extras import extra
from equitune.image.data import Images, stratified
from equitune.names import nearest
from equitune.vision import import_torchvision

with extra("image"):
    from PIL import Image, UnidentifiedImageError

logger = logging.getLogger(__name__)

Split = tuple[Images, Images, tuple[str, ...]]

CROPS = ("center", "none")
BROKEN = ("refuse", "skip")
DIGITS_SEED = 0  # draws the test part, which is no part of a run
SUBSET_SEED = 0  # likewise, what train_images and test_images keep
TEST_FRACTION = 0.2
HELD_OUT = ("test", "val")  # what the folder beside train may be called
LIMIT = 1 << 34  # bytes that an archive may unpack to
FORMATS = ("JPEG", "PNG")
SHOWN = 5  # names in a message
# what Pillow raises for bytes that are no whole image
UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)


def read_source(source: ImageSource, archive: Path | None, seed: int) -> Split:
    """Return the images that a source of the configuration describes.

    Args:
        source: kind, size and what is done about shapes and broken files.
        archive: the retrieved file, for the kinds cifar10 and archive.
        seed: splits a folder that has no test part.

    Raises:
        FileNotFoundError: the archive or the folder does not exist.
        ValueError: what is there cannot be read, or more images are asked for than there are;
            see the readers below.
    """
    train, test, classes = _read(source, archive, seed)
    return (
        _some(train, source.train_images, "train_images"),
        _some(test, source.test_images, "test_images"),
        classes,
    )


def _read(source: ImageSource, archive: Path | None, seed: int) -> Split:
    """Return all images of a source; errors as `read_source`."""
    if source.kind == "digits":
        return read_digits(source.size)
    place = Path(source.location or "") if source.kind == "folder" else archive
    if place is None:
        raise ValueError(f"a source of kind {source.kind} needs its file: pass --archive")
    if source.kind == "cifar10":
        return read_cifar10(place, source.size)
    return read_folder(place, source.size, source.crop, source.broken, seed)


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
    images = Images(_prepared(scans, size), torch.from_numpy(digits.target).long())
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
    cifar10 = import_torchvision().datasets.CIFAR10
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
    train, test = (
        Images(_prepared(half.data, size), torch.tensor(half.targets)) for half in halves
    )
    return train, test, tuple(halves[0].classes)


def read_folder(location: Path, size: int, crop: str, broken: str, seed: int) -> Split:
    """Return JPEG and PNG images from class folders, in a folder or an archive.

    The class folders stand in train/ and in test/ or val/, or there is one tree of them, of which
    a fifth of each class is drawn for testing. Either may have single folders above it. Hidden
    files are passed over, and so is what stands beside the folders.

    Args:
        location: the folder, or a .tar, .tar.gz or .zip.
        size: the shorter side, in pixels.
        crop: "center" cuts the square in the middle; "none" keeps images of one shape whole.
        broken: "refuse", or "skip" with a warning for each, files that cannot be decoded.
        seed: draws the test part of a tree without one; otherwise nothing depends on it.

    Raises:
        ValueError: there is no such location; there are not the folders or images described; a
            class lacks a part; files cannot be decoded, or images have different shapes, and that
            is not allowed.
    """
    for key, value, known in (("crop", crop, CROPS), ("broken", broken, BROKEN)):
        if value not in known:
            raise ValueError(f"unknown {key} {value!r}{nearest(value, known)}")
    if location.is_dir():
        return _read_tree(_Tree(location, location), size, crop, broken, seed)
    if not location.is_file():
        raise ValueError(f"{location} does not exist: expected a folder or an archive of images")
    with tempfile.TemporaryDirectory() as temporary:
        root = unpack(location, Path(temporary) / "images", LIMIT)
        return _read_tree(_Tree(root, location), size, crop, broken, seed)


@dataclass(frozen=True)
class _Tree:
    """A folder of images, and the path it is known by, which is that of its archive if any."""

    root: Path
    known_as: Path

    def name(self, path: Path) -> Path:
        """Return what to call a path in a message."""
        return self.known_as / path.relative_to(self.root)


def _read_tree(tree: _Tree, size: int, crop: str, broken: str, seed: int) -> Split:
    """Read the images of a tree; errors as `read_folder`."""
    parts = _parts(tree, tree.root)
    classes = _classes(tree, parts)
    listed = [[_files(tree, part / name) for name in classes] for part in parts]
    files = [file for part in listed for found in part for file in found]
    places = [label for part in listed for label, found in enumerate(part) for _ in found]
    pixels, kept = _decode(tree, files, size, crop, broken)
    labels = torch.tensor(places)[kept]
    if len(parts) == 1:
        is_test = stratified(labels, TEST_FRACTION, torch.Generator().manual_seed(seed))
    else:
        is_test = kept >= sum(map(len, listed[0]))
    for part, mask in (("train", ~is_test), ("test", is_test)):
        for label, name in enumerate(classes):
            if not (labels[mask] == label).any():
                raise ValueError(
                    f"{tree.known_as}: class {name} has no image left for the {part} part: add "
                    "some, or remove the class"
                )
    images = Images(pixels, labels)
    return images[~is_test], images[is_test], classes


def _parts(tree: _Tree, folder: Path) -> list[Path]:
    """Return the folders of train and test, or the one tree there is; single folders are opened."""
    folders = _visible(folder, Path.is_dir)
    if len(folders) == 1 and _visible(folders[0], Path.is_dir):
        return _parts(tree, folders[0])
    names = [each.name for each in folders]
    held_out = [name for name in HELD_OUT if name in names]
    if "train" not in names or not held_out:
        return [folder]
    for name in held_out[1:]:
        logger.warning("%s is not used: %s is", tree.name(folder / name), held_out[0])
    return [folder / "train", folder / held_out[0]]


def _classes(tree: _Tree, parts: Sequence[Path]) -> tuple[str, ...]:
    """Return the names of the class folders, which must be the same in all parts."""
    found = [[folder.name for folder in _visible(part, Path.is_dir)] for part in parts]
    for part, names in zip(parts, found, strict=True):
        if not names:
            raise ValueError(
                f"{tree.name(part)} has no class folders: expected one for each class, with images"
            )
        if missing := sorted({*found[0], *found[-1]} - {*names}):
            raise ValueError(
                f"{tree.name(part)} lacks {', '.join(missing[:SHOWN])}: expected the same classes "
                f"in {' and '.join(each.name for each in parts)}"
            )
    if len(found[0]) == 1:
        raise ValueError(f"{tree.known_as} has one class, {found[0][0]}: expected two or more")
    return tuple(found[0])


def _files(tree: _Tree, folder: Path) -> list[Path]:
    """Return the files of a class folder, at least one."""
    if inner := _visible(folder, Path.is_dir):
        raise ValueError(
            f"{tree.name(inner[0])} is a folder where images are expected: put class folders into "
            "train and test or val, or into one folder"
        )
    files = _visible(folder, Path.is_file)
    if not files:
        raise ValueError(f"{tree.name(folder)} has no images: add some, or remove the class")
    return files


def _visible(folder: Path, kind: Callable[[Path], bool]) -> list[Path]:
    """Return the files or the folders in a folder, by name, without what systems leave there."""
    entries = (entry for entry in folder.iterdir() if entry.name != "__MACOSX")
    return sorted(entry for entry in entries if entry.name[0] != "." and kind(entry))


def _decode(
    tree: _Tree, files: Sequence[Path], size: int, crop: str, broken: str
) -> tuple[Tensor, Tensor]:
    """Return the prepared pixels of the files that can be decoded, and their places (n,)."""
    pixels = torch.empty(0)
    kept: list[int] = []
    faults: list[str] = []
    for place, file in enumerate(files):
        data = file.read_bytes()  # apart, as a disk that fails is no broken image
        try:
            image = _rgb(data)
        except UNREADABLE as error:
            faults.append(f"{tree.name(file)} ({' '.join(str(error).split())})")
            continue
        prepared = _prepare(image, size, crop)
        if not kept:
            pixels = torch.empty(len(files), *prepared.shape, dtype=torch.uint8)
        elif prepared.shape != pixels.shape[1:]:
            raise ValueError(
                f"{tree.name(files[kept[0]])} comes out as {tuple(pixels.shape[1:])} and "
                f"{tree.name(file)} as {tuple(prepared.shape)}, (channels, height, width): set "
                "crop: center"
            )
        pixels[len(kept)] = prepared
        kept.append(place)
    if faults and broken == "refuse":
        more = ", …" if len(faults) > SHOWN else ""
        raise ValueError(
            f"{len(faults)} of {len(files)} files cannot be decoded: {', '.join(faults[:SHOWN])}"
            f"{more}: remove them, or set broken: skip"
        )
    for fault in faults:
        logger.warning("left out, as it cannot be decoded: %s", fault)
    return pixels[: len(kept)], torch.tensor(kept, dtype=torch.long)


def _rgb(data: bytes) -> Image.Image:
    """Decode a JPEG or PNG whole.

    The orientation in EXIF is not applied, as torchvision's ImageFolder, with which the published
    weights were trained, does not apply it.
    """
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            if image.mode.startswith(("I", "F")):  # Pillow would clip these to 8 bits
                raise ValueError(f"pixels of mode {image.mode}, expected 8 bits a channel")
            return image.convert("RGB")  # this loads; an image that is cut off fails here
    except UnidentifiedImageError:
        raise ValueError(f"no {' or '.join(FORMATS)}") from None


def _prepare(image: Image.Image, size: int, crop: str) -> Tensor:
    """Resize and crop an RGB image: (3, height, width) uint8."""
    functional = import_torchvision().transforms.functional
    resized = functional.resize(image, [size], antialias=True)  # bilinear; the shorter side
    if crop == "center":
        resized = functional.center_crop(resized, [size, size])
    pixels: Tensor = functional.pil_to_tensor(resized)
    return pixels


def _prepared(scans: NDArray[np.uint8], size: int) -> Tensor:
    """Prepare square scans (n, height, width) or (n, height, width, 3): (n, 3, size, size)."""
    pixels = torch.empty(len(scans), 3, size, size, dtype=torch.uint8)
    for row, scan in enumerate(scans):
        pixels[row] = _prepare(Image.fromarray(scan).convert("RGB"), size, "center")
    return pixels
