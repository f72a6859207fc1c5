"""The image rules end to end on a small slice, with weights that come from a mirror."""

import importlib.util

import pytest
import torch

from equitune.results import tables
from equitune.vision import import_torchvision

pytestmark = [
    pytest.mark.workflow,
    pytest.mark.skipif(
        importlib.util.find_spec("torchvision") is None, reason="torchvision is not installed"
    ),
]

STEPS = {"steps": 2, "batch_size": 8, "learning_rate": 1.0e-3}
SLICE = {
    "image": {
        "architectures": ["resnet18"],
        "methods": ["pretrained", "finetune_augment", "equitune"],
        "groups": ["rotate90", "flip"],
        "subset": 24,
        "pretraining": {"resnet18": STEPS},
        "tuning": {"resnet18": STEPS},
    }
}


@pytest.fixture(scope="module")
def finished(snakemake, tmp_path_factory):
    """A finished run with one core."""
    folder = tmp_path_factory.mktemp("one_core")
    done = snakemake(folder, "--cores", "1", "image", settings=SLICE)
    assert done.returncode == 0, done.stderr
    return folder / "results"


def test_the_table_has_a_row_for_each_run(finished):
    table = tables.read(finished / "tables/image.csv", tables.IMAGE_COLUMNS)
    runs = sorted(zip(table["method"], table["group"], strict=True))
    assert runs == [
        ("equitune", "flip"),
        ("equitune", "rotate90"),
        ("finetune_augment", "flip"),
        ("finetune_augment", "rotate90"),
        ("pretrained", "identity"),
    ]
    invariant = table["method"] == "equitune"
    assert (table[invariant]["orbit_agreement"] == 1).all()
    assert (table[invariant]["equivariance_error"] <= 1e-5).all()
    assert (table[~invariant]["equivariance_error"] > 1e-3).all()


def test_every_figure_is_drawn_and_no_state_is_left(finished):
    names = ["image_accuracy", "image_rotation", "image_cost", "image_orbit_digits_resnet18"]
    for name in names:
        for suffix in ("svg", "pdf", "csv"):
            assert (finished / "figures" / f"{name}.{suffix}").stat().st_size > 100
    assert not any((finished / "states").glob("*"))


def test_published_weights_come_from_a_mirror_and_are_checked(snakemake, finished, tmp_path):
    torch.manual_seed(0)
    mirror = tmp_path / "mirror" / "imagenet"
    mirror.mkdir(parents=True)
    file = mirror / "resnet18-f37072fd.pth"
    torch.save(import_torchvision().models.resnet18().state_dict(), file)
    settings = {
        "image": SLICE["image"] | {"weights": "imagenet", "methods": ["finetune"]},
        "retrieve": {"mirror": str(mirror.parent)},
    }
    target = "results/weights/resnet18.pth"
    done = snakemake(tmp_path, "--cores", "1", target, settings=settings)
    assert done.returncode == 1
    log = (tmp_path / "results/logs/imagenet_weights/resnet18.log").read_text()
    assert f"{file} has sha256" in log
    assert "expected f37072fd" in log
    assert not (tmp_path / target).exists()


def test_an_unknown_file_of_a_dataset_is_one_line(snakemake, tmp_path):
    source = {"kind": "archive", "size": 32, "location": "hymenptera"}
    settings = {"image": SLICE["image"] | {"sources": {"mine": source}}}
    done = snakemake(tmp_path, "--cores", "1", "image", settings=settings)
    assert done.returncode == 1
    line = "config: image.sources.mine.location: unknown file 'hymenptera'; did you mean 'hymen"
    assert line in done.stderr
