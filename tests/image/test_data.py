"""Parts are stratified and the seed's alone, files come back, images move as their group says."""

import pytest
import torch

from equitune.actions import Flip, Rotate90, RotateFlip
from equitune.config.image_groups import IMAGE_GROUPS
from equitune.image import data
from equitune.image.data import Images
from equitune.io.files import save_tensors

CLASSES = ("cat", "dog", "eel")


def make(counts=(40, 20, 10), shape=(3, 4, 4), first=0):
    """Images whose pixels hold their own number, so that each can be known again."""
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    labels = labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(9))]
    numbers = torch.arange(first, first + len(labels), dtype=torch.uint8)
    return Images(numbers.view(-1, 1, 1, 1).expand(-1, *shape).contiguous(), labels)


def numbers(images):
    return images.pixels[:, 0, 0, 0].tolist()


@pytest.fixture
def split():
    return make(), make((6, 6, 6), first=100)


def test_images_are_sliced_by_index_mask_and_slice():
    images = make((2, 1))
    for rows in (torch.tensor([2, 0]), torch.tensor([True, False, True]), slice(1, None), [1]):
        assert torch.equal(images[rows].pixels, images.pixels[rows])
        assert torch.equal(images[rows].labels, images.labels[rows])
        assert len(images[rows]) == len(images.labels[rows])
    assert images.to("meta").pixels.device.type == images.to("meta").labels.device.type == "meta"


def test_a_stratified_draw_takes_its_share_of_each_class():
    labels = torch.tensor([0] * 50 + [2] * 10 + [3] * 2 + [4])
    drawn = data.stratified(labels, 0.2, torch.Generator().manual_seed(0))
    assert labels[drawn].bincount(minlength=5).tolist() == [10, 0, 2, 1, 0]
    most = data.stratified(labels, 0.99, torch.Generator().manual_seed(0))
    assert labels[~most].bincount(minlength=5).tolist() == [1, 0, 1, 1, 1]
    other = data.stratified(labels, 0.2, torch.Generator().manual_seed(1))
    assert not torch.equal(drawn, other)


def test_the_validation_part_is_drawn_from_every_class_and_test_stays(split):
    train, test = split
    dataset = data.build_dataset(train, test, seed=1, validation_fraction=0.2)
    assert list(dataset) == list(data.PARTS)
    assert dataset["validation"].labels.bincount().tolist() == [8, 4, 2]
    assert dataset["train"].labels.bincount().tolist() == [32, 16, 8]
    together = numbers(dataset["train"]) + numbers(dataset["validation"])
    assert sorted(together) == numbers(train)
    for name in ("train", "validation"):
        rows = numbers(dataset[name])
        assert torch.equal(dataset[name].labels, train.labels[rows])
    assert torch.equal(dataset["test"].pixels, test.pixels)
    assert torch.equal(dataset["test"].labels, test.labels)


def test_the_seed_and_nothing_else_decides_the_dataset(split):
    def build(seed, subset=None):
        parts = data.build_dataset(*split, seed, 0.2, subset)
        return [numbers(parts[name]) for name in data.PARTS]

    for subset in (None, 9):
        torch.manual_seed(1)
        first = build(1, subset)
        torch.manual_seed(2)
        state = torch.get_rng_state()
        assert build(1, subset) == first
        assert torch.equal(torch.get_rng_state(), state)
    assert build(1)[:2] != build(2)[:2]
    assert build(1)[2] == build(2)[2]


def test_a_subset_is_a_part_of_each_part(split):
    whole = data.build_dataset(*split, 1, 0.2)
    part = data.build_dataset(*split, 1, 0.2, subset=15)
    assert [len(part[name]) for name in data.PARTS] == [15, 14, 15]
    for name in data.PARTS:
        assert set(numbers(part[name])) <= set(numbers(whole[name]))
        assert numbers(part[name]) == sorted(numbers(part[name]))
    assert numbers(part["test"]) != numbers(whole["test"])[:15]


def test_impossible_splits_are_refused(split):
    for fraction in (0, 1, 1.5, -0.1):
        with pytest.raises(ValueError, match="expected 0 < it < 1"):
            data.build_dataset(*split, 0, fraction)
    with pytest.raises(ValueError, match="subset is 0"):
        data.build_dataset(*split, 0, 0.2, subset=0)
    with pytest.raises(ValueError, match="the validation part is empty: 3 training images"):
        data.build_dataset(make((1, 1, 1)), split[1], 0, 0.2)
    with pytest.raises(ValueError, match="the test part is empty"):
        data.build_dataset(split[0], split[1][:0], 0, 0.2)


def test_a_dataset_comes_back_and_is_the_same_bytes(split, tmp_path):
    dataset = data.build_dataset(*split, 3, 0.2)
    facts = {"dataset": "animals", "seed": 3, "size": 4}
    for name in ("first", "again"):
        data.save_dataset(tmp_path / name, dataset, CLASSES, **facts)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "again").read_bytes()
    loaded, read = data.load_dataset(tmp_path / "first")
    counts = {"train": 56, "validation": 14, "test": 18}
    assert read == {**facts, "classes": list(CLASSES), "counts": counts}
    assert list(loaded) == list(data.PARTS)
    for name, images in dataset.items():
        assert torch.equal(loaded[name].pixels, images.pixels)
        assert torch.equal(loaded[name].labels, images.labels)
        assert loaded[name].pixels.dtype == torch.uint8
        assert loaded[name].labels.dtype == torch.int64


def test_moved_images_come_back_and_are_no_dataset(split, tmp_path):
    images, elements = data.transform(split[1], Rotate90(), seed=0)
    for name in ("first", "again"):
        data.save_transformed(tmp_path / name, images, elements, group="rotate90", seed=0)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "again").read_bytes()
    loaded, moved_by, facts = data.load_transformed(tmp_path / "first")
    assert torch.equal(loaded.pixels, images.pixels)
    assert torch.equal(loaded.labels, images.labels)
    assert torch.equal(moved_by, elements)
    assert facts == {"group": "rotate90", "seed": 0}
    with pytest.raises(ValueError, match="first is not of kind image dataset: make one with"):
        data.load_dataset(tmp_path / "first")


def test_another_file_is_no_dataset(split, tmp_path):
    save_tensors(tmp_path / "model", {"weight": torch.zeros(2)})
    data.save_dataset(tmp_path / "dataset", data.build_dataset(*split, 0, 0.2), CLASSES)
    save_tensors(tmp_path / "part", {"test.labels": torch.zeros(2)}, {"kind": data.KIND})
    tensors = data.load_tensors(tmp_path / "dataset")[0]
    save_tensors(tmp_path / "other", tensors, {"kind": "something else"})
    for name in ("model", "part", "other"):
        with pytest.raises(ValueError, match=f"{name} is not of kind image dataset"):
            data.load_dataset(tmp_path / name)
    with pytest.raises(ValueError, match="dataset is not of kind group-transformed image dataset"):
        data.load_transformed(tmp_path / "dataset")
    with pytest.raises(FileNotFoundError, match="gone does not exist"):
        data.load_dataset(tmp_path / "gone")


@pytest.mark.parametrize("name", IMAGE_GROUPS)
def test_every_element_of_a_group_has_a_text_in_its_order(name):
    assert tuple(IMAGE_GROUPS[name].elements) == data.image_action(name).group.names


@pytest.mark.parametrize("name", IMAGE_GROUPS)
def test_every_image_is_moved_by_its_own_element(name, monkeypatch):
    monkeypatch.setattr(data, "CHUNK", 7)  # several chunks, the last one not full
    action = data.image_action(name)
    pixels = torch.arange(60 * 3 * 25).remainder(251).to(torch.uint8).view(60, 3, 5, 5)
    images = Images(pixels, torch.arange(60))
    moved, elements = data.transform(images, action, seed=4)
    assert set(elements.tolist()) == set(action.group.elements)
    assert elements.dtype == torch.int64
    for row, g in enumerate(elements.tolist()):
        assert torch.equal(moved.pixels[row], action(g, pixels[row]))
    assert moved.pixels.dtype == torch.uint8
    assert torch.equal(moved.labels, images.labels)
    assert torch.equal(action.inverse(elements, moved.pixels), pixels)


def test_elements_are_uniform_and_fixed_by_the_seed():
    images = Images(torch.zeros(4000, 1, 1, 1, dtype=torch.uint8), torch.zeros(4000).long())

    def draw(seed):
        return data.transform(images, Rotate90(), seed)[1]

    torch.manual_seed(1)
    first = draw(0)
    torch.manual_seed(2)
    assert torch.equal(draw(0), first)
    assert not torch.equal(draw(1), first)
    assert all(abs(count - 1000) < 150 for count in first.bincount(minlength=4).tolist())


def test_quarter_turns_need_squares_and_flips_do_not():
    images = make((3, 3), shape=(3, 4, 6))
    for action in (Rotate90(), RotateFlip()):
        with pytest.raises(ValueError, match="height 4 and width 6: set crop: center") as error:
            data.transform(images, action, 0)
        assert str(error.value).endswith("or use the group flip")
    assert data.transform(images, Flip(), 0)[0].pixels.shape == images.pixels.shape


def test_an_unknown_group_is_named_with_the_nearest():
    assert isinstance(data.image_action("flip"), Flip)
    with pytest.raises(ValueError, match="unknown group 'rotate45'; did you mean 'rotate90'"):
        data.image_action("rotate45")
