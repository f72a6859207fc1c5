"""Features of orbits on disk, shared by all methods and seeds.

A file holds, for one frozen backbone and one group, the features of every copy of every image of a
dataset. Images are found again by their pixels, so it does not matter which seed put one into
which part.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from equitune.actions import Action
from equitune.image.data import PARTS, Images, Lazy, image_action, load_dataset
from equitune.io.files import load_tensors, save_tensors

KIND = "orbit features"
DIGITS = 16  # bytes of an image's SHA-256 that tell it from all others
FACTS = ("dataset", "network", "options", "size", "upsample", "pooled", "weights")


def keys(images: Images) -> list[str]:
    """Return for each image what it is known by: 32 hexadecimal digits of its pixels' SHA-256."""
    parts = (part.pixels.cpu().contiguous().numpy() for part in images.parts())
    return [hashlib.sha256(each).hexdigest()[: 2 * DIGITS] for part in parts for each in part]


@dataclass(frozen=True)
class Rows:
    """Features of some of the images, which stay in their file until a batch of them is taken.

    Attributes:
        features: (copies, n, channels, positions).
        rows: of the n, those meant, (images,), on the same device.
    """

    features: Tensor
    rows: Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        """As a tensor's: (copies, images, channels, positions)."""
        return len(self.features), len(self.rows), *self.features.shape[2:]

    @property
    def device(self) -> torch.device:
        """Where the features are."""
        return self.features.device

    def __getitem__(self, places: tuple[Tensor, Tensor]) -> Tensor:
        """Return the features of copies and images, as a tensor does."""
        copies, images = places
        return self.features[copies, self.rows[images]]


@dataclass(frozen=True)
class Orbits:
    """Features of the orbits of images.

    Attributes:
        features: (|G|, n, channels, positions).
        rows: the place of each image among the n, by its key.
        group: which group, as `image_action` calls it.
        facts: what the features depend on; see `FACTS`.
        path: where they were read, for messages.
    """

    features: Tensor
    rows: Mapping[str, int]
    group: str
    facts: Mapping[str, Any]
    path: Path

    @property
    def action(self) -> Action:
        """How the group moves the images."""
        return image_action(self.group)

    def upright(self, images: Images) -> Rows:
        """Return the features (1, images, channels, positions) of images as they are."""
        identity = self.action.group.identity
        return self.of(images, slice(identity, identity + 1))

    def of(self, images: Images, copies: slice = slice(None)) -> Rows:
        """Return the features (|G|, images, channels, positions) of images, on their device.

        Raises:
            ValueError: an image is not there.
        """
        try:
            rows = torch.tensor([self.rows[key] for key in keys(images)], dtype=torch.long)
        except KeyError as error:
            raise ValueError(
                f"{self.path} has no features of an image of {self.facts['dataset']} "
                f"({error.args[0]}): remove it and run again"
            ) from None
        found, device = self.features[copies], images.labels.device
        if device.type == "cpu":
            return Rows(found, rows)
        return Rows(found[:, rows].to(device), torch.arange(len(rows), device=device))

    def check(self, facts: Mapping[str, Any]) -> None:
        """Check that the features are those that a model needs.

        Raises:
            ValueError: they are of something else; the first difference is named.
        """
        for name in FACTS:
            if self.facts[name] != facts[name]:
                raise ValueError(
                    f"{self.path} has features for {name} {self.facts[name]!r}, the model needs "
                    f"{facts[name]!r}: remove it and run again"
                )


def distinct(datasets: Sequence[Path]) -> tuple[Images, list[str]]:
    """Return every image that occurs in a part of one of the datasets once, and their keys."""
    found: dict[str, tuple[Images, int]] = {}
    for path in datasets:
        parts, _ = load_dataset(path)
        for images in (parts[name] for name in PARTS):
            for row, key in enumerate(keys(images)):
                found.setdefault(key, (images, row))
    where = list(found.values())

    def make(places: Tensor) -> Tensor:
        return torch.stack([where[place][0].pixels[where[place][1]] for place in places.tolist()])

    labels = torch.stack([images.labels[row] for images, row in where])
    return Lazy(make, torch.arange(len(where)), labels), list(found)


def save(path: Path, features: Tensor, known: Sequence[str], group: str, **facts: Any) -> None:
    """Write features (|G|, n, channels, positions) of the images with these keys as safetensors."""
    places = torch.tensor([list(bytes.fromhex(key)) for key in known], dtype=torch.uint8)
    tensors = {"features": features, "keys": places}
    save_tensors(path, tensors, {"kind": KIND, "group": group, **facts})


def load(path: Path) -> Orbits:
    """Read what `save` wrote.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is truncated or holds no features of orbits.
    """
    tensors, facts = load_tensors(path)
    if facts.pop("kind", None) != KIND or tensors.keys() != {"features", "keys"}:
        raise ValueError(f"{path} is not a file of {KIND}: make one with equitune image features")
    known = (bytes(key.tolist()).hex() for key in tensors["keys"])
    rows = {key: row for row, key in enumerate(known)}
    group = facts.pop("group")
    return Orbits(tensors["features"], rows, group, facts, path)


def choose(paths: Sequence[Path], group: str | None) -> Orbits | None:
    """Return the features of a group, or of any for None, if there are some."""
    for path in paths:
        orbits = load(path)
        if group in (None, orbits.group):
            return orbits
    return None
