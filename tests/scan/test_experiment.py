"""The SCAN experiment's steps: what is trained, from where it starts, what is refused."""

import json

import pytest
import torch
from torch.nn import functional as F

from equitune.config import Permutation, Seq2SeqModel, Training
from equitune.run.job import Job
from equitune.scan import experiment
from equitune.scan.data import Pairs, build_dataset, save_dataset
from equitune.scan.grammar import split
from equitune.scan.models import load, of_run
from equitune.scan.run import ScanRun

SMALL = Seq2SeqModel(embedding=8, hidden=8, dropout=0.1)
PLAN = Training(steps=4, batch_size=8, learning_rate=1e-2, validate_every=2)
SWAP = Permutation(commands=[["jump", "run"]], actions=[["I_JUMP", "I_RUN"]])


def _pairs(lines):
    return [line.removeprefix("IN: ").split(" OUT: ") for line in lines]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """A small part of add jump."""
    train, test = (_pairs(part) for part in split("add_jump"))
    path = tmp_path_factory.mktemp("scan") / "dataset.safetensors"
    facts = {"task": "add_jump", "seed": 0, "validation_fraction": 0.2}
    save_dataset(path, build_dataset(train, test, 0, 0.2, subset=40), **facts)
    return path


def run_of(method="pretrained", **settings):
    if method != "pretrained":
        settings |= {"group": "swap", "permutation": SWAP}
    training = settings.pop("training", PLAN)
    return ScanRun(
        architecture="GRU", method=method, seed=0, model=SMALL, training=training, **settings
    )


@pytest.fixture(scope="module")
def pretrained(dataset, tmp_path_factory):
    """A model that was pretrained for a few steps."""
    output = tmp_path_factory.mktemp("pretrained") / "model.safetensors"
    experiment.pretrain(run_of(), dataset, Job(output=output, device="cpu"))
    return output


def weights(path):
    return load(path)[0].module.state_dict()


def test_what_is_read_back_is_the_run_that_was_asked_for(pretrained):
    model, run = load(pretrained)
    assert run == run_of()
    assert model.group.order == 1
    manifest = json.loads(pretrained.with_name("manifest.json").read_text())
    assert manifest["configuration"]["task"] == "add_jump"
    assert set(manifest["inputs"]) == {"dataset.safetensors"}


def test_tuning_starts_from_the_pretrained_weights(dataset, pretrained, tmp_path):
    still = Training(steps=1, batch_size=8, learning_rate=1e-30)
    output = tmp_path / "model.safetensors"
    run = run_of("equitune", training=still)
    experiment.tune(run, dataset, pretrained, Job(output=output, device="cpu"))
    before, after = weights(pretrained), weights(output)
    for name, value in before.items():
        torch.testing.assert_close(after[name], value, atol=1e-12, rtol=0)
    assert load(output)[0].group.order == 2


def test_equivariant_layers_take_nothing_of_the_pretrained_weights(dataset, pretrained, tmp_path):
    output = tmp_path / "model.safetensors"
    run = run_of("equivariant")
    experiment.tune(run, dataset, pretrained, Job(output=output, device="cpu"))
    model, read = load(output)
    assert (read, model.group.order) == (run, 1)
    filters = "encoder.parametrizations.weight_hh_l0.original"
    assert model.module.state_dict()[filters].shape[0] == 2  # one for each element
    assert len(list(model.module.parameters())) == len(weights(pretrained))


def test_a_model_of_another_size_is_refused(dataset, pretrained, tmp_path):
    run = run_of("equitune")
    run = ScanRun(**{**vars(run), "model": Seq2SeqModel(embedding=8, hidden=16, dropout=0.1)})
    job = Job(output=tmp_path / "model.safetensors", device="cpu")
    with pytest.raises(
        ValueError, match=r"hidden=8.* the run asks for GRU with .*hidden=16.*first"
    ):
        experiment.tune(run, dataset, pretrained, job)
    assert not list(tmp_path.iterdir())


def test_an_output_of_another_name_is_refused_before_training(dataset, tmp_path):
    with pytest.raises(ValueError, match=r"expected a file called model\.safetensors"):
        experiment.pretrain(run_of(), dataset, Job(output=tmp_path / "m.pt", device="cpu"))


def test_the_loss_is_the_mean_over_all_true_actions():
    pairs = Pairs.encode([("jump", "I_JUMP"), ("walk left twice", "I_TURN_LEFT I_WALK " * 2)])
    torch.manual_seed(0)
    model = of_run(run_of("equitune")).double().eval()
    losses = []
    for row in range(len(pairs)):
        one = pairs[[row]].trimmed()
        found = model(one.commands, one.prefixes())[0]
        losses += [F.nll_loss(p, a) for p, a in zip(found, one.actions[0], strict=True)]
    assert len(losses) == 2 + 5  # with the end of each
    expected = torch.stack(losses).mean()
    torch.testing.assert_close(experiment.sequence_loss(model, pairs), expected)
