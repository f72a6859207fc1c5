"""The image experiment's steps: what is trained, from what, and what is refused."""

import json
import re
from dataclasses import replace

import pytest
import torch
import torchvision

from equitune import adapters
from equitune.actions import Trivial
from equitune.config import IMAGE_METHODS, Adapter, ImageModel, Training
from equitune.distillation import distillation_distance
from equitune.image import experiment, prediction, saved
from equitune.image.data import Images, image_action, load_dataset
from equitune.image.run import ImageRun
from equitune.io.files import load_tensors, sha256
from equitune.methods import METHODS
from equitune.run.job import Job
from equitune.symmetrize import EquiTuned

NETWORK = "shufflenet_v2_x0_5"  # the smallest of torchvision
MODEL = ImageModel()
PLAN = Training(steps=3, batch_size=6, learning_rate=1e-3, optimizer="adamw")


def pretrain(dataset, output, training=PLAN, model=MODEL, network=NETWORK, **options):
    run = ImageRun(architecture=network, seed=0, model=model, training=training)
    job = Job(output=output, device="cpu", **options)
    experiment.pretrain(run, dataset / "dataset.safetensors", job)
    return output


def tune(
    dataset,
    weights,
    output,
    method="equitune",
    group="rotate90",
    model=MODEL,
    network=NETWORK,
    training=PLAN,
    teacher=None,
):
    settings = {"seed": 0, "model": model, "training": training}
    run = ImageRun(architecture=network, method=method, group=group, **settings)
    job = Job(output=output, device="cpu")
    experiment.tune(run, dataset / "dataset.safetensors", weights, job, teacher=teacher)
    return output


@pytest.fixture(autouse=True)
def hurried(monkeypatch):
    """Poses are learnt in three steps."""
    monkeypatch.setattr(experiment, "POSE_STEPS", 3)


@pytest.fixture(scope="module")
def base(dataset, tmp_path_factory):
    return pretrain(dataset, tmp_path_factory.mktemp("base") / "model.safetensors")


@pytest.fixture(scope="module")
def teacher(dataset, base, tmp_path_factory):
    """An equi-tuned model, from which students learn."""
    return tune(dataset, base, tmp_path_factory.mktemp("teacher") / "model.safetensors")


def test_the_memory_layout_is_that_of_the_settings_wherever_a_model_is_built(tmp_path, dataset):
    settings = ImageModel(channels_last=True)
    output = pretrain(dataset, tmp_path / "model.safetensors", model=settings)
    model, _, _ = saved.load(output)
    kernels = [p for p in model.parameters() if p.dim() == 4 and p.shape[1] > 1]
    assert all(p.is_contiguous(memory_format=torch.channels_last) for p in kernels)
    assert not all(p.is_contiguous() for p in kernels)


@pytest.mark.parametrize("backbone", ["trained", "frozen"])
@pytest.mark.parametrize("method", IMAGE_METHODS)
def test_every_method_trains_what_it_should(dataset, base, teacher, tmp_path, method, backbone):
    group = "identity" if method in ("pretrained", "finetune") else "rotate90"
    output = tmp_path / "model.safetensors"
    settings = ImageModel(backbone=backbone)
    taught = {"teacher": teacher} if METHODS[method].teacher else {}
    tune(dataset, base, output, method, group, settings, **taught)
    before, after = load_tensors(base)[0], load_tensors(output)[0]
    weights = [key for key in before if key.startswith("features.module.body") and "conv" in key]
    moved = [key for key in weights if not torch.equal(before[key], after[key])]
    trained = backbone == "trained" and method != "pretrained"
    assert len(moved) == (len(weights) if trained else 0)
    statistics = [key for key in before if key.endswith("running_mean")]
    assert any(not torch.equal(before[key], after[key]) for key in statistics) == trained
    assert not torch.equal(before["head.classify.weight"], after["head.classify.weight"])
    loaded, run, data = saved.load(output)
    assert (run.method, run.group, data["dataset"]) == (method, group, "halves")
    manifest = json.loads(output.with_name("manifest.json").read_text())
    assert manifest["configuration"]["dataset"] == "halves"
    assert len(manifest["inputs"]) == 2
    copies = "equi" in method or method == "canonical"
    assert loaded.features.group.order == (4 if copies else 1)


def test_the_prior_teaches_a_canonical_model_that_images_come_upright(
    dataset, tmp_path, monkeypatch
):
    """Its score learns so, before the network is trained and with it."""
    more = Training(steps=12, batch_size=6, learning_rate=3e-3, optimizer="adamw")
    base = pretrain(dataset, tmp_path / "model.safetensors", network="resnet18")
    pixels = load_dataset(dataset / "dataset.safetensors")[0]["train"].pixels

    def prior_loss(before, steps):
        monkeypatch.setattr(experiment, "POSE_STEPS", before)
        output = tmp_path / f"{before}_{steps}" / "model.safetensors"
        training = replace(more, steps=steps)
        tune(dataset, base, output, "canonical", network="resnet18", training=training)
        model, _, _ = saved.load(output)
        with torch.no_grad():
            scores = model.features.scores(pixels.float() / 255)
        return float(model.features.combine.prior_loss(scores))

    untaught = prior_loss(0, 0)
    assert prior_loss(12, 0) < untaught - 0.05
    assert prior_loss(0, 12) < untaught - 0.05


def test_adapters_are_kept_by_themselves_and_merged_into_the_model(dataset, base, tmp_path, caplog):
    caplog.set_level("INFO", "equitune")
    plan = replace(PLAN, adapter=Adapter(rank=2, targets=["conv1.0", "conv5.0"]))
    output = tune(dataset, base, tmp_path / "model.safetensors", training=plan)
    assert re.search(rf"{NETWORK} equitune: trains [\d,]+ of [\d,]+ parameters", caplog.text)
    merged, run, data = saved.load(output)
    again, path = saved.build_model(run, data), output.with_name("adapters.safetensors")
    saved.start_from(again, base)
    adapters.load(again, path, again.backbone)
    images = torch.rand(4, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(
            again.eval()(images), merged.eval()(images), atol=1e-5, rtol=1e-5
        )
    before, after = load_tensors(base)[0], load_tensors(output)[0]
    weights = [key for key in before if "body" in key and key.endswith("weight")]
    moved = {key.split(".")[-3] for key in weights if not torch.equal(before[key], after[key])}
    assert moved == {"conv1", "conv5"}
    assert path.stat().st_size < 0.3 * output.stat().st_size


@pytest.mark.slow
def test_a_distilled_model_learns_the_teachers_logits(dataset, base, teacher, tmp_path):
    plan = Training(steps=12, batch_size=7, learning_rate=1e-3, optimizer="adamw")
    outputs = {
        method: tune(
            dataset,
            base,
            tmp_path / method / "model.safetensors",
            method,
            training=plan,
            teacher=teacher if method == "distilled" else None,
        )
        for method in ("distilled", "finetune_augment")
    }
    images = load_dataset(dataset / "dataset.safetensors")[0]["train"].pixels.float() / 255
    master, action = saved.load(teacher)[0].eval(), image_action("rotate90")
    whole = EquiTuned(master, action, Trivial(action.group))  # it is invariant already
    found = {
        method: distillation_distance(whole, saved.load(output)[0], images)
        for method, output in outputs.items()
    }
    assert found["distilled"].total < found["finetune_augment"].total
    assert found["distilled"].defect > 0
    data = saved.load(outputs["distilled"])[2]
    assert data["teacher"] == sha256(teacher)
    assert "teacher" not in saved.load(outputs["finetune_augment"])[2]


@pytest.mark.parametrize("fault", ["none", "not needed", "other group", "other method"])
def test_a_teacher_that_does_not_fit_is_one_line(dataset, base, teacher, tmp_path, fault):
    given, said = {
        "none": (("distilled", "rotate90", None), "needs a teacher: pass --teacher, the model of"),
        "not needed": (("equitune", "rotate90", teacher), "method equitune has none"),
        "other group": (("distilled", "flip", teacher), "has group rotate90: expected flip"),
        "other method": (("distilled", "rotate90", base), "has method base: expected equitune"),
    }[fault]
    method, group, path = given
    with pytest.raises(ValueError, match=said) as refused:
        tune(dataset, base, tmp_path / "model.safetensors", method, group, teacher=path)
    assert "\n" not in str(refused.value)
    assert not list(tmp_path.iterdir())


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
    published = torchvision.models.get_model(NETWORK).state_dict()
    torch.save(published, tmp_path / "published.pth")
    still = Training(steps=0, batch_size=6, learning_rate=1e-3)
    output = tmp_path / "out" / "model.safetensors"
    tune(dataset, tmp_path / "published.pth", output, training=still)
    after = load_tensors(output)[0]
    key = "stage4.3.branch2.5.weight"
    assert torch.equal(after[f"features.module.body.{key}"], published[key])
    assert after["head.classify.weight"].shape == (3, 1024)


def test_weights_of_another_architecture_are_one_line_and_leave_nothing(dataset, tmp_path):
    torch.save(torchvision.models.alexnet().state_dict(), tmp_path / "alexnet.pth")
    with pytest.raises(ValueError, match=r"alexnet.pth does not fit .*missing .*conv1") as error:
        tune(dataset, tmp_path / "alexnet.pth", tmp_path / "out" / "model.safetensors")
    assert "\n" not in str(error.value)
    assert len(str(error.value).removeprefix(str(tmp_path))) < 500
    assert not (tmp_path / "out").exists()


def test_learning_lowers_the_error_and_patience_keeps_the_best(dataset, tmp_path):
    plan = Training(
        steps=24, batch_size=7, learning_rate=1e-3, optimizer="adamw", validate_every=4, patience=3
    )
    output = pretrain(dataset, tmp_path / "model.safetensors", plan, network="resnet18")
    manifest = json.loads(output.with_name("manifest.json").read_text())
    scores = {int(step): score for step, score in manifest["validation"].items()}
    assert scores[manifest["kept"]] == max(scores.values())
    assert max(scores.values()) > 0.6
    model, _, _ = saved.load(output)
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


def test_a_model_is_loaded_without_its_manifest(base, tmp_path):
    for name in ("model.safetensors", "config.json"):
        (tmp_path / name).write_bytes(base.with_name(name).read_bytes())
    again = saved.load(tmp_path / "model.safetensors")[0].state_dict()
    before = saved.load(base)[0].state_dict()
    assert all(torch.equal(again[key], x) for key, x in before.items())


def test_an_output_of_another_name_is_refused_before_training(dataset, tmp_path):
    with pytest.raises(ValueError, match=r"expected a file called model\.safetensors"):
        pretrain(dataset, tmp_path / "weights.safetensors")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("damage", ["truncated", "no settings"])
def test_a_damaged_model_is_named(dataset, base, tmp_path, damage):
    copy = tmp_path / "model.safetensors"
    copy.write_bytes(base.read_bytes()[: 1000 if damage == "truncated" else None])
    if damage == "truncated":
        settings = base.with_name("config.json").read_bytes()
        copy.with_name("config.json").write_bytes(settings)
    with pytest.raises(ValueError, match="is not a complete Image model"):
        saved.load(copy)
