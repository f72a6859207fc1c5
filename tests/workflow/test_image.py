"""The image rules end to end on a small slice, and weights that come from a mirror."""

import pytest
import torch

from equitune.results import tables
from equitune.vision import import_torchvision

pytestmark = pytest.mark.workflow


def test_the_table_has_a_row_for_each_run(finished):
    table = tables.read(finished / "results/tables/image.csv", tables.IMAGE_COLUMNS)
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


def test_every_figure_is_drawn(finished):
    names = ["image_accuracy", "image_rotation", "image_cost", "image_orbit_digits_resnet18"]
    for name in names:
        for suffix in ("svg", "pdf", "csv"):
            assert (finished / f"results/figures/{name}.{suffix}").stat().st_size > 100


def test_published_weights_come_from_a_mirror_and_are_checked(snakemake, small, tmp_path):
    mirror = tmp_path / "mirror" / "imagenet"
    mirror.mkdir(parents=True)
    file = mirror / "resnet18-f37072fd.pth"
    torch.save(import_torchvision().models.resnet18().state_dict(), file)
    small["image"]["weights"] = "imagenet"
    small["retrieve"] = {"mirror": str(mirror.parent)}
    target = "results/weights/resnet18.pth"
    done = snakemake(tmp_path, "--cores", "1", target, settings=small)
    assert done.returncode == 1
    log = (tmp_path / "results/logs/imagenet_weights/resnet18.log").read_text()
    assert f"{file} has {file.stat().st_size} bytes, expected 46830571" in log
    assert not (tmp_path / target).exists()


def test_an_unknown_file_of_a_dataset_is_one_line(snakemake, small, tmp_path):
    source = {"kind": "archive", "size": 32, "location": "hymenptera"}
    small["image"]["sources"] = {"mine": source}
    done = snakemake(tmp_path, "--cores", "1", "image", settings=small)
    assert done.returncode == 1
    line = "config: image.sources.mine.location: unknown file 'hymenptera'; did you mean 'hymen"
    assert line in done.stderr
