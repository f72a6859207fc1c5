"""Images as tensors: datasets, their parts, copies moved by a group.

Pixels are bytes, 0 … 255, as (n, channels, height, width). Where they come from stands in
sources.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from equitune import actions
from equitune.actions import Action
from equitune.config.image_groups import IMAGE_GROUPS
from equitune.io.files import load_tensors, save_tensors
from equitune.io.names import nearest
from equitune.io.tensors import Parts

PARTS = ("train", "validation", "test")
SIDES = ("pixels", "labels")
KIND = "image dataset"
KIND_TRANSFORMED = "group-transformed image dataset"
CHUNK = 256  # images made at once, where a copy for each group element may be held in between


@dataclass(frozen=True)
class Images:
    """Images and their classes, row by row.

    Attributes:
        pixels: (n, channels, height, width) uint8.
        labels: (n,) int64, the places of the classes in their list.
    """

    pixels: Tensor
    labels: Tensor

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.labels)

    def __getitem__(self, rows: Tensor | slice | Sequence[int]) -> Images:
        """Return the images at the rows: indices (m,), a mask (n,) or a slice."""
        return Images(self.pixels[rows], self.labels[rows])

    def to(self, device: torch.device | str) -> Images:
        """Return the images on a device."""
        return Images(self.pixels.to(device), self.labels.to(device))

    def parts(self, size: int | None = None) -> Iterator[Images]:
        """Yield the images, at most that many at once; None: `CHUNK`."""
        step = size or CHUNK
        for start in range(0, len(self), step):
            yield self[start : start + step]

    def lazy(self) -> Images:
        """Return the images so that rows of them are no copies."""
        return Lazy(self.pixels.__getitem__, torch.arange(len(self)), self.labels)

    def moved(self, action: Action, by: Tensor | int) -> Images:
        """Return the images moved by an element, or each by its own, (n,), when looked at."""

        def move(rows: Tensor) -> Tensor:
            return action(by if isinstance(by, int) else by[rows], self[rows].pixels)

        return Lazy(move, torch.arange(len(self)), self.labels)


class Lazy(Images):
    """Images that are made when they are looked at: in parts, few are in memory at once.

    Args:
        make: places (m,) in a source to pixels (m, channels, height, width).
        places: of these images in the source, (n,).
        labels: (n,).
    """

    def __init__(self, make: Callable[[Tensor], Tensor], places: Tensor, labels: Tensor) -> None:
        """Store what makes the images."""
        object.__setattr__(self, "labels", labels)  # of a frozen dataclass
        self._make, self._places = make, places

    @property
    def pixels(self) -> Tensor:
        """Make all of the images, anew at every call."""
        return torch.cat([self._make(places) for places in torch.split(self._places, CHUNK)])

    def __getitem__(self, rows: Tensor | slice | Sequence[int]) -> Images:
        """Return the images at the rows, not yet made."""
        return Lazy(self._make, self._places[rows], self.labels[rows])

    def lazy(self) -> Images:
        """Return the images, whose rows are no copies."""
        return self


def image_action(name: str) -> Action:
    """Return the action of a group on images, by the name of the group.

    Raises:
        ValueError: the name is unknown; the nearest known ones are named.
    """
    if name not in IMAGE_GROUPS:
        raise ValueError(f"unknown group {name!r}{nearest(name, IMAGE_GROUPS)}")
    group = IMAGE_GROUPS[name]
    action: Action = getattr(actions, group.action)(**group.arguments)
    return action


def stratified(labels: Tensor, fraction: float, generator: torch.Generator) -> Tensor:
    """Draw a share of every class.

    Args:
        labels: (n,).
        fraction: the share, between 0 and 1. It is rounded class by class, but at least one image
            is drawn and at least one is left, where a class has two or more; one alone is left.
        generator: decides which are drawn.

    Returns:
        A mask (n,), true where an image is drawn.
    """
    drawn = torch.zeros(len(labels), dtype=torch.bool)
    for label in sorted(set(labels.tolist())):
        rows = (labels == label).nonzero().flatten()
        number = min(max(round(fraction * len(rows)), 1), len(rows) - 1)
        drawn[rows[torch.randperm(len(rows), generator=generator)[:number]]] = True
    return drawn


def build_dataset(
    train: Images,
    test: Images,
    seed: int,
    validation_fraction: float,
    subset: int | None = None,
) -> dict[str, Images]:
    """Split a validation part off the training images, stratified by class; the test part stays.

    Args:
        train: the images to split.
        test: the images to test on, the same for every seed unless a subset is drawn.
        seed: decides what is drawn.
        validation_fraction: share of each class, between 0 and 1; see `stratified`.
        subset: for trial runs, at most that many random images of each part.

    Returns:
        "train", "validation" and "test", each in the order in which its images came, `Lazy`.

    Raises:
        ValueError: the fraction or the subset is out of range, or a part would be empty.
    """
    if not 0 < validation_fraction < 1:
        raise ValueError(f"validation_fraction is {validation_fraction}: expected 0 < it < 1")
    if subset is not None and subset < 1:
        raise ValueError(f"subset is {subset}: expected a positive number of images, or none")
    generator = torch.Generator().manual_seed(seed)
    held_out = stratified(train.labels, validation_fraction, generator)
    rows = {
        "train": (train, (~held_out).nonzero().flatten()),
        "validation": (train, held_out.nonzero().flatten()),
        "test": (test, torch.arange(len(test))),
    }
    dataset = {}
    for name, (images, places) in rows.items():
        if not len(places):
            raise ValueError(
                f"the {name} part is empty: {len(train)} training images at validation_fraction "
                f"{validation_fraction}, {len(test)} test images: add images"
            )
        if subset is not None:
            chosen = torch.randperm(len(places), generator=generator)[:subset].sort().values
            places = places[chosen]
        dataset[name] = images.lazy()[places]
    return dataset


def save_dataset(
    path: Path, dataset: Mapping[str, Images], classes: Sequence[str], /, **facts: Any
) -> None:
    """Write a dataset as safetensors, the same bytes every time.

    Args:
        path: the file to write.
        dataset: what `build_dataset` returned.
        classes: their names, in the order of the labels.
        **facts: JSON-able; dataset=, its name, seed= and size= at least. Classes and counts are
            added.
    """
    tensors: dict[str, Tensor | Parts] = {}
    for name, images in dataset.items():
        tensors |= {f"{name}.{side}": each for side, each in _written(images).items()}
    counts = {name: len(images) for name, images in dataset.items()}
    about = {"kind": KIND, **facts, "classes": list(classes), "counts": counts}
    save_tensors(path, tensors, about)


def load_dataset(path: Path) -> tuple[dict[str, Images], dict[str, Any]]:
    """Return a dataset and the facts that `save_dataset` wrote, "classes" and "counts" among them.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is truncated or no dataset of this experiment.
    """
    names = {f"{name}.{side}" for name in PARTS for side in SIDES}
    tensors, facts = _load(path, KIND, names, "equitune image dataset")
    dataset = {name: Images(*(tensors[f"{name}.{side}"] for side in SIDES)) for name in PARTS}
    return dataset, facts


def transform(images: Images, action: Action, seed: int) -> tuple[Images, Tensor]:
    """Move every image by a group element of its own, drawn uniformly and fixed by the seed.

    With `Rotate90` this is the published evaluation on randomly rotated images (Basu et al. 2023),
    except that the rotation of an image is the same in every epoch and for every model.

    Args:
        images: what is moved.
        action: how a group moves them.
        seed: decides the elements.

    Returns:
        The moved images, `Lazy`, and their elements (n,) int64.

    Raises:
        ValueError: the images are not square, and the group has quarter turns.
    """
    height, width = images[:1].pixels.shape[-2:]
    if height != width and isinstance(action, actions.Rotate90 | actions.RotateFlip):
        raise ValueError(
            f"{type(action).__name__} cannot turn images of height {height} and width {width}: "
            "set crop: center for the dataset, or use the group flip"
        )
    generator = torch.Generator().manual_seed(seed)
    elements = torch.randint(action.group.order, (len(images),), generator=generator)

    return images.moved(action, elements), elements


def save_transformed(path: Path, images: Images, elements: Tensor, **facts: Any) -> None:
    """Write moved images as safetensors, the same bytes every time.

    Args:
        path: the file to write.
        images: what `transform` returned.
        elements: likewise, (n,).
        **facts: JSON-able; dataset=, group= and seed= at least.
    """
    tensors = {**_written(images), "elements": elements}
    save_tensors(path, tensors, {"kind": KIND_TRANSFORMED, **facts})


def load_transformed(path: Path) -> tuple[Images, Tensor, dict[str, Any]]:
    """Return the moved images, their elements and the facts that `save_transformed` wrote.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is truncated or no group-transformed dataset of this experiment.
    """
    names = {*SIDES, "elements"}
    tensors, facts = _load(path, KIND_TRANSFORMED, names, "equitune image transform")
    return Images(tensors["pixels"], tensors["labels"]), tensors["elements"], facts


def _written(images: Images) -> dict[str, Tensor | Parts]:
    """Return the tensors of a file of images, of which a part is in memory at once."""
    first = images[:1].pixels
    shape = (len(images), *first.shape[1:])
    pixels = Parts(shape, first.dtype, (part.pixels for part in images.parts()))
    return dict(zip(SIDES, (pixels, images.labels), strict=True))


def _load(
    path: Path, kind: str, names: set[str], command: str
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors and facts of a file of a kind, or say which command makes one."""
    tensors, facts = load_tensors(path)
    if facts.pop("kind", None) != kind or tensors.keys() != names:
        raise ValueError(f"{path} is not of kind {kind}: make one with {command}")
    return tensors, facts
