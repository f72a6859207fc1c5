"""Every source gives the same images every time, and says what it cannot read."""

import hashlib
import pickle
import shutil
import tarfile

import numpy as np
import pytest
import torch
import torchvision
from small_pictures import greys, picture, read, refused, tree, write

from equitune.config import ImageSource
from equitune.image import sources
from equitune.image.data import Images


@pytest.mark.parametrize("size", [8, 20])
def test_digits_have_a_test_part_of_their_own(size):
    train, test, classes = sources.read_digits(size)
    assert classes == tuple("0123456789")
    assert (len(train) + len(test), len(test)) == (1797, 359)
    whole = train.labels.bincount() + test.labels.bincount()
    assert ((test.labels.bincount() / whole - 0.2).abs() < 0.003).all()
    assert train.pixels.shape[1:] == test.pixels.shape[1:] == (3, size, size)
    assert torch.equal(train.pixels[:, 0], train.pixels[:, 1])
    assert torch.equal(train.pixels[:, 0], train.pixels[:, 2])
    assert train.pixels.dtype == torch.uint8
    assert (int(train.pixels.min()), int(train.pixels.max())) == (0, 255)
    again = sources.read_digits(size)[1]
    assert torch.equal(again.pixels, test.pixels)


def test_digits_of_their_own_size_are_the_scans():
    from sklearn.datasets import load_digits

    train, test, _ = sources.read_digits(8)
    scans = {tuple((image.pixels[0, 0].flatten()).tolist()) for image in (train[:1], test[:1])}
    known = {tuple(np.round(scan * 255 / 16).astype(int)) for scan in load_digits().data}
    assert scans <= known


@pytest.fixture
def cifar10(tmp_path, monkeypatch):
    """An archive in the official layout with three images in a batch, known to torchvision."""
    dataset = torchvision.datasets.CIFAR10
    rng = np.random.default_rng(0)
    batches = {
        name: {
            "data": rng.integers(0, 256, (3, 3072), dtype=np.uint8),
            "labels": rng.integers(0, 10, 3).tolist(),
        }
        for name, _ in dataset.train_list + dataset.test_list
    }
    meta = {"label_names": [f"class{number}" for number in range(10)]}
    packed = {
        name: pickle.dumps(part, 2) for name, part in {**batches, "batches.meta": meta}.items()
    }
    md5 = {
        name: hashlib.md5(part, usedforsecurity=False).hexdigest() for name, part in packed.items()
    }
    for attribute in ("train_list", "test_list"):
        known = [[name, md5[name]] for name, _ in getattr(dataset, attribute)]
        monkeypatch.setattr(dataset, attribute, known)
    monkeypatch.setattr(dataset, "meta", {**dataset.meta, "md5": md5["batches.meta"]})
    write(tmp_path / dataset.base_folder, packed)
    archive = tmp_path / "cifar-10-python.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(tmp_path / dataset.base_folder, dataset.base_folder)
    return archive, batches


def test_cifar10_is_read_as_it_is(cifar10):
    archive, batches = cifar10
    train, test, classes = sources.read_cifar10(archive, 32)
    assert classes == tuple(f"class{number}" for number in range(10))
    parts = [batches[f"data_batch_{number}"] for number in range(1, 6)]
    pixels = np.concatenate([part["data"] for part in parts]).reshape(15, 3, 32, 32)
    assert torch.equal(train.pixels, torch.from_numpy(pixels))
    assert train.labels.tolist() == [label for part in parts for label in part["labels"]]
    assert torch.equal(
        test.pixels.flatten(), torch.from_numpy(batches["test_batch"]["data"]).ravel()
    )
    assert test.labels.dtype == torch.int64


def test_cifar10_is_resized_and_leaves_nothing(cifar10, tmp_path):
    before = sorted(tmp_path.iterdir())
    train, test, _ = sources.read_cifar10(cifar10[0], 40)
    assert (train.pixels.shape, test.pixels.shape) == ((15, 3, 40, 40), (3, 3, 40, 40))
    assert sorted(tmp_path.iterdir()) == before


def test_another_archive_is_not_cifar10(cifar10, monkeypatch):
    dataset = torchvision.datasets.CIFAR10
    wrong = [["test_batch", "0" * 32]]
    for attribute, value in (("test_list", wrong), ("meta", {**dataset.meta, "md5": "0" * 32})):
        with monkeypatch.context() as patch:
            patch.setattr(dataset, attribute, value)
            with pytest.raises(ValueError, match=r"is not the published CIFAR-10: .*md5 c58f3010"):
                sources.read_cifar10(cifar10[0], 32)
    with pytest.raises(FileNotFoundError, match="gone does not exist"):
        sources.read_cifar10(cifar10[0].with_name("gone"), 32)


@pytest.mark.parametrize("held_out", ["val", "test"])
@pytest.mark.parametrize("top", ["", "top/", "top/inner/"])
def test_a_folder_with_two_parts_is_read_in_order(tmp_path, held_out, top):
    files = {f"{top}{name}": x for name, x in tree(("train", held_out)).items()}
    write(tmp_path, {**files, f"{top}README": b"text", "LICENSE": b"text"})
    train, test, classes = read(tmp_path)
    assert classes == ("cat", "dog")
    assert (greys(train), train.labels.tolist()) == ([0, 1, 2, 3], [0, 0, 1, 1])
    assert (greys(test), test.labels.tolist()) == ([4, 5, 6, 7], [0, 0, 1, 1])
    assert train.pixels.shape == (4, 3, 8, 8)
    assert (train.pixels.dtype, train.labels.dtype) == (torch.uint8, torch.int64)


@pytest.mark.parametrize("form", ["tar", "gztar", "zip"])
def test_an_archive_gives_what_its_folder_gives(tmp_path, form):
    folder = write(tmp_path / "packed" / "top", tree())
    archive = shutil.make_archive(str(tmp_path / "images"), form, tmp_path / "packed")
    for ours, theirs in zip(read(folder)[:2], read(tmp_path / archive)[:2], strict=True):
        assert torch.equal(ours.pixels, theirs.pixels)
        assert torch.equal(ours.labels, theirs.labels)


def test_a_tree_is_split_by_the_seed_and_stratified(tmp_path):
    write(tmp_path, tree(("",), count=10))
    train, test, classes = read(tmp_path)
    assert classes == ("cat", "dog")
    assert (train.labels.bincount().tolist(), test.labels.bincount().tolist()) == ([8, 8], [2, 2])
    assert sorted(greys(train) + greys(test)) == list(range(20))
    assert greys(read(tmp_path)[1]) == greys(test)
    assert len({tuple(greys(read(tmp_path, seed=seed)[1])) for seed in range(4)}) > 1


def test_val_beside_test_is_said_to_be_unused(tmp_path, caplog):
    write(tmp_path, tree(("test", "train", "val")))
    assert greys(read(tmp_path)[1]) == [0, 1, 2, 3]
    assert [record.message for record in caplog.records] == [f"{tmp_path}/val is not used: test is"]


def test_what_systems_leave_is_passed_over(tmp_path):
    litter = ("__MACOSX/top/._train", ".git/x", "top/train/.DS_Store", "top/train/cat/.DS_Store")
    images = {f"top/{name}": content for name, content in tree().items()}
    write(tmp_path, {**images, "__MACOSX/top/cat/._0.jpg": b"", **dict.fromkeys(litter, b"")})
    assert len(read(tmp_path)[0]) == 4


@pytest.fixture
def listing(tmp_path):
    """Images in one folder, and a function that writes a CSV with these lines beside it."""
    write(tmp_path, {f"pictures/{i}.jpg": picture(10 * i) for i in range(8)})

    def lines(*rows):
        (tmp_path / "labels.csv").write_text("\ufeff" + "\r\n".join(rows), encoding="utf-8")
        return tmp_path / "labels.csv"

    return lines


def test_a_csv_says_the_class_of_each_image(listing):
    rows = [f"pictures/{i}.jpg,{'dog' if i % 2 else 'cat'}" for i in range(8)]
    train, test, classes = read(listing("file,label", *rows, "", ""))
    assert classes == ("cat", "dog")
    assert sorted(greys(train) + greys(test)) == list(range(8))
    assert len(test) == 2
    assert [grey % 2 for grey in greys(train)] == train.labels.tolist()
    parts = [f"{row},{'test' if i > 5 else 'train'},x" for i, row in enumerate(rows)]
    train, test, _ = read(listing("file,label,part,more", *parts))
    assert (greys(train), greys(test)) == ([0, 1, 2, 3, 4, 5], [6, 7])


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        (["name,label", "a,b"], "has the columns name, label and lacks file: expected file, label"),
        (["file,label"], "lists no image"),
        (["file,label", "gone.jpg,a"], "line 2: 'gone.jpg' does not exist beside the CSV"),
        (["file,label", "pictures/0.jpg,"], "line 2: 'pictures/0.jpg' has no label"),
        (["file,label", *["pictures/0.jpg,a"] * 2], "line 3: 'pictures/0.jpg' is listed twice"),
        (["file,label", "pictures/0.jpg,a"], "has one class, a: expected two or more"),
        (
            ["file,label,part", "pictures/0.jpg,a,dev"],
            "line 2: part is 'dev', expected train, test or val",
        ),
    ],
    ids=["columns", "empty", "gone", "no label", "twice", "one class", "part"],
)
def test_a_csv_that_cannot_be_read_is_one_line(listing, rows, text):
    assert text in refused(listing(*rows))


@pytest.mark.parametrize("parts", [("train", "val"), ("",)])
def test_a_class_that_skipping_empties_is_named(tmp_path, parts):
    files = tree(parts)
    write(tmp_path, files | {name: b"" for name in files if "dog" in name and "train" not in name})
    message = refused(tmp_path, broken="skip")
    assert "class dog has no image left for the" in message


def test_a_class_of_one_image_cannot_be_split(tmp_path):
    write(tmp_path, {**tree(("",)), "eel/0.jpg": picture()})
    assert "class eel has no image left for the test part" in refused(tmp_path)


@pytest.mark.parametrize(
    ("files", "text"),
    [
        ({"a.jpg": b""}, "has no class folders"),
        ({"train/a.jpg": b"", "val/cat/0.jpg": b""}, "/train has no class folders"),
        ({"cat/0.jpg": b""}, "has one class, cat: expected two or more"),
        ({"top/cat/0.jpg": b""}, "has one class, cat: expected two or more"),
        (tree(classes=("cat",)), "has one class, cat: expected two or more"),
        ({**tree(), "train/eel/0.jpg": b""}, "/val lacks eel: expected the same classes in"),
        ({**tree(), "val/eel/0.jpg": b""}, "/train lacks eel: expected the same classes in"),
        ({**tree(), "train/cat/kitten/0.jpg": b""}, "/train/cat/kitten is a folder where images"),
        (tree(("train", "valid")), "/train/cat is a folder where images are expected"),
        ({**tree(("",)), "eel/.hidden": b""}, "/eel has no images: add some"),
    ],
    ids=[
        "images alone",
        "no classes to train",
        "one class",
        "one class below another folder",
        "one class in both parts",
        "more classes to train",
        "more classes to validate",
        "folder in a class",
        "part of another name",
        "class without images",
    ],
)
def test_what_is_no_set_of_class_folders_is_refused(tmp_path, files, text):
    assert text in refused(write(tmp_path, files))
    archive = shutil.make_archive(str(tmp_path / "images"), "tar", tmp_path)
    message = refused(tmp_path / archive)
    assert text in message
    assert message.startswith(archive)


def test_a_missing_place_and_unknown_settings_are_named(tmp_path):
    assert "gone does not exist: expected a folder, an archive or a CSV" in refused(
        tmp_path / "gone"
    )
    with pytest.raises(ValueError, match="unknown crop 'centre'; did you mean 'center'"):
        read(tmp_path, crop="centre")
    with pytest.raises(ValueError, match="unknown broken 'skp'; did you mean 'skip'"):
        read(tmp_path, broken="skp")


def test_hymenoptera_has_its_published_counts(shared, caplog):
    archive = shared / "mirror" / "hymenoptera.tar"
    train, test, classes = read(archive, size=32, broken="skip")
    assert classes == ("ants", "bees")
    assert (len(train), len(test)) == (244, 153)
    assert train.labels.bincount().tolist() == [123, 121]
    assert test.labels.bincount().tolist() == [70, 83]
    (said,) = [record.message.split("/")[-1] for record in caplog.records]
    assert said.startswith("imageNotFound.gif (no image of 1, 3 or 4 channels as JPEG, PNG")


def test_a_slice_of_the_cifar10_jpegs_is_read(shared, tmp_path):
    part = tmp_path / "slice.tar"
    with (
        tarfile.open(shared / "mirror" / "cifar10-jpeg-subset.tar") as tar,
        tarfile.open(part, "w") as sliced,
    ):
        for member in tar.getmembers()[::60]:
            sliced.addfile(member, tar.extractfile(member))
    train, test, classes = read(part, size=32, crop="none")
    assert (len(train), len(test), len(classes)) == (250, 50, 10)
    assert train.labels.bincount().tolist() == [25] * 10
    assert train.pixels.shape == (250, 3, 32, 32)
    assert 30 < train.pixels.float().mean() < 200


@pytest.mark.parametrize("count", [12, 25, 100])
def test_a_part_of_the_images_is_even_in_the_classes_and_always_the_same(count):
    labels = torch.arange(120) % 10
    pixels = torch.arange(120, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 3, 8, 8)
    images = Images(pixels, labels)
    found = sources._some(images, count, "train_images")
    assert len(found) == count
    assert torch.bincount(found.labels).max() - torch.bincount(found.labels).min() <= 1
    values = found.pixels[:, 0, 0, 0].tolist()
    assert values == sorted(values)
    assert values != list(range(count))
    assert torch.equal(sources._some(images, count, "train_images").pixels, found.pixels)


def test_parts_are_taken_whatever_the_seed(tmp_path):
    write(tmp_path, tree(count=5))
    source = ImageSource(
        kind="folder", size=8, location=str(tmp_path), train_images=6, test_images=4
    )
    for seed in (0, 1):
        train, test, classes = sources.read_source(source, None, seed)
        assert (len(train), len(test), classes) == (6, 4, ("cat", "dog"))
        assert torch.bincount(train.labels).tolist() == [3, 3]
    everything, _, _ = read(tmp_path)
    assert set(greys(train)) < set(greys(everything))


def test_more_images_than_there_are_is_one_line(tmp_path):
    write(tmp_path, tree(count=2))
    source = ImageSource(kind="folder", size=8, location=str(tmp_path), test_images=9)
    with pytest.raises(ValueError, match="test_images is 9, and there are 4: ask for no more"):
        sources.read_source(source, None, 0)
