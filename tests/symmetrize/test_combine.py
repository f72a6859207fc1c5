"""Mean, Weighted and Select: their formulas, and what the networks inside them may give."""

import pytest
import torch
from small_models import (
    COMBINATIONS,
    S3,
    Norm,
    Peak,
    Picture,
    Square,
    Words,
    check_equivariant,
    rows_of,
)
from torch import nn

from equitune.actions import (
    Regular,
    RotateFlip,
    TokenPermutation,
)
from equitune.symmetrize import EquiTuned, Mean, Select, Weighted


def test_weighted_is_its_formula():
    group, x = S3, torch.randn(3, 6)
    action, module, net = Regular(group), Square(6), Norm()
    total, normaliser = torch.zeros(3, 6), torch.zeros(3, 1)
    for g in group.elements:
        output = module(action(g, x))
        weight = net(output)[:, None]
        total = total + weight * action(group.inverse(g), output)
        normaliser = normaliser + weight
    model = EquiTuned(module, action, action, Weighted(net))
    torch.testing.assert_close(model(x), total / normaliser)


def test_constant_weights_are_the_mean():
    action, module, x = Regular(S3), Square(6), torch.randn(3, 6)
    weighted = EquiTuned(module, action, action, Weighted(Constant()))
    torch.testing.assert_close(weighted(x), EquiTuned(module, action, action)(x))


class Constant(nn.Module):
    """The same weight for all, in a shape of choice."""

    def __init__(self, *shape):
        super().__init__()
        self.shape = shape

    def forward(self, y):
        return y.new_full((len(y), *self.shape), 2.0)


@pytest.mark.parametrize("shape", [(), (1,), (4,), (4, 1), (1, 1)])
def test_weights_take_leading_shapes(shape):
    words = TokenPermutation(S3, rows_of(S3))
    module, x = Words(8), torch.randint(8, (3, 4))
    model = EquiTuned(module, words, words.on_logits(), Weighted(Constant(*shape)))
    expected = EquiTuned(module, words, words.on_logits())(x)
    torch.testing.assert_close(model(x), expected)


@pytest.mark.parametrize(("shape", "message"), [((3,), "leading"), ((4, 8, 2), "leading")])
def test_weights_of_other_shapes_are_refused(shape, message):
    words = TokenPermutation(S3, rows_of(S3))
    model = EquiTuned(Words(8), words, words.on_logits(), Weighted(Constant(*shape)))
    with pytest.raises(ValueError, match=message):
        model(torch.randint(8, (3, 4)))


def test_one_weight_for_all_copies_is_refused():
    model = EquiTuned(Square(6), Regular(S3), Regular(S3), Select(lambda y: y.sum()))
    with pytest.raises(ValueError, match=r"net gave shape \(\) for 18 copies"):
        model(torch.randn(3, 6))


def test_weights_by_position_are_equivariant():
    words = TokenPermutation(S3, rows_of(S3))
    peak = Peak()
    model = EquiTuned(Words(8), words, words.on_logits(), Weighted(peak))
    check_equivariant(model, torch.randint(8, (3, 4)), 1e-5)


def test_select_takes_the_copy_of_the_smallest_score():
    group, x = S3, torch.randn(5, 6)
    action, module = Regular(group), Square(6)
    weights = torch.randn(6)

    def score(y):
        return y @ weights

    model = EquiTuned(module, action, action, Select(score))
    for i, example in enumerate(x):
        outputs = [module(action(g, example[None])) for g in group.elements]
        best = min(group.elements, key=lambda g: score(outputs[g]).item())
        expected = action(group.inverse(best), outputs[best])
        assert torch.equal(model(x[i : i + 1]), expected)


def test_select_passes_the_gradient_of_the_mean():
    action, module, x = Regular(S3), Square(6), torch.randn(5, 6)
    target = torch.randn(5, 6)
    grads = [
        torch.autograd.grad(
            (EquiTuned(module, action, action, combine)(x) * target).sum(), module.weight
        )[0]
        for combine in (Select(lambda y: y[:, 0]), Mean())
    ]
    torch.testing.assert_close(*grads)


def test_select_averages_ties_so_that_symmetric_inputs_stay_equivariant():
    """All copies of a constant image are equal; one of them moved back would not be."""
    x = torch.ones(1, 2, 4, 4)
    model = EquiTuned(Picture(), RotateFlip(), RotateFlip(), COMBINATIONS["select"]())
    y = model(x)
    assert not torch.allclose(y, model.module(x), atol=1e-3)
    check_equivariant(model, x, 1e-5)
    for g in model.group.elements:
        torch.testing.assert_close(RotateFlip()(g, y), y)


@pytest.mark.parametrize("combine", COMBINATIONS)
def test_combiners_can_be_called_on_outputs(combine):
    """Step by step decoding combines outputs which it made itself."""
    words = TokenPermutation(S3, rows_of(S3))
    module, x = Words(8), torch.randint(8, (3, 4))
    model = EquiTuned(module, words, words.on_logits(), COMBINATIONS[combine]())
    outputs = torch.stack([module(words(g, x)) for g in S3.elements])
    torch.testing.assert_close(model.orbit_outputs(x), outputs)
    torch.testing.assert_close(model.combine(outputs, words.on_logits()), model(x))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_select_sees_clear_choices_in_every_precision(dtype):
    """One score is below all others by a twentieth of the largest: its copy is taken, alone."""
    action = Regular(S3)
    outputs = (0.2 + torch.rand(6, 500, 6)).to(dtype)
    lowest = torch.rand(500).argsort() % 6
    others = outputs[..., 0].double()
    outputs[lowest, torch.arange(500), 0] = (others.amin(0) - 0.05 * others.amax(0)).to(dtype)
    chosen = Select(lambda y: y[:, 0])(outputs, action)
    for i, g in enumerate(lowest.tolist()):
        assert torch.equal(chosen[i], action.inverse(g, outputs[g, i][None])[0])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_select_averages_scores_that_differ_by_rounding_alone(dtype):
    action = Regular(S3)
    outputs = torch.rand(6, 1, 6).to(dtype)
    outputs[..., 0] = torch.tensor(3.0, dtype=dtype) * (1 + torch.finfo(dtype).eps)
    outputs[2, :, 0] = 3.0
    chosen = Select(lambda y: y[:, 0])(outputs, action)
    torch.testing.assert_close(chosen, action.unorbit(outputs).mean(0), rtol=1e-2, atol=1e-2)
