"""The recurrences against torch.nn, in values and in gradients."""

from functools import partial
from typing import get_args

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from equitune.config import Seq2SeqModel
from equitune.config.scan import Permutation, ScanArchitecture
from equitune.scan.models import build
from equitune.scan.recurrence import CELLS, Cell, run

STEPS, BATCH, EMBEDDING, HIDDEN, VOCABULARY = 7, 3, 5, 6, 4


@pytest.mark.parametrize("cell", [nn.RNN, nn.GRU, nn.LSTM])
@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize("steps", [1, STEPS])
def test_values_and_gradients_are_those_of_torch(cell, directions, steps):
    torch.manual_seed(0)
    module = cell(EMBEDDING, HIDDEN, bidirectional=directions == 2).double()
    table = torch.randn(VOCABULARY, EMBEDDING, dtype=torch.double, requires_grad=True)
    ids = torch.randint(VOCABULARY, (steps, BATCH))
    parts = 2 if cell is nn.LSTM else 1
    state = [
        torch.randn(directions, BATCH, HIDDEN, dtype=torch.double, requires_grad=True)
        for _ in range(parts)
    ]
    weights = torch.randn(directions, steps, BATCH, HIDDEN, dtype=torch.double)
    last = torch.randn(directions, BATCH, HIDDEN, dtype=torch.double)

    # torch runs the backward direction on the reversed sequence and reverses its output
    outputs, final = module(F.embedding(ids, table), tuple(state) if parts > 1 else state[0])
    expected = outputs.unflatten(-1, (directions, HIDDEN)).movedim(-2, 0)
    expected = torch.stack([x.flip(0) if place else x for place, x in enumerate(expected)])
    ended = final[1] if parts > 1 else final
    sources = [table, *state, *module.parameters()]
    expected_gradients = torch.autograd.grad(
        (expected * weights).sum() + (ended * last).sum(), sources, materialize_grads=True
    )

    read = torch.stack([ids, ids.flip(0)]) if directions == 2 else ids
    words = F.one_hot(read, VOCABULARY).double()
    states = run(module, words, table, state if directions == 2 else [s[0] for s in state])
    ends = states[-1].select(-3, -1)
    gradients = torch.autograd.grad(
        (states[0] * weights.view_as(states[0])).sum() + (ends * last.view_as(ends)).sum(),
        sources,
        materialize_grads=True,
    )

    torch.testing.assert_close(states[0], expected.view_as(states[0]), rtol=0, atol=1e-12)
    for found, wanted in zip(gradients, expected_gradients, strict=True):
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize("cell", [nn.RNN, nn.GRU, nn.LSTM])
@pytest.mark.parametrize("steps", [1, STEPS])
def test_values_without_a_backward_pass_to_come_are_the_same(cell, steps):
    module = cell(EMBEDDING, HIDDEN)
    table = torch.randn(VOCABULARY, EMBEDDING)
    words = F.one_hot(torch.randint(VOCABULARY, (steps, BATCH)), VOCABULARY).float()
    state = [torch.randn(BATCH, HIDDEN) for _ in range(2 if cell is nn.LSTM else 1)]
    with torch.no_grad():
        found = run(module, words, table, state)
    for one, other in zip(found, run(module, words, table, state), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("cell", [nn.RNN, nn.GRU, nn.LSTM])
@pytest.mark.parametrize("directions", [1, 2])
def test_no_two_gradients_share_their_memory(cell, directions):
    """What is done to gradients in place, as clipping, must reach each of them once."""
    module = cell(EMBEDDING, HIDDEN, bidirectional=directions == 2)
    table = torch.randn(VOCABULARY, EMBEDDING)
    shape = (STEPS, BATCH) if directions == 1 else (2, STEPS, BATCH)
    words = F.one_hot(torch.randint(VOCABULARY, shape), VOCABULARY).float()
    start = torch.randn(*shape[:-2], BATCH, HIDDEN)
    run(module, words, table, [start] * (2 if cell is nn.LSTM else 1))[0].sum().backward()
    gradients = [p.grad for p in module.parameters()]
    before = [g.clone() for g in gradients]
    torch._foreach_mul_(gradients, 0.5)
    for found, g in zip(gradients, before, strict=True):
        assert torch.equal(found, 0.5 * g)


def test_the_configuration_has_the_cells_that_there_are():
    assert {*get_args(ScanArchitecture)} == CELLS.keys()
    for cell in CELLS.values():
        assert cell.layer(EMBEDDING, HIDDEN).mode == cell.mode


def relu(words, table, weight, h, keep):
    """torch's RNN with another nonlinearity, step by step."""
    states = []
    for word in (words @ table.unsqueeze(-3)).unbind(-3):
        h = torch.relu(word + h @ weight.mT)
        states.append(h)
    return torch.stack(states, -3)


@pytest.fixture
def new(monkeypatch):
    """The layers of a new cell that a record has been made for, "ReLU"."""
    layer = partial(nn.RNN, nonlinearity="relu")
    monkeypatch.setitem(CELLS, "ReLU", Cell("RNN_RELU", layer, relu))
    return layer


def test_a_record_is_all_that_the_recurrence_of_a_new_cell_needs(new):
    module = new(EMBEDDING, HIDDEN, bidirectional=True).double()
    table = torch.randn(VOCABULARY, EMBEDDING, dtype=torch.double)
    ids = torch.randint(VOCABULARY, (STEPS, BATCH))
    words = F.one_hot(torch.stack([ids, ids.flip(0)]), VOCABULARY).double()
    start = torch.zeros(2, BATCH, HIDDEN, dtype=torch.double)
    ((forward, backward),) = run(module, words, table, [start])
    expected, _ = module(F.embedding(ids, table))
    found = torch.cat([forward, backward.flip(0)], -1)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


@pytest.mark.usefixtures("new")
@pytest.mark.parametrize("method", ["equitune", "equivariant"])
def test_a_record_is_all_that_models_of_a_new_cell_need(method):
    swap = Permutation(commands=[["jump", "run"]], actions=[["I_JUMP", "I_RUN"]])
    model = build("ReLU", Seq2SeqModel(embedding=4, hidden=4), method, swap)
    model(torch.tensor([[1, 2, 3]]), torch.tensor([[0, 1]])).sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
