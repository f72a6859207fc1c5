"""Features on disk are found by the pixels of their image, whichever part and seed it is of."""

import hashlib
import re

import pytest
import torch

from equitune.image import cache
from equitune.image.data import Images, build_dataset, save_dataset

FACTS = {
    "dataset": "halves",
    "network": "resnet18",
    "options": {},
    "size": 8,
    "upsample": 1,
    "pooled": True,
    "weights": "abc",
}


def told_by(images):
    """Features that tell the image and the copy: (4, n, 2, 1)."""
    sums = images.pixels.double().sum((1, 2, 3)).float()
    return torch.stack([torch.stack([sums, sums * 0 + g], 1) for g in range(4)]).unsqueeze(-1)


@pytest.fixture
def written(draw, tmp_path):
    images = draw(7, size=8)
    path = tmp_path / "features.safetensors"
    cache.save(path, told_by(images), cache.keys(images), "rotate90", **FACTS)
    return images, path


def test_an_image_is_known_by_its_pixels(draw):
    images = draw(3, size=8)
    digest = hashlib.sha256(bytes(images.pixels[1].flatten().tolist())).hexdigest()
    assert cache.keys(images)[1] == digest[:32]
    assert len(set(cache.keys(images))) == 3
    moved = Images(images.pixels.flip(3), images.labels)
    assert not set(cache.keys(moved)) & set(cache.keys(images))


def test_features_come_back_in_the_order_of_the_images_asked_for(written):
    images, path = written
    orbits = cache.load(path)
    asked = images[[5, 0, 0, 3]]
    copies, rows = torch.arange(4)[:, None], torch.arange(4)
    assert torch.equal(orbits.of(asked)[copies, rows], told_by(asked))
    assert torch.equal(orbits.upright(asked)[copies[:1], rows], told_by(asked)[:1])
    assert (orbits.group, orbits.facts) == ("rotate90", FACTS)


def test_an_image_that_is_not_there_is_one_line(draw, written):
    _, path = written
    with pytest.raises(ValueError, match=re.escape(f"{path} has no features of an image of halv")):
        cache.load(path).of(draw(3, seed=9, size=8))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("weights", "abd"),
        ("upsample", 2),
        ("dataset", "other"),
        ("pooled", False),
        ("options", {"dropout": 0}),
    ],
)
def test_features_of_something_else_are_refused(written, name, value):
    _, path = written
    with pytest.raises(ValueError, match=f"has features for {name} ") as told:
        cache.load(path).check(FACTS | {name: value})
    assert "\n" not in str(told.value)
    cache.load(path).check(FACTS)


def test_every_image_is_there_once_whatever_the_seeds_drew(draw, tmp_path):
    train, test = draw(12, size=8), draw(6, seed=1, size=8)
    paths = []
    for seed in (0, 1):
        paths.append(tmp_path / f"{seed}.safetensors")
        parts = build_dataset(train, test, seed, 0.3)
        save_dataset(paths[-1], parts, ("a", "b", "c"), dataset="halves", seed=seed, size=8)
    images, known = cache.distinct(paths)
    assert known == cache.keys(images)
    assert sorted(known) == sorted({*cache.keys(train), *cache.keys(test)})
    assert len(images) == 18


def test_the_features_of_a_group_are_chosen(written):
    _, path = written
    assert cache.choose([], None) is None
    assert cache.choose([path], "flip") is None
    assert cache.choose([path], "rotate90").group == "rotate90"
    assert cache.choose([path], None).group == "rotate90"


def test_a_file_of_another_kind_is_refused(draw, tmp_path):
    path = tmp_path / "dataset.safetensors"
    parts = build_dataset(draw(9, size=8), draw(3, seed=1, size=8), 0, 0.3)
    save_dataset(path, parts, ("a", "b", "c"), dataset="halves", seed=0, size=8)
    with pytest.raises(ValueError, match="is not a file of orbit features: make one with equitune"):
        cache.load(path)
