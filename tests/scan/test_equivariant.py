"""The model of equivariant layers: exact, as its layers are defined, trained as every method is."""

from dataclasses import asdict

import pytest
import torch

from equitune.config import Permutation, Seq2SeqModel
from equitune.scan.data import ACTIONS, COMMANDS
from equitune.scan.decoding import greedy
from equitune.scan.models import Seq2Seq, build
from equitune.scan.words import word_group

SMALL = Seq2SeqModel(embedding=6, hidden=5)
SWAP = Permutation(commands=[["jump", "run"]], actions=[["I_JUMP", "I_RUN"]])
VERBS = Permutation(
    commands=[["jump", "run", "walk", "look"]], actions=[["I_JUMP", "I_RUN", "I_WALK", "I_LOOK"]]
)
architectures = pytest.mark.parametrize("architecture", ["RNN", "GRU", "LSTM"])
groups = pytest.mark.parametrize("permutation", [SWAP, VERBS], ids=["order 2", "order 4"])


def make(architecture, permutation):
    torch.manual_seed(0)
    return build(architecture, SMALL, "equivariant", permutation).double().eval()


@pytest.fixture
def batch():
    commands = torch.randint(2, len(COMMANDS), (5, 7))
    commands[0, 4:] = 0
    return commands, torch.randint(0, len(ACTIONS), (5, 8))


@architectures
@groups
def test_every_element_moves_the_output_as_it_moves_the_input(architecture, permutation, batch):
    model, (commands, prefixes) = make(architecture, permutation), batch
    words, actions = word_group(asdict(permutation))
    y = model(commands, prefixes)
    assert model.group.order == 1
    for g in words.group.elements:
        moved = model(words(g, commands), actions(g, prefixes))
        torch.testing.assert_close(moved, actions.on_logits()(g, y), rtol=0, atol=1e-12)
        if g:
            assert (moved - y).abs().max() > 1e-3


@groups
def test_a_training_step_keeps_it(permutation, batch):
    model, (commands, prefixes) = make("LSTM", permutation), batch
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    before = [p.detach().clone() for p in model.parameters()]
    model(commands, prefixes)[..., 3].mean().neg().backward()
    optimizer.step()
    changed = [not torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True)]
    assert all(changed)
    words, actions = word_group(asdict(permutation))
    moved = model(words(1, commands), actions(1, prefixes))
    expected = actions.on_logits()(1, model(commands, prefixes))
    torch.testing.assert_close(moved, expected, rtol=0, atol=1e-12)


def test_layers_are_convolutions_over_the_group_by_a_plain_loop():
    model = make("GRU", VERBS).module
    words, actions = word_group(asdict(VERBS))
    group, cell = words.group, model.decoder
    filters = cell.parametrizations.weight_hh_l0.original  # (|G|, gates·2, out, 2, in)
    f = torch.randn(2, 4, 5).double()  # directions, elements, hidden
    y = (cell.weight_hh_l0 @ f.flatten()).view(6, 4, 5)
    for g in group.elements:
        expected = sum(
            torch.einsum("rodi,di->ro", filters[group.multiply(group.inverse(g), h)], f[:, h])
            for h in group.elements
        )
        torch.testing.assert_close(y[:, g], expected)
    table = model.output.parametrizations.weight.original  # (words, 2, hidden)
    logits = model.output.weight @ f.flatten()
    for word in range(len(ACTIONS)):
        images = [int(actions.permutations[group.inverse(g), word]) for g in group.elements]
        expected = sum((table[image] * f[:, g]).sum() for g, image in enumerate(images))
        torch.testing.assert_close(logits[word], expected)


def test_the_identity_has_the_plain_models_layers_and_decodes_as_any(batch):
    model = make("LSTM", Permutation())
    plain = Seq2Seq("LSTM", len(COMMANDS), len(ACTIONS), 6, 5)
    count = [sum(p.numel() for p in m.parameters()) for m in (model, plain)]
    assert count[0] == count[1]
    assert greedy(model, batch[0], steps=6).shape == (5, 6)
