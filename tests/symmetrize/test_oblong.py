"""Quarter turns of images of unequal height and width, whose outputs move: as the plain loop."""

import pytest
import torch
from small_models import TOLERANCE, Norm, Picture, plain_loop
from torch import nn

from equitune import EquiTuned, check_action
from equitune.actions import Field, Product, Rotate90, RotateFlip, Trivial, Vectors
from equitune.combine import Blend, Mean, Select, Weighted
from equitune.equivariance import assert_equivariant
from equitune.gain import expected_gain

QUARTERS = [Rotate90(square=False), RotateFlip(square=False)]
each = pytest.mark.parametrize("turns", QUARTERS, ids=repr)
NAMES = ("column", "row")


class Heads(nn.Module):
    """A mask, a field and classes, of any height and width; counts its passes."""

    def __init__(self):
        super().__init__()
        self.mask, self.calls = Picture(), 0

    def forward(self, image, flow, scale=1.0):
        self.calls += 1
        y = self.mask(image + flow.roll(1, 2)) * scale
        return {"mask": y[:, :1], "flow": y[:, 1:], "classes": y.mean((-2, -1)), "note": "one"}


def heads(turns):
    """Actions of the inputs and the outputs of `Heads`."""
    field = Field(turns, NAMES)
    keep = Trivial(turns.group)
    outputs = {"mask": turns, "flow": field, "classes": keep, "note": None}
    return {"image": turns, "flow": field}, outputs


def values(batch=2, dtype=torch.float32):
    return torch.randn(batch, 2, 4, 6, dtype=dtype), torch.randn(batch, 2, 4, 6, dtype=dtype)


@each
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("chunk_size", [None, 1, 3])
def test_is_the_plain_loop_in_value_and_gradient(turns, dtype, chunk_size):
    module, (x, _) = Picture().to(dtype), values(dtype=dtype)
    x.requires_grad_()
    model = EquiTuned(module, turns, turns, chunk_size=chunk_size)
    y, expected = model(x), plain_loop(module, turns, turns, x)
    assert y.shape == (2, 3, 4, 6)
    close = {"atol": TOLERANCE[dtype], "rtol": TOLERANCE[dtype]}
    torch.testing.assert_close(y, expected, **close)
    wanted = [x, *module.parameters()]
    grads = torch.autograd.grad(y.square().sum(), wanted)
    expected = torch.autograd.grad(expected.square().sum(), wanted)
    torch.testing.assert_close(grads, expected, **close)


@each
def test_masks_fields_and_classes_come_from_two_passes(turns):
    inputs, outputs = heads(turns)
    module, (image, flow) = Heads(), values()
    model = EquiTuned(module, inputs, outputs)
    assert_equivariant(model, inputs, outputs, {"image": image, "flow": flow})
    module.calls = 0
    y = model(image, flow=flow, scale=2.0)
    assert (module.calls, y["note"]) == (2, "one")
    for name in ("mask", "flow", "classes"):
        total = 0
        for g in turns.group.elements:
            copy = module(turns(g, image), inputs["flow"](g, flow), 2.0)[name]
            total = total + outputs[name].inverse(g, copy)
        torch.testing.assert_close(y[name], total / turns.group.order)


def entropy(y):
    return (y.exp() * torch.arange(y.shape[1])[:, None, None]).mean((1, 2, 3))


@each
@pytest.mark.parametrize(
    "combine", [Weighted(Norm()), Select(entropy), Blend(0.3)], ids=["weighted", "select", "blend"]
)
def test_other_combinations_are_those_written_out(turns, combine):
    module, (x, _) = Picture().double(), values(dtype=torch.float64)
    raw = [module(turns(g, x)) for g in turns.group.elements]
    back = torch.stack([turns.inverse(g, y) for g, y in enumerate(raw)])
    match combine:
        case Weighted():
            weights = torch.stack([combine.net(y) for y in raw])[..., None, None, None]
            expected = (weights * back).sum(0) / weights.sum(0)
        case Select():
            best = torch.stack([entropy(y) for y in raw]).argmin(0)
            expected = back[best, torch.arange(2)]
        case Blend():
            expected = 0.7 * back.mean(0) + 0.3 * raw[0]
    torch.testing.assert_close(EquiTuned(module, turns, turns, combine)(x), expected)


def test_the_gain_and_drawn_elements():
    turns, module, (x, _) = QUARTERS[0], Picture(), values(5)
    gain = expected_gain(module, turns, turns, x)
    copies = torch.stack([turns.inverse(g, module(turns(g, x))) for g in range(4)]).detach()
    spread = (copies - copies.mean(0)).square().flatten(2).sum(2).mean()
    assert gain.value == pytest.approx(float(spread), rel=1e-4)
    model = EquiTuned(module, turns, turns, sample=2).train()
    pairs = [(copies[i] + copies[j]) / 2 for i in range(4) for j in range(i)]
    for _ in range(5):
        y = model(x)
        assert any(torch.allclose(y, pair, atol=1e-6) for pair in pairs)


def test_a_batch_of_none_and_a_product_of_actions():
    turns = QUARTERS[0]
    both = Product(turns, Trivial(turns.group))
    model = EquiTuned(Picture(), both, both, Mean())
    assert model(torch.zeros(0, 2, 4, 6)).shape == (0, 3, 4, 6)
    x = values()[0]
    torch.testing.assert_close(model(x), plain_loop(model.module, turns, turns, x))


def test_an_output_that_does_not_turn_back_and_rows_that_mix_are_refused():
    turns, (x, _) = QUARTERS[0], values()
    with pytest.raises(
        ValueError, match=r"shapes back to \[\(2, 3, 4, 6\), \(2, 3, 6, 4\)\]: expected"
    ):
        EquiTuned(Picture(), turns, Trivial(turns.group))(x)
    with pytest.raises(ValueError, match="pass square=False"):
        EquiTuned(Picture(), turns, Rotate90())(x)

    class Mixing(nn.Module):
        def forward(self, x):
            return x - x.mean(0)

    with pytest.raises(ValueError, match="mixes the rows"):
        EquiTuned(Mixing(), turns, turns)(x)


def test_components_that_do_not_turn_are_found_on_oblong_images():
    turns, (_, flow) = QUARTERS[0], values()
    vectors = Vectors(turns, NAMES)
    check_action(Field(turns, NAMES), flow, vectors=vectors)
    with pytest.raises(ValueError, match="the vector components did not turn"):
        check_action(turns, flow, vectors=vectors)
