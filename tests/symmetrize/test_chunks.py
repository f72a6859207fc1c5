"""Economies: chunks, and equal rows computed once, change no value and no gradient."""

import copy

import pytest
import torch
from small_models import COMBINATIONS, Picture, Words
from torch import nn

from equitune.actions import (
    Rotate90,
    RotateFlip,
    TokenPermutation,
    Trivial,
)
from equitune.groups import CyclicGroup
from equitune.symmetrize import EquiTuned


@pytest.mark.parametrize("chunk_size", [1, 2, 3, 8, 100])
@pytest.mark.parametrize("combine", COMBINATIONS)
def test_chunks_change_neither_value_nor_gradient(chunk_size, combine):
    module = Picture().double()
    x = torch.randn(2, 2, 5, 5, dtype=torch.float64, requires_grad=True)
    results = []
    for size in (None, chunk_size):
        model = EquiTuned(
            module, RotateFlip(), RotateFlip(), COMBINATIONS[combine](), chunk_size=size
        )
        y = model(x)
        loss = (y * torch.linspace(0, 1, y.numel(), dtype=y.dtype).view_as(y)).sum()
        grads = torch.autograd.grad(loss, [*module.parameters(), x])
        with torch.no_grad():
            results.append([y.detach(), model(x), *grads])
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-11)


class Counting(nn.Module):
    """Counts the rows of each call and the activations that a backward pass would keep."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.calls = []

    def forward(self, x):
        self.calls.append(len(x))
        return (x * self.weight).sin().exp()


def test_chunks_bound_how_many_copies_are_kept():
    rotate, x = RotateFlip(), torch.randn(2, 1, 4, 4)
    kept = {}
    for size in (None, 2):
        model = EquiTuned(Counting(), rotate, rotate, chunk_size=size)
        saved = []

        def pack(tensor, saved=saved):
            saved.append(tensor)
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            y = model(x)
        kept[size] = sum(t.numel() for t in saved)
        calls = list(model.module.calls)
        y.sum().backward()
        assert calls == ([16] if size is None else [4, 4, 4, 4])
        assert len(model.module.calls) == (1 if size is None else 8)  # each chunk once more
    assert kept[2] < kept[None] / 2
    model.module.calls.clear()
    with torch.no_grad():
        model(x)
    assert model.module.calls == [4, 4, 4, 4]


@pytest.mark.parametrize(
    "norm",
    [nn.BatchNorm2d, lambda n: nn.BatchNorm2d(n, momentum=None)],
    ids=["moving average", "plain average"],
)
def test_chunks_count_running_statistics_once(norm):
    """Each chunk updates BatchNorm once, as a loop without recomputation does; gradients agree."""
    x = torch.randn(3, 2, 5, 5)
    rotate = RotateFlip()
    module = Picture(norm)
    plain = copy.deepcopy(module)
    model = EquiTuned(module, rotate, rotate, chunk_size=3)
    y = model(x)
    y.square().sum().backward()
    outputs = []
    for chunk in ([0, 1, 2], [3, 4, 5], [6, 7]):
        output = plain(torch.cat([rotate(g, x) for g in chunk]))
        outputs += [rotate.inverse(g, o) for g, o in zip(chunk, output.split(3), strict=True)]
    expected = sum(outputs) / 8
    expected.square().sum().backward()
    torch.testing.assert_close(y, expected)
    assert module.norm.num_batches_tracked == 3
    for a, b in zip(module.buffers(), plain.buffers(), strict=True):
        assert torch.equal(a, b)
    for a, b in zip(module.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-4, atol=1e-5)


def test_chunks_repeat_the_dropout_and_allow_a_second_backward():
    x = torch.randn(3, 2, 5, 5)
    rotate = Rotate90()
    module = Picture(nn.BatchNorm2d, dropout=0.5)
    plain = copy.deepcopy(module)
    torch.manual_seed(1)
    y = EquiTuned(module, rotate, rotate, chunk_size=1)(x)
    state = torch.get_rng_state()
    y.sum().backward(retain_graph=True)
    assert torch.equal(torch.get_rng_state(), state)
    first = [p.grad.clone() for p in module.parameters()]
    y.sum().backward()
    torch.manual_seed(1)
    expected = sum(rotate.inverse(g, plain(rotate(g, x))) for g in range(4)) / 4
    expected.sum().backward()
    torch.testing.assert_close(y, expected)
    for a, b, p in zip(first, plain.parameters(), module.parameters(), strict=True):
        torch.testing.assert_close(a, b.grad, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(p.grad, 2 * a)
    assert torch.equal(module.norm.running_mean, plain.norm.running_mean)


class Counter(nn.Module):
    """Multiplies by the number of its calls so far, which is a buffer."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, x):
        self.calls.add_(1)
        return x * self.weight * self.calls.clone()


def test_chunks_are_recomputed_from_the_buffers_they_saw():
    module, x = Counter(), torch.ones(1, 1, 2, 2)
    y = EquiTuned(module, Rotate90(), Rotate90(), chunk_size=1)(x)
    assert y[0, 0, 0, 0].item() == (1 + 2 + 3 + 4) / 4
    for times in (1, 2):  # a second time, as with retain_graph=True
        y[0, 0, 0, 0].backward(retain_graph=True)
        assert module.weight.grad.item() == times * 2.5
    assert module.calls.item() == 4


@pytest.mark.parametrize("chunk_size", [None, 2])
@pytest.mark.parametrize("combine", COMBINATIONS)
def test_dedupe_changes_nothing_and_computes_fewer_rows(chunk_size, combine):
    words = TokenPermutation.generated_by([1, 2, 0, 3, 4, 5])
    x = torch.tensor([[3, 4], [0, 5], [3, 4], [1, 5], [4, 4]])  # rows 1 and 3 in one orbit
    module = Words(6).double()
    plain = EquiTuned(module, words, words.on_logits(), COMBINATIONS[combine]())
    expected = plain(x)
    assert module.rows == 15
    module.rows = 0
    with torch.no_grad():
        model = EquiTuned(
            module,
            words,
            words.on_logits(),
            COMBINATIONS[combine](),
            chunk_size=chunk_size,
            dedupe=True,
        )
        y = model(x)
    assert module.rows == 5  # (3 4) and (4 4) once, the orbit of (0 5) three times
    torch.testing.assert_close(y, expected.detach(), rtol=1e-12, atol=1e-12)
    grads = [
        torch.autograd.grad(m(x).square().sum(), list(module.parameters())) for m in (plain, model)
    ]
    for a, b in zip(*grads, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-11)


def test_dedupe_compares_all_inputs_and_keeps_the_order():
    group = CyclicGroup(2)
    words = TokenPermutation(group, [[0, 1, 2], [1, 0, 2]])
    seen = []

    class Pair(nn.Module):
        def forward(self, ids, label):
            seen.append((ids.tolist(), label.tolist()))
            return ids.double().sum(1) * 10 + label

    x, label = torch.tensor([[2, 2], [2, 2], [2, 0]]), torch.tensor([7, 5, 5])
    model = EquiTuned(Pair(), (words, Trivial(group)), Trivial(group), dedupe=True)
    y = model(x, label)
    assert seen[-1] == ([[2, 2], [2, 2], [2, 0], [2, 1]], [7, 5, 5, 5])
    assert y.tolist() == [47.0, 45.0, 30.0]


def test_dedupe_refuses_floats():
    model = EquiTuned(Picture(), Rotate90(), Rotate90(), dedupe=True)
    with pytest.raises(TypeError, match=r"input 0 is torch.float32: .* pass dedupe=False"):
        model(torch.randn(1, 2, 4, 4))
