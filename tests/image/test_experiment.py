"""The image experiment's steps: what is trained, from what, and what is refused."""

import json

import pytest
import torch

from equitune.config import IMAGE_METHODS, ImageBuilder, ImageModel, Training
from equitune.files import load_tensors
from equitune.image import experiment, prediction, saved
from equitune.image.data import Images, load_dataset
from equitune.vision import import_torchvision

MODEL = ImageModel()
PLAN = Training(steps=3, batch_size=6, learning_rate=1e-3, optimizer="adamw")


def pretrain(dataset, output, training=PLAN, model=MODEL, **options):
    experiment.pretrain(
        dataset / "dataset.safetensors",
        "resnet18",
        ImageBuilder(),
        0,
        model,
        training,
        output,
        "cpu",
        **options,
    )
    return output


def tune(dataset, weights, output, method="equitune", group="rotate90", model=MODEL, training=PLAN):
    experiment.tune(
        dataset / "dataset.safetensors",
        weights,
        "resnet18",
        ImageBuilder(),
        method,
        group,
        0,
        model,
        training,
        output,
        "cpu",
    )
    return output


@pytest.fixture(scope="module")
def base(dataset, tmp_path_factory):
    return pretrain(dataset, tmp_path_factory.mktemp("base") / "model.safetensors")


def test_the_memory_layout_is_that_of_the_settings_wherever_a_model_is_built(tmp_path, dataset):
    settings = ImageModel(channels_last=True)
    output = pretrain(dataset, tmp_path / "model.safetensors", model=settings)
    model, _ = saved.load(output)
    kernels = [p for p in model.parameters() if p.dim() == 4 and p.shape[1] > 1]
    assert all(p.is_contiguous(memory_format=torch.channels_last) for p in kernels)
    assert not all(p.is_contiguous() for p in kernels)


@pytest.mark.parametrize("backbone", ["trained", "frozen"])
@pytest.mark.parametrize("method", IMAGE_METHODS)
def test_every_method_trains_what_it_should(dataset, base, tmp_path, method, backbone):
    group = "identity" if method in ("pretrained", "finetune") else "rotate90"
    output = tmp_path / "model.safetensors"
    tune(dataset, base, output, method, group, ImageModel(backbone=backbone))
    before, after = load_tensors(base)[0], load_tensors(output)[0]
    weights = [key for key in before if key.startswith("features.module.body") and "conv" in key]
    moved = [key for key in weights if not torch.equal(before[key], after[key])]
    trained = backbone == "trained" and method != "pretrained"
    assert len(moved) == (len(weights) if trained else 0)
    statistics = [key for key in before if key.endswith("running_mean")]
    assert any(not torch.equal(before[key], after[key]) for key in statistics) == trained
    assert not torch.equal(before["head.classify.weight"], after["head.classify.weight"])
    loaded, facts = saved.load(output)
    assert (facts["method"], facts["group"]) == (method, group)
    manifest = json.loads(output.with_name("manifest.json").read_text())
    assert manifest["configuration"]["dataset"] == "halves"
    assert len(manifest["inputs"]) == 2
    assert loaded.features.group.order == (1 if "equi" not in method else 4)


def test_the_same_seed_gives_the_same_bytes(dataset, base, tmp_path):
    states = tmp_path / "states"
    again = pretrain(dataset, tmp_path / "again" / "model.safetensors", state_folder=states)
    assert again.read_bytes() == base.read_bytes()
    assert list(states.glob("*")) == []


def test_tuning_starts_from_the_pretrained_model_and_its_head(dataset, base, tmp_path):
    still = Training(steps=0, batch_size=6, learning_rate=1e-3)
    output = tune(dataset, base, tmp_path / "model.safetensors", training=still)
    before, after = load_tensors(base)[0], load_tensors(output)[0]
    assert before.keys() == after.keys()
    group = "features._extra_state"  # the pretrained model has another
    assert all(torch.equal(before[key], after[key]) for key in before if key != group)
    assert not torch.equal(before[group], after[group])


def test_tuning_starts_from_published_weights_and_a_new_head(dataset, tmp_path):
    torch.manual_seed(8)
    published = import_torchvision().models.resnet18().state_dict()
    torch.save(published, tmp_path / "resnet18.pth")
    still = Training(steps=0, batch_size=6, learning_rate=1e-3)
    output = tmp_path / "out" / "model.safetensors"
    tune(dataset, tmp_path / "resnet18.pth", output, training=still)
    after = load_tensors(output)[0]
    key = "layer4.1.conv2.weight"
    assert torch.equal(after[f"features.module.body.{key}"], published[key])
    assert after["head.classify.weight"].shape == (3, 512)


def test_weights_of_another_architecture_are_one_line_and_leave_nothing(dataset, tmp_path):
    torch.save(import_torchvision().models.alexnet().state_dict(), tmp_path / "alexnet.pth")
    with pytest.raises(ValueError, match=r"alexnet.pth does not fit .*missing .*conv1") as error:
        tune(dataset, tmp_path / "alexnet.pth", tmp_path / "out" / "model.safetensors")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


def test_learning_lowers_the_error_and_patience_keeps_the_best(dataset, tmp_path):
    plan = Training(
        steps=24, batch_size=7, learning_rate=1e-3, optimizer="adamw", validate_every=4, patience=3
    )
    output = pretrain(dataset, tmp_path / "model.safetensors", plan)
    manifest = json.loads(output.with_name("manifest.json").read_text())
    scores = {int(step): score for step, score in manifest["validation"].items()}
    assert scores[manifest["kept"]] == max(scores.values())
    assert max(scores.values()) > 0.6
    model, _ = saved.load(output)
    parts, _ = load_dataset(dataset / "dataset.safetensors")
    validation = parts["validation"]
    found = prediction.accuracy(prediction.predict(model, validation), validation)
    assert found == scores[manifest["kept"]]


def test_equal_compute_is_as_many_steps_as_the_group_has_elements(dataset, base, tmp_path):
    seen = {}
    for method in ("finetune_augment", "finetune_augment_matched"):
        output = tmp_path / method / "model.safetensors"
        plan = Training(steps=3, batch_size=6, learning_rate=1e-3, validate_every=1)
        tune(dataset, base, output, method, training=plan)
        manifest = json.loads(output.with_name("manifest.json").read_text())
        seen[method] = [int(step) for step in manifest["validation"]]
        assert saved.load(output)[0].features.group.order == 1
    assert seen == {
        "finetune_augment": [1, 2, 3],
        "finetune_augment_matched": [4, 8, 12],  # of C4
    }


def test_an_epoch_has_every_image_once_and_no_small_rest():
    epoch = experiment.batches(25, 8, torch.Generator().manual_seed(0))
    assert sorted(torch.cat(list(epoch)).tolist()) == list(range(25))
    assert [len(batch) for batch in epoch] == [7, 6, 6, 6]


def test_accuracy_is_the_share_of_right_predictions():
    images = Images(torch.zeros(4, 3, 8, 8, dtype=torch.uint8), torch.tensor([0, 1, 2, 0]))
    assert prediction.accuracy(torch.tensor([0, 1, 1, 2]), images) == 0.5


@pytest.mark.parametrize("damage", ["truncated", "no manifest"])
def test_a_damaged_model_is_named(dataset, base, tmp_path, damage):
    copy = tmp_path / "model.safetensors"
    copy.write_bytes(base.read_bytes()[: 1000 if damage == "truncated" else None])
    if damage == "truncated":
        manifest = base.with_name("manifest.json").read_bytes()
        copy.with_name("manifest.json").write_bytes(manifest)
    with pytest.raises(ValueError, match="is no whole model of the image experiment"):
        saved.load(copy)
