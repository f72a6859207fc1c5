"""Small datasets and models that the tests of the image experiment share."""

import importlib.util

import pytest
import torch

from equitune.image.data import (
    Images,
    build_dataset,
    image_action,
    save_dataset,
    save_transformed,
    transform,
)

collect_ignore_glob = [] if importlib.util.find_spec("torchvision") else ["test_*.py"]

SIZE = 32
CLASSES = ("dark", "left", "top")


def make_images(count, seed=0, size=SIZE):
    """Noise whose brighter half tells the class: none, the left one, the upper one."""
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 60, (count, 3, size, size), generator=generator, dtype=torch.uint8)
    labels = torch.arange(count) % len(CLASSES)
    pixels[labels == 1, :, :, : size // 2] += 150
    pixels[labels == 2, :, : size // 2] += 150
    return Images(pixels, labels)


@pytest.fixture
def images():
    return make_images(12)


@pytest.fixture(scope="session")
def draw():
    """Make such images: draw(count, seed=…, size=…)."""
    return make_images


@pytest.fixture(scope="session")
def dataset(tmp_path_factory):
    """A dataset on disk with its test part turned, as the rules leave them."""
    folder = tmp_path_factory.mktemp("images")
    parts = build_dataset(make_images(30), make_images(12, seed=1), 0, 0.3)
    save_dataset(
        folder / "dataset.safetensors",
        parts,
        CLASSES,
        dataset="halves",
        seed=0,
        size=SIZE,
        upsample=1,
    )
    for group in ("rotate90", "flip"):
        moved, elements = transform(parts["test"], image_action(group), 0)
        save_transformed(
            folder / f"{group}.safetensors", moved, elements, dataset="halves", group=group, seed=0
        )
    return folder
