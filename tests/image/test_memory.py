"""Images and features are in memory once at most, whatever their number: bytes, not time."""

import pytest
import torch
from allocated import most_bytes

from equitune.actions import Rotate90
from equitune.image import cache, data, evaluation, features, sources
from equitune.image.data import Images

CLASSES = ("dark", "left", "top")
SIZE = 64  # 12 kB an image
FACTS = dict.fromkeys(cache.FACTS)


@pytest.fixture(autouse=True)
def few_at_once(monkeypatch):
    """Few images are many times as many as are made at once."""
    monkeypatch.setattr(data, "CHUNK", 4)


@pytest.fixture
def path(draw, tmp_path):
    """A dataset on disk."""
    path = tmp_path / "dataset.safetensors"
    data.save_dataset(path, build(draw), CLASSES, dataset="halves", seed=0, size=SIZE)
    return path


def build(draw):
    return data.build_dataset(draw(96, size=SIZE), draw(48, seed=1, size=SIZE), 0, 0.2)


def test_building_a_dataset_copies_a_few_images_at_once(draw, tmp_path):
    path, (train, test) = tmp_path / "x", (draw(96, size=SIZE), draw(48, seed=1, size=SIZE))

    def work():
        data.save_dataset(path, data.build_dataset(train, test, 0, 0.2), CLASSES)

    assert most_bytes(work, tmp_path, [path]) < path.stat().st_size / 4


def test_scans_are_prepared_while_they_are_written(tmp_path):
    path, scans = tmp_path / "x", torch.arange(144 * 64).view(144, 8, 8).to(torch.uint8).numpy()

    def work():
        images = sources._scanned(scans, torch.arange(144) % 3, SIZE)
        parts = data.build_dataset(images[:96], sources._some(images[96:], 30, "x"), 0, 0.2)
        data.save_dataset(path, parts, CLASSES)

    assert most_bytes(work, tmp_path, [path]) < path.stat().st_size / 4


def test_a_dataset_is_read_where_it_stands(path, tmp_path):
    def work():
        train = data.load_dataset(path)[0]["train"].to("cpu")
        assert features.as_input(train[[4]].pixels).max() <= 1

    assert most_bytes(work, tmp_path, [path]) < path.stat().st_size / 4


def test_images_are_moved_and_compared_a_few_at_once(path, tmp_path):
    moved = tmp_path / "moved"

    def work():
        test = data.load_dataset(path)[0]["test"]
        images, elements = data.transform(test, Rotate90(), 0)
        data.save_transformed(moved, images, elements, group="rotate90", seed=0)
        evaluation._elements(moved, test, path)

    assert most_bytes(work, tmp_path, [path, moved]) < path.stat().st_size / 4


def test_images_of_several_seeds_are_gathered_a_few_at_once(path, tmp_path):
    def work():
        images, known = cache.distinct([path, path])
        assert sum(len(part.pixels) for part in images.parts()) == len(known) == 144

    assert most_bytes(work, tmp_path, [path]) < path.stat().st_size / 4


def test_features_are_joined_as_they_come():
    parts = [torch.randn(4, count, 8, 2) for count in (5, 5, 3)]
    assert torch.equal(features.joined(iter(parts), 13), torch.cat(parts, dim=1))


def test_features_are_in_memory_once_while_they_are_made(tmp_path):
    path, size = tmp_path / "features", 4 * 300 * 256 * 4
    known = [f"{row:032x}" for row in range(300)]

    def work():
        parts = (torch.randn(4, 10, 256, 1) for _ in range(30))
        cache.save(path, features.joined(parts, 300), known, "rotate90", **FACTS)

    assert size < most_bytes(work, tmp_path) < 1.3 * size


def test_features_stay_in_their_file_until_a_batch_is_taken(draw, tmp_path):
    path, images = tmp_path / "features", draw(60, size=8)
    whole = torch.randn(4, 60, 2048, 1)
    cache.save(path, whole, cache.keys(images), "rotate90", **FACTS)
    rows = torch.tensor([3, 1])

    def work():
        found = cache.load(path)
        orbits, upright = found.of(images), found.upright(images)
        copies, same = torch.tensor([[0], [2]]), torch.tensor([[0]])
        assert torch.equal(orbits[copies, rows], whole[copies, rows])
        assert torch.equal(upright[same, rows], whole[same, rows])
        assert (upright.shape, orbits.shape) == ((1, 60, 2048, 1), (4, 60, 2048, 1))

    assert most_bytes(work, tmp_path, [path]) < path.stat().st_size / 4


def test_a_lazy_image_is_what_is_made_of_its_row():
    pixels = torch.arange(7 * 12, dtype=torch.uint8).view(7, 3, 2, 2)
    lazy = Images(pixels, torch.arange(7)).lazy()
    assert torch.equal(lazy.pixels, pixels)
    for rows in (torch.tensor([2, 0]), torch.arange(7) > 2, slice(1, None, 2), [1]):
        for some, of in ((lazy[rows], pixels[rows]), (lazy[[6, 2, 5, 1]][:2], pixels[[6, 2]])):
            assert torch.equal(some.pixels, of)
            assert some.labels.tolist() == [int(x[0, 0, 0]) // 12 for x in of]
    assert [len(part) for part in lazy.parts(3)] == [3, 3, 1]
