"""The loop computes the same model, the floor passes all copies of a batch; no speed is tested."""

from collections import defaultdict
from dataclasses import asdict

import pytest
import torch

from equitune.config import Permutation, Seq2SeqModel, Training
from equitune.saving.trained import write_trained
from equitune.scan import recurrence
from equitune.scan.data import ACTIONS, COMMANDS, END, Pairs
from equitune.scan.models import build
from equitune.scan.run import ScanRun

TURNS = Permutation([["right", "left"]], [["I_TURN_RIGHT", "I_TURN_LEFT"]])
TRAINING = Training(steps=1, batch_size=2, learning_rate=1e-3)
LINES = [
    ("jump right", "I_TURN_RIGHT I_JUMP"),
    ("walk", "I_WALK"),
    ("run left twice", "I_TURN_LEFT I_RUN I_TURN_LEFT I_RUN"),
]


@pytest.fixture(scope="module")
def cost(script):
    return script("scan_cost")


@pytest.fixture
def pairs():
    commands, actions = (
        torch.nn.utils.rnn.pad_sequence(
            [torch.tensor([*map(words.index, line[side].split()), END]) for line in LINES],
            batch_first=True,
        )
        for side, words in enumerate((COMMANDS, ACTIONS))
    )
    return Pairs(commands, actions)


@pytest.fixture
def model():
    torch.manual_seed(0)
    model = build("GRU", Seq2SeqModel(embedding=8, hidden=8), "equitune", TURNS)
    torch.nn.init.normal_(model.module.action_embedding.weight)  # differences show
    return model


def test_the_loop_and_the_model_agree(cost, model, pairs):
    model.eval()
    loop = cost.PaperLoop(model.module, cost.dictionaries(model))
    with torch.no_grad():
        fast = model(pairs.commands, pairs.prefixes())
        for row, (command, actions) in enumerate(LINES):
            slow = torch.cat(loop.combined(command.split(), actions.split(), forced=True))
            torch.testing.assert_close(slow, fast[row, : len(slow)])
        plain = model.module(pairs.commands, pairs.prefixes())
    assert not torch.allclose(plain[0, :2], fast[0, :2], atol=1e-3)


@pytest.mark.parametrize("architecture", ["RNN", "GRU", "LSTM"])
def test_torchs_layers_compute_the_same_model(cost, pairs, architecture, monkeypatch):
    torch.manual_seed(0)
    model = build(architecture, Seq2SeqModel(embedding=8, hidden=8), "equitune", TURNS).double()
    model.eval()
    torch.nn.init.normal_(model.module.command_embedding.weight)
    arguments = pairs.commands, pairs.prefixes()
    found = model(*arguments)
    with cost.torch_layers():
        monkeypatch.delattr(recurrence, "_prepared")  # the project's own cannot run
        other = model(*arguments)
    torch.testing.assert_close(other, found, rtol=0, atol=1e-12)
    monkeypatch.undo()
    assert torch.equal(model(*arguments), found)


def test_the_floor_passes_every_pair_as_often_as_the_group_has_elements(
    cost, model, pairs, monkeypatch
):
    seen, loss = [], cost.sequence_loss
    monkeypatch.setattr(
        cost, "sequence_loss", lambda m, batch: seen.append(len(batch)) or loss(m, batch)
    )
    cost.training_pass(model, pairs, TRAINING)()
    assert sorted(seen) == [1, 2]
    seen.clear()
    cost.training_pass(model, pairs, TRAINING, copies=3)()
    assert sorted(seen) == [3, 6]


def test_every_stage_is_measured_in_batches_of_the_run_and_in_large_ones(
    cost, model, pairs, tmp_path, monkeypatch
):
    how = {"model": Seq2SeqModel(embedding=8, hidden=8), "training": TRAINING, "seed": 0}
    which = {"architecture": "GRU", "method": "equitune", "group": "turns", "permutation": TURNS}
    file = tmp_path / "model.safetensors"
    write_trained(file, model, ScanRun(**which, **how), {})
    monkeypatch.setattr(cost, "load_dataset", lambda path: ({"train": pairs, "test": pairs}, {}))
    rows = [*cost.measure_all([file], tmp_path / "dataset", {"GRU": asdict(TRAINING)}, 1, 3)]
    found = defaultdict(list)
    for row in rows:
        key = row["benchmark"], row["numerator"], row["order"], row["at_least"]
        found[key].append(row["setting"])
    both, large = ["batch 2", "batch 128"], ["batch 128"]
    assert found == {
        ("loop", "pretraining", 1, 60): both,
        ("layers", "pretraining, torch.nn", 1, None): both,
        ("loop", "equi-tuning", 2, 60): both,
        ("layers", "equi-tuning, torch.nn", 2, None): both,
        ("floor", "equi-tuning", 2, None): both,
        ("loop", "evaluation", 2, 45): large,
        ("layers", "evaluation, torch.nn", 2, None): large,
    }
