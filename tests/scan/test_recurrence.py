"""The recurrences against torch.nn, in values and in gradients."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from equitune.scan.recurrence import run

STEPS, BATCH, EMBEDDING, HIDDEN, VOCABULARY = 7, 3, 5, 6, 4


@pytest.mark.parametrize("cell", [nn.RNN, nn.GRU, nn.LSTM])
@pytest.mark.parametrize("reverse", [False, True])
def test_values_and_gradients_are_those_of_torch(cell, reverse):
    torch.manual_seed(0)
    module = cell(EMBEDDING, HIDDEN, bidirectional=True).double()
    table = torch.randn(VOCABULARY, EMBEDDING, dtype=torch.double, requires_grad=True)
    ids = torch.randint(VOCABULARY, (STEPS, BATCH))
    parts = 2 if cell is nn.LSTM else 1
    state = [
        torch.randn(BATCH, HIDDEN, dtype=torch.double, requires_grad=True) for _ in range(parts)
    ]
    weights = torch.randn(STEPS, BATCH, HIDDEN, dtype=torch.double)
    last = torch.randn(BATCH, HIDDEN, dtype=torch.double)

    # torch runs the backward direction on the reversed sequence and reverses its output
    start = [torch.stack([torch.zeros_like(s), s] if reverse else [s, s * 0]) for s in state]
    outputs, final = module(
        F.embedding(ids.flip(0) if reverse else ids, table), tuple(start) if parts > 1 else start[0]
    )
    expected = outputs[..., HIDDEN:].flip(0) if reverse else outputs[..., :HIDDEN]
    ended = (final[1] if parts > 1 else final)[int(reverse)]
    sources = [table, *state, *module.parameters()]
    expected_gradients = torch.autograd.grad(
        (expected * weights).sum() + (ended * last).sum(), sources, materialize_grads=True
    )

    words = F.one_hot(ids, VOCABULARY).double()
    states = run(module, words, table, state, reverse=reverse)
    gradients = torch.autograd.grad(
        (states[0] * weights).sum() + (states[-1][-1] * last).sum(), sources, materialize_grads=True
    )

    torch.testing.assert_close(states[0], expected, rtol=0, atol=1e-12)
    for found, wanted in zip(gradients, expected_gradients, strict=True):
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-12)
