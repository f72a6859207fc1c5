"""The forecast is the loss that averaging saves, exactly where its assumptions hold."""

import pytest
import torch
from torch import nn

from equitune import EquiTuned, equivariance_error, expected_gain
from equitune.actions import Action, AxisPermutation, Flip, Rotate90, RotateFlip, Trivial
from equitune.groups import CyclicGroup


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def network(out=3, size=6):
    """A model that knows no symmetry."""
    torch.manual_seed(4)
    layers = nn.Linear(2 * size * size, 16), nn.Tanh(), nn.Linear(16, out)
    return nn.Sequential(nn.Flatten(), *layers).double().requires_grad_(False)


def pictures(n=7, size=6):
    return torch.randn(n, 2, size, size, generator=generator(1), dtype=torch.float64)


def plain_loop(model, act, back, elements, x):
    """Mean over inputs and copies of ‖M(gx) - M_G(gx)‖², one number after another."""
    each = []
    for example in x:
        a = [back(g, model(act(g, example[None]))[0]) for g in elements]
        mean = sum(a) / len(a)
        each.append(sum(float(((one - mean) ** 2).sum()) for one in a) / len(a))
    value = sum(each) / len(each)
    spread = (sum((one - value) ** 2 for one in each) / (len(each) - 1)) ** 0.5
    return value, spread / len(each) ** 0.5


@pytest.mark.parametrize("action", [Rotate90(), RotateFlip(), Flip()], ids=repr)
@pytest.mark.parametrize("batch_size", [2, 64])
def test_an_invariant_forecast_is_that_of_the_plain_loop(action, batch_size):
    model, x = network(), pictures()
    elements = range(action.group.order)
    expected, error = plain_loop(model, action, lambda g, y: y, elements, x)
    found = expected_gain(model, action, Trivial(action.group), x, batch_size=batch_size)
    assert found.n == len(x)
    assert found.value == pytest.approx(expected, rel=1e-12)
    assert found.standard_error == pytest.approx(error, rel=1e-12)


def test_an_equivariant_forecast_moves_the_outputs_back():
    group = CyclicGroup(3)
    shift = AxisPermutation(group, [[0, 1, 2], [1, 2, 0], [2, 0, 1]])
    torch.manual_seed(2)
    model = nn.Linear(3, 3).double().requires_grad_(False)
    x = torch.randn(5, 3, generator=generator(), dtype=torch.float64)
    back = shift.inverse
    expected, error = plain_loop(model, shift, back, range(3), x)
    found = expected_gain(model, shift, shift, x)
    assert found.value == pytest.approx(expected, rel=1e-12)
    assert found.standard_error == pytest.approx(error, rel=1e-12)
    kept = expected_gain(model, shift, Trivial(group), x)  # another question, another answer
    assert abs(kept.value - found.value) > 1e-3


@pytest.mark.parametrize("action", [Rotate90(), RotateFlip()], ids=repr)
def test_on_whole_orbits_the_gain_is_the_difference_of_the_losses(action):
    """Inputs closed under the group and labels that are the same all over an orbit, any labels."""
    model, x = network(), pictures()
    average = EquiTuned(model, action, Trivial(action.group))
    y = torch.randn(len(x), 3, generator=generator(5), dtype=torch.float64)
    with torch.no_grad():
        copies = [action(g, x) for g in action.group.elements]
        plain = torch.stack([(model(c) - y).square().sum(1) for c in copies]).mean()
        averaged = torch.stack([(average(c) - y).square().sum(1) for c in copies]).mean()
    found = expected_gain(model, action, Trivial(action.group), x)
    assert found.value == pytest.approx(float(plain - averaged), rel=1e-12)
    assert found.value > 0.01


def test_the_forecast_holds_for_other_inputs_of_the_same_kind_within_its_error():
    """Forecast on one sample without labels, losses on another, each input moved once at random."""
    action, model = Rotate90(), network()
    average = EquiTuned(model, action, Trivial(action.group))
    noise = torch.randn(6000, 2, 6, 6, generator=generator(6), dtype=torch.float64)
    forecast = expected_gain(model, action, Trivial(action.group), noise[:3000])
    test, elements = noise[3000:], torch.randint(4, (3000,), generator=generator(7))
    y = test.mean((1, 2, 3))[:, None]  # invariant
    moved = action(elements, test)
    with torch.no_grad():
        saved = (model(moved) - y).square().sum(1) - (average(moved) - y).square().sum(1)
    error = (forecast.standard_error**2 + float(saved.var()) / len(saved)) ** 0.5
    assert abs(float(saved.mean()) - forecast.value) < 3 * error
    assert error < 0.1 * forecast.value


def test_nothing_is_gained_from_a_model_that_is_equivariant_already():
    action = Rotate90()
    average = EquiTuned(network(), action, Trivial(action.group))
    assert expected_gain(average, action, Trivial(action.group), pictures()).value < 1e-24


def test_labels_that_turn_with_the_input_break_the_forecast():
    """A quantity of the upright image is not an invariant: then the loss need not follow."""
    action, x = Rotate90(), pictures(40)
    # M is the target itself: its loss is 0, and averaging makes it worse
    target = nn.Sequential(nn.Flatten(), nn.Linear(72, 1, bias=False)).double()
    average = EquiTuned(target, action, Trivial(action.group))
    with torch.no_grad():
        saved = -(average(x) - target(x)).square().sum(1).mean()
    assert saved < 0 < expected_gain(target, action, Trivial(action.group), x).value


def test_several_inputs_and_a_function_as_the_model():
    group = CyclicGroup(4)
    x = pictures(4)
    y = torch.randn(4, 3, generator=generator(9), dtype=torch.float64)
    net = network()
    found = expected_gain(
        lambda a, b: net(a) * b, (Rotate90(), Trivial(group)), Trivial(group), x, y
    )
    each = []
    for example, factor in zip(x, y, strict=True):
        a = torch.stack([net(Rotate90()(g, example[None]))[0] * factor for g in range(4)])
        each.append(float((a - a.mean(0)).square().sum(1).mean()))
    assert found.value == pytest.approx(sum(each) / 4, rel=1e-12)


def test_one_number_an_example_and_maps_are_outputs_too():
    rotate, x = Rotate90(), pictures()
    scalar = expected_gain(lambda a: network()(a)[:, 0], rotate, Trivial(rotate.group), x)
    column = expected_gain(lambda a: network()(a)[:, :1], rotate, Trivial(rotate.group), x)
    assert scalar.value == pytest.approx(column.value, rel=1e-12)
    weights = torch.randn(6, 6, generator=generator(3), dtype=torch.float64)
    maps = expected_gain(lambda a: a * weights, rotate, rotate, x)
    expected, _ = plain_loop(lambda a: a * weights, rotate, rotate.inverse, range(4), x)
    assert maps.value == pytest.approx(expected, rel=1e-12)


class Stretch(Action):
    """Acts by doubling and halving: no length is kept."""

    def act(self, g, x):
        return x * (2.0 if g else 1.0)

    def inverse(self, g, y):
        return y / (2.0 if g else 1.0)


def test_the_model_is_left_in_its_mode_and_keeps_no_gradient():
    model = nn.Sequential(network(), nn.Dropout(0.5)).train()
    rotate, x = Rotate90(), pictures()
    first = expected_gain(model, rotate, Trivial(rotate.group), x)
    assert model.training
    assert model[1].training
    assert all(p.grad is None for p in model.parameters())
    assert expected_gain(model, rotate, Trivial(rotate.group), x) == first  # no dropout


@pytest.mark.parametrize(
    ("error", "text", "arguments"),
    [
        (ValueError, "1 inputs: expected two or more", lambda m, r, t, x: (m, r, t, x[:1])),
        (ValueError, "2 inputs for 1 input actions", lambda m, r, t, x: (m, r, t, x, x)),
        (TypeError, "the model gave torch.int64", lambda m, r, t, x: (lambda a: a.long(), r, t, x)),
        (TypeError, "the model gave tuple", lambda m, r, t, x: (lambda a: (a,), r, t, x)),
        (
            ValueError,
            "output is not finite",
            lambda m, r, t, x: (lambda a: a.flatten(1) / 0, r, t, x),
        ),
        (
            ValueError,
            "Stretch changes the lengths of outputs",
            lambda m, r, t, x: (m, Flip(), Stretch(CyclicGroup(2)), x),
        ),
    ],
)
def test_what_cannot_be_right_is_one_line(error, text, arguments):
    rotate = Rotate90()
    with pytest.raises(error, match=text) as caught:
        expected_gain(*arguments(network(), rotate, Trivial(rotate.group), pictures()))
    assert "\n" not in str(caught.value)


def test_a_batch_of_none_is_refused():
    rotate = Rotate90()
    with pytest.raises(ValueError, match="batch_size is 0: expected at least 1"):
        expected_gain(network(), rotate, Trivial(rotate.group), pictures(), batch_size=0)


def test_the_check_of_lengths_lets_equivariant_models_through():
    """The check is of the action, not of the model: an error of the model is what is measured."""
    rotate, x = Rotate90(), pictures()
    assert equivariance_error(network(), rotate, Trivial(rotate.group), x).max() > 0.1
    assert expected_gain(network(), rotate, Trivial(rotate.group), x).value > 0
