"""Features computed once: training and evaluation from them are those from the images."""

import json
import re

import pandas as pd
import pytest
import torch
import torchvision

from equitune.config import ImageBuilder, ImageModel, Training
from equitune.image import evaluation, experiment, extraction, forecast, saved
from equitune.image.run import ImageDesign, ImageRun
from equitune.io.files import load_tensors
from equitune.run.job import Job

MODEL = ImageModel(head="linear", backbone="frozen")
PLAN = Training(steps=8, batch_size=6, learning_rate=1e-2, optimizer="adamw")
METHODS = {
    "finetune": "identity",
    "finetune_augment": "rotate90",
    "equitune": "rotate90",
    "lambda_equitune": "rotate90",
    "equizero": "rotate90",
}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A file as the published ones are."""
    path = tmp_path_factory.mktemp("weights") / "shufflenet_v2_x0_5.pth"
    torch.manual_seed(8)
    torch.save(torchvision.models.shufflenet_v2_x0_5().state_dict(), path)
    return path


def extract(dataset, weights, output, group="rotate90", model=MODEL, **builder):
    run = ImageDesign(
        architecture="shufflenet_v2_x0_5", builder=ImageBuilder(**builder), model=model
    )
    data = dataset / "dataset.safetensors"
    extraction.extract(run, [data], weights, group=group, output=output, device="cpu")
    return output


@pytest.fixture(scope="module")
def features(dataset, weights, tmp_path_factory):
    return extract(dataset, weights, tmp_path_factory.mktemp("f") / "rotate90.safetensors")


def tune(
    dataset,
    weights,
    output,
    method,
    features=(),
    model=MODEL,
    builder=None,
    name="shufflenet_v2_x0_5",
):
    which = {"architecture": name, "builder": builder or ImageBuilder(), "seed": 0}
    how = {"method": method, "group": METHODS[method], "model": model, "training": PLAN}
    run, job = ImageRun(**which, **how), Job(output=output, device="cpu")
    experiment.tune(run, dataset / "dataset.safetensors", weights, job, features=features)
    return output


@pytest.fixture(scope="module")
def models(dataset, weights, features, tmp_path_factory):
    """Every method trained from features on disk, and from features of its own."""
    folder = tmp_path_factory.mktemp("models")
    for method in METHODS:
        for kind, given in (("own", ()), ("shared", (features,))):
            tune(dataset, weights, folder / kind / method / "model.safetensors", method, given)
    return folder


@pytest.mark.parametrize("method", METHODS)
def test_a_model_trained_from_shared_features_is_the_same(models, method):
    own, shared = (
        load_tensors(models / kind / method / "model.safetensors")[0] for kind in ("own", "shared")
    )
    assert own.keys() == shared.keys()
    for key, tensor in own.items():
        torch.testing.assert_close(shared[key], tensor, rtol=1e-4, atol=1e-5)
    manifest = json.loads((models / "shared" / method / "manifest.json").read_text())
    assert "rotate90.safetensors" in manifest["inputs"]


def test_the_network_is_not_run_again(dataset, weights, features, tmp_path, monkeypatch):
    def run(*arguments):
        pytest.fail("the network was run on images")

    for place in (experiment, extraction):
        monkeypatch.setattr(place, "from_pixels", run, raising=False)
    monkeypatch.setattr("equitune.image.features.orbit_features", run)
    monkeypatch.setattr("equitune.image.backbones.Backbone.forward", run)
    tune(dataset, weights, tmp_path / "model.safetensors", "equitune", (features,))


def evaluate(dataset, models, folder, features=()):
    paths = [models / method / "model.safetensors" for method in METHODS]
    outputs = [folder / f"{name}.csv" for name in ("rows", "elements", "examples")]
    evaluation.evaluate(
        dataset / "dataset.safetensors",
        [dataset / "rotate90.safetensors"],
        paths,
        **dict(zip(("output", "elements", "examples"), outputs, strict=True)),
        device="cpu",
        features=features,
        scores=folder / "scores.csv",
    )
    return [pd.read_csv(path) for path in (*outputs, folder / "scores.csv")]


def test_the_evaluation_from_features_is_that_of_the_images(dataset, models, features, tmp_path):
    slow = evaluate(dataset, models / "shared", tmp_path / "slow")
    fast = evaluate(dataset, models / "shared", tmp_path / "fast", (features,))
    for one, other in zip(slow, fast, strict=True):
        pd.testing.assert_frame_equal(one, other, rtol=1e-3, atol=1e-5)
    assert len(fast[3]) == len(METHODS) * 12


def test_the_forecast_from_features_is_that_of_the_images(dataset, models, features, tmp_path):
    found = []
    for place, given in enumerate([(), (features,)]):
        forecast.forecast(
            dataset / "dataset.safetensors",
            dataset / "rotate90.safetensors",
            models / "shared/finetune/model.safetensors",
            tmp_path / f"{place}.csv",
            device="cpu",
            features=given,
        )
        found.append(pd.read_csv(tmp_path / f"{place}.csv"))
    pd.testing.assert_frame_equal(*found, rtol=1e-3, atol=1e-6)


def test_features_of_other_weights_are_refused(dataset, weights, features, tmp_path):
    other = tmp_path / "shufflenet_v2_x0_5.pth"
    torch.manual_seed(9)
    torch.save(torchvision.models.shufflenet_v2_x0_5().state_dict(), other)
    with pytest.raises(ValueError, match=re.escape(f"{features} has features for weights")) as told:
        tune(dataset, other, tmp_path / "out" / "model.safetensors", "equitune", (features,))
    assert "\n" not in str(told.value)
    assert not (tmp_path / "out").exists()


def test_features_of_another_head_are_refused(dataset, weights, features, tmp_path):
    shared = ImageModel(head="shared", backbone="frozen")
    with pytest.raises(ValueError, match="has features for pooled True, the model needs False"):
        tune(dataset, weights, tmp_path / "model.safetensors", "equitune", (features,), shared)


def test_a_trained_backbone_does_not_use_them(dataset, weights, features, tmp_path):
    model = ImageModel(head="linear")
    output = tune(dataset, weights, tmp_path / "model.safetensors", "equitune", (features,), model)
    manifest = json.loads(output.with_name("manifest.json").read_text())
    assert "rotate90.safetensors" not in manifest["inputs"]


def test_a_name_of_ones_own_shares_the_features_of_its_network(
    dataset, weights, features, tmp_path
):
    builder = ImageBuilder(architecture="shufflenet_v2_x0_5", backbone="frozen")
    output = tmp_path / "model.safetensors"
    tune(dataset, weights, output, "equitune", (features,), MODEL, builder, "small_mine")
    facts = json.loads(output.with_name("manifest.json").read_text())["configuration"]
    assert (facts["architecture"], facts["builder"]["architecture"]) == (
        "small_mine",
        "shufflenet_v2_x0_5",
    )

    assert saved.load(output)[0].backbone.architecture == "shufflenet_v2_x0_5"
