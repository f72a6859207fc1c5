"""The image commands as a person meets them: one line for a mistake, nothing half-written."""

import io
import json
import shutil
import tarfile
from pathlib import Path

import pytest
import torch
import torchvision
from PIL import Image

from equitune import cli
from equitune.image import data

TRAINING = "{steps: 2, batch_size: 6, learning_rate: 0.001}"


def run(*arguments):
    return cli.run([str(argument) for argument in arguments])


def error_line(capfd):
    """What stands on the terminal must be one line."""
    lines = [line for line in capfd.readouterr().err.splitlines() if "error" in line]
    assert len(lines) == 1
    assert lines[0].startswith("equitune: error: ")
    return lines[0]


def jpeg(width=20, height=20):
    file = io.BytesIO()
    Image.new("RGB", (width, height), (200, 30, 60)).save(file, "JPEG")
    return file.getvalue()


@pytest.fixture
def folder(tmp_path):
    """Two classes of two images each, for training and for testing."""
    root = tmp_path / "images"
    for part in ("train", "test"):
        for name in ("ants", "bees"):
            place = root / part / name
            place.mkdir(parents=True)
            for number in range(2):
                (place / f"{number}.jpg").write_bytes(jpeg())
    return root


def make(location, output, *more, **changes):
    source = {"kind": "folder", "size": 16, "location": str(location), **changes}
    arguments = ["image", "dataset", "--name", "mine", "--source", json.dumps(source)]
    return run(*arguments, "--seed", 0, "--validation-fraction", 0.5, "--output", output, *more)


def refused(capfd, tmp_path, location, *parts, **changes):
    """Check that making a dataset fails in one line with the parts and leaves nothing behind."""
    assert make(location, tmp_path / "out" / "dataset.safetensors", **changes) == 1
    line = error_line(capfd)
    for part in parts:
        assert part in line
    assert not (tmp_path / "out").exists()


def test_a_folder_becomes_a_dataset_and_its_test_part_is_moved(folder, tmp_path):
    output = tmp_path / "dataset.safetensors"
    assert make(folder, output, upsample=2) == 0
    parts, about = data.load_dataset(output)
    assert about["classes"] == ["ants", "bees"]
    assert (about["dataset"], about["size"], about["upsample"]) == ("mine", 16, 2)
    assert {name: len(part) for name, part in parts.items()} == {
        "train": 2,
        "validation": 2,
        "test": 4,
    }
    moved = tmp_path / "moved.safetensors"
    arguments = ["--dataset", output, "--group", "rotate_flip", "--seed", 3, "--output", moved]
    assert run("image", "transform", *arguments) == 0
    images, elements, facts = data.load_transformed(moved)
    assert len(images) == len(elements) == 4
    assert facts["group"] == "rotate_flip"


def test_a_folder_without_classes(tmp_path, capfd):
    (tmp_path / "empty").mkdir()
    refused(capfd, tmp_path, tmp_path / "empty", str(tmp_path / "empty"))


def test_one_class_only(folder, tmp_path, capfd):
    for part in ("train", "test"):
        for file in (folder / part / "bees").iterdir():
            file.unlink()
        (folder / part / "bees").rmdir()
    refused(capfd, tmp_path, folder, "one class")


@pytest.mark.parametrize("content", [b"", jpeg()[:200]], ids=["empty", "truncated"])
def test_a_broken_image_is_named_and_can_be_skipped(folder, tmp_path, capfd, content):
    (folder / "train" / "ants" / "2.jpg").write_bytes(content)
    refused(capfd, tmp_path, folder, "2.jpg", "broken: skip")
    assert make(folder, tmp_path / "dataset.safetensors", broken="skip") == 0
    assert "2.jpg" in capfd.readouterr().err


@pytest.mark.parametrize("kind", ["outside", "link"])
def test_a_dangerous_archive(tmp_path, capfd, kind):
    with tarfile.open(tmp_path / "images.tar", "w") as archive:
        member = tarfile.TarInfo("../outside.jpg" if kind == "outside" else "train")
        member.type = tarfile.REGTYPE if kind == "outside" else tarfile.SYMTYPE
        member.linkname = "/etc"
        archive.addfile(member, io.BytesIO())
    refused(capfd, tmp_path, tmp_path / "images.tar", "images.tar", member.name)
    assert not (tmp_path.parent / "outside.jpg").exists()


def test_images_that_are_not_square_and_a_group_that_turns(folder, tmp_path, capfd):
    for file in folder.rglob("*.jpg"):
        file.write_bytes(jpeg(30, 20))
    output = tmp_path / "dataset.safetensors"
    assert make(folder, output, crop="none") == 0
    moved = tmp_path / "out" / "moved.safetensors"
    arguments = ["image", "transform", "--dataset", output, "--seed", 0, "--output", moved]
    assert run(*arguments, "--group", "rotate90") == 1
    assert "set crop: center for the dataset, or use the group flip" in error_line(capfd)
    assert not moved.parent.exists()
    assert run(*arguments, "--group", "flip") == 0


def test_an_unknown_group_names_the_nearest(dataset, tmp_path, capfd):
    arguments = ["--dataset", dataset / "dataset.safetensors", "--group", "rotate9", "--seed", 0]
    assert run("image", "transform", *arguments, "--output", tmp_path / "x") == 1
    assert "did you mean 'rotate90'" in error_line(capfd)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architecture": "resnet81"}, "unknown architecture 'resnet81'; did you mean"),
        ({"architecture": "alexnet"}, "the smallest that works is 63"),
        ({"model": "{head: sharde}"}, "--model: head: unknown value 'sharde'"),
        ({"builder": "{options: {depth: 3}}"}, "cannot be built with options {'depth': 3}"),
    ],
)
def test_bad_models_are_one_line_and_leave_nothing(dataset, tmp_path, capfd, changes, message):
    settings = {"architecture": "resnet18", "builder": "{}", "model": "{}", "training": TRAINING}
    arguments = ["--dataset", dataset / "dataset.safetensors", "--seed", 0]
    for name, value in (settings | changes).items():
        arguments += [f"--{name}", value]
    output = tmp_path / "out" / "model.safetensors"
    assert run("image", "pretrain", *arguments, "--output", output) == 1
    assert message in error_line(capfd)
    assert not output.parent.exists()


def test_weights_of_another_architecture_are_one_line(dataset, tmp_path, capfd):
    torch.save(torchvision.models.alexnet().state_dict(), tmp_path / "alexnet.pth")
    arguments = ["--dataset", dataset / "dataset.safetensors", "--seed", 0, "--builder", "{}"]
    arguments += ["--weights", tmp_path / "alexnet.pth", "--architecture", "resnet18"]
    arguments += ["--method", "equitune", "--group", "rotate90", "--model", "{}"]
    output = tmp_path / "out" / "model.safetensors"
    assert run("image", "tune", *arguments, "--training", TRAINING, "--output", output) == 1
    assert "alexnet.pth does not fit" in error_line(capfd)
    assert not output.parent.exists()


def test_what_the_folders_of_an_output_say_need_not_be_said(dataset, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    place = Path("halves/shufflenet_v2_x0_5/seed4")
    known = Path("halves/seed4")
    shutil.copytree(dataset, known)
    torch.manual_seed(0)
    torch.save(torchvision.models.shufflenet_v2_x0_5().state_dict(), "weights.pth")
    network = ["--weights", "weights.pth", "--model", "head=linear,backbone=frozen"]
    whole = ["--dataset", known / "dataset.safetensors", "--architecture", "shufflenet_v2_x0_5"]
    computed = Path("halves/features/net/rotate90.safetensors")
    features = ["image", "features", known / "dataset.safetensors", *whole[2:], *network]
    assert run(*features, "--group", "rotate90", "--output", computed) == 0
    tune = ["image", "tune", *network, "--training", TRAINING]
    output = place / "equitune/rotate90/model.safetensors"
    assert run(*tune, "--features", "net/rotate90", "--output", output) == 0
    whole += ["--method", "equitune", "--group", "rotate90", "--seed", 4, "--features", computed]
    assert run(*tune, *whole, "--output", "whole/model.safetensors") == 0
    for name in ("model.safetensors", "config.json"):
        assert output.with_name(name).read_bytes() == Path("whole", name).read_bytes()
    for file in (output, Path("whole/model.safetensors")):
        inputs = json.loads(file.with_name("manifest.json").read_text())["inputs"]
        assert "rotate90.safetensors" in inputs
    moved = ["--transformed", known / "rotate90.safetensors", "--features", "net/rotate90"]
    assert run("image", "evaluate", output, *moved, "--output", place / "evaluation.csv") == 0
    forecast = ["image", "forecast", *moved, "--model", output]
    assert run(*forecast, "--output", place / "forecast/rotate90.csv") == 1  # it has a group
    assert run(*tune, "--features", "none/rotate90", "--output", output) == 1


def test_an_output_elsewhere_needs_all_options(tmp_path, capfd):
    tune = ["image", "tune", "--weights", "w.pth", "--training", TRAINING]
    assert run(*tune, "--group", "flip", "--output", tmp_path / "model.safetensors") == 1
    said = "missing --dataset, --architecture, --method, --seed: name them, or write to "
    assert f"{said}…/DATASET/ARCHITECTURE/seedN/METHOD/GROUP/" in error_line(capfd)
