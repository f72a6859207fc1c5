"""Rotations that interpolate: right where the answer is known, and never called exact."""

import math
import re

import pytest
import torch
from torch import nn

from equitune import EquiTuned, check_action, equivariance_report
from equitune.actions import Constant, Field, Rotate, Rotate90, Trivial, floor
from equitune.groups import CyclicGroup


def picture(size, degrees=0.0, dtype=torch.float64):
    """A smooth bump beside the centre, turned counter-clockwise: where rows count downwards."""
    angle = math.radians(degrees)
    places = (2 * torch.arange(size, dtype=dtype) + 1 - size) / size
    up, right = -places[:, None], places[None]
    bump = (right - 0.4 * math.cos(angle)) ** 2 + (up - 0.4 * math.sin(angle)) ** 2
    return torch.exp(-bump / 0.05)


@pytest.mark.parametrize(
    ("interpolation", "limit"), [("nearest", 0.12), ("bilinear", 0.01), ("bicubic", 0.01)]
)
@pytest.mark.parametrize("degrees", [0, 30, 90, 137.5, 180, 222, 270, 300, -45, 400])
def test_a_bump_turns_as_written(interpolation, limit, degrees):
    turned = Rotate(3, interpolation).turn(picture(65)[None], degrees)[0]
    assert (turned - picture(65, degrees)).abs().max() < limit


def test_quarter_turns_move_pixels():
    x = torch.randn(2, 3, 6, 6)
    turns, exact = Rotate(8, disc=False), Rotate90()
    for g in range(4):
        assert torch.equal(turns(2 * g, x), exact(g, x))


def test_the_disc_is_cut_out_of_every_copy():
    size = 9
    outside = torch.tensor(
        [[(2 * i - 8) ** 2 + (2 * j - 8) ** 2 > size**2 for j in range(size)] for i in range(size)]
    )
    x = torch.rand(2, size, size) + 1
    for copy in Rotate(7).orbit(x):
        assert (copy[:, outside] == 0).all()
        assert (copy[:, ~outside] > 0).all()
    assert torch.equal(Rotate(7)(0, x), x.masked_fill(outside, 0))
    assert torch.equal(Rotate(7, disc=False)(0, x), x)
    each = Rotate(7)(torch.tensor([0, 3]), x)
    assert torch.equal(each, torch.stack([Rotate(7)(0, x[0]), Rotate(7)(3, x[1])]))


def test_the_floor_is_that_of_a_loop_and_falls_with_the_pixels():
    x = picture(17)[None]
    turns = Rotate(5)
    worst = 0.0
    for g in [1, *range(5)]:
        for h in range(5):
            off = (turns(g, turns(h, x)) - turns((g + h) % 5, x)).abs().max()
            if g == 1 or (g + h) % 5 == 0:
                worst = max(worst, (off / turns(0, x).max()).item())
    assert floor(turns, x) == pytest.approx(worst)
    floors = [floor(turns, picture(size)[None]) for size in (17, 33, 65)]
    assert floors[0] > 2 * floors[1] > 4 * floors[2] > 0
    assert floor(Rotate90(), x) == 0


def test_wrong_angles_and_directions_are_caught():
    class Wrong(Rotate):
        def act(self, g, x):
            return self.turn(x, 360.0 * g / (self.n + 1))

    x = torch.randn(2, 3, 5, 5)
    check_action(Rotate(8), x)
    with pytest.raises(ValueError, match=r"g\(hx\) differs from \(gh\)x by"):
        check_action(Wrong(8), x)

    class Each(Rotate):
        def act_each(self, g, x):
            return x

    with pytest.raises(ValueError, match="act_each"):
        check_action(Each(8), x)


def test_no_word_says_exact_without_not():
    for action in (Rotate(8), Field(Rotate(8), ("row", "column"))):
        assert not action.exact
        assert re.findall(r"(not )?exact", repr(action)) == ["not "]
    assert Rotate90().exact
    assert floor(Rotate(4), torch.randn(2, 5, 5)) == 0  # of this n alone


class Net(nn.Module):
    """A small classifier that knows rows from columns."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.out = nn.Conv2d(1, 4, 5), nn.Linear(4 * 9, 3)
        self.pool = nn.AdaptiveAvgPool2d(3)

    def forward(self, x):
        return self.out(self.pool(self.conv(x).tanh()).flatten(1))


def test_the_report_shows_the_floor_and_blames_no_layer():
    x, turns = picture(32, dtype=torch.float32)[None, None], Rotate(8)
    keep = Trivial(turns.group)
    model = EquiTuned(Net(), turns, keep)
    report = equivariance_report(model, turns, keep, x)
    line = "  floor: Rotate of input 0 interpolates: g(hx) differs from (gh)x by "
    assert f"{line}{floor(turns, x):.1e} (relative)\n" in report
    assert "verdict: an action interpolates, so the error is not the model's alone" in report
    assert "cause" not in report
    assert "verdict: within the tolerance given" in equivariance_report(
        model, turns, keep, x, tolerance=0.05
    )
    assert "floor" not in equivariance_report(model, keep, keep, x)
    masks = EquiTuned(nn.Conv2d(1, 1, 3, padding=1), turns, turns)
    assert "floor: Rotate of the output interpolates" in equivariance_report(masks, turns, turns, x)


def test_between_the_samples_the_error_falls_with_their_number():
    x, between = picture(32, dtype=torch.float32)[None, None], [7.0, 19.0, 33.0, 41.0]

    def error(n):
        turns = Rotate(n)
        model = EquiTuned(Net(), turns, Trivial(turns.group)).eval()
        y = model(x)
        off = [(model(turns.turn(x, degrees)) - y).abs().max() for degrees in between]
        return (max(off) / y.abs().max()).item()

    errors = [error(n) for n in (1, 4, 16)]
    assert errors[0] > 2 * errors[1] > 4 * errors[2]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_interpolated_in_float32(dtype):
    x = picture(33, dtype=torch.float32)[None]
    turned = Rotate(8)(1, x.to(dtype))
    assert turned.dtype == dtype
    assert (turned.float() - Rotate(8)(1, x)).abs().max() < 0.01


def test_what_cannot_be_turned_is_refused():
    with pytest.raises(TypeError, match="Rotate interpolates, so pass floating values"):
        Rotate(8)(1, torch.ones(2, 4, 4, dtype=torch.long))
    with pytest.raises(ValueError, match=r"Rotate got shape \(2, 4, 5\): expected square"):
        Rotate(8)(1, torch.ones(2, 4, 5))
    with pytest.raises(ValueError, match="interpolation is 'cubic': expected one of nearest"):
        Rotate(8, "cubic")
    assert Rotate(8)(1, torch.ones(0, 3, 4, 4)).shape == (0, 3, 4, 4)


def test_it_is_not_a_permutation_of_its_own():
    """The group of the samples, and no state."""
    assert Rotate(6).group == CyclicGroup(6)
    assert not any(isinstance(value, Constant) for value in vars(Rotate(6)).values())
