"""The report on models of coarse precision: the doubt that rounding leaves fits the dtype."""

import pytest
import torch
from small_models import images
from torch import nn

from equitune.actions import Rotate90, Trivial
from equitune.equivariance import assert_equivariant, equivariance_error, equivariance_report

ROTATE = Rotate90()
KEEP = Trivial(ROTATE.group)


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def off_by(size, dtype):
    """An invariant of images, and a fault of a known size."""

    def model(x):
        return (1 + size * (x[..., 0, 0] > 0.5).double()).to(dtype)

    x = torch.zeros(1, 1, 2, 2)
    x[..., 0, 0] = 1.0
    return equivariance_report(model, ROTATE, KEEP, x)


@pytest.mark.parametrize(
    ("dtype", "size", "verdict"),
    [
        (torch.float32, 1e-4, "more than usual rounding"),
        (torch.float32, 1e-3, "too large"),
        (torch.float16, 2e-2, "more than usual rounding"),
        (torch.float16, 1e-1, "too large"),
        (torch.bfloat16, 4e-2, "equal up to rounding; a fault below 8e-02 is not seen in bfloat16"),
        (torch.bfloat16, 3e-1, "too large"),
        (torch.bfloat16, 5.0, "too large"),
        (torch.float64, 1e-9, "too large"),
    ],
    ids=lambda value: str(value).replace("torch.", "").replace(" ", "_"),
)
def test_the_doubt_that_rounding_leaves_fits_the_dtype(dtype, size, verdict):
    """A hundred tolerances were 100 % in float16 and 800 % in bfloat16."""
    assert f"verdict: {verdict}" in off_by(size, dtype)


def test_float8_is_too_coarse_to_judge():
    with pytest.raises(TypeError, match=r"float8_e4m3fn, which is too coarse .* pass tolerance="):
        off_by(0.5, torch.float8_e4m3fn)
    model = lambda x: x.mean((-2, -1)).to(torch.float8_e4m3fn)  # noqa: E731
    assert_equivariant(model, ROTATE, KEEP, images(), tolerance=0.2)


class Sums(nn.Module):
    """Adds pixels one by one in bfloat16 and returns float32, as language models do."""

    def __init__(self, bad=0.0):
        super().__init__()
        self.weight = nn.Parameter(torch.ones((), dtype=torch.bfloat16))
        self.last = nn.Identity()
        self.bad = bad

    def forward(self, x):
        total = self.bad * x[..., 0, 0].bfloat16()
        for pixel in (x.abs().bfloat16() * self.weight).flatten(-2).unbind(-1):
            total = total + pixel
        return self.last(total).float()


def test_the_tolerance_is_that_of_the_dtype_which_a_model_computes_in():
    x = images(size=4)
    errors = equivariance_error(Sums(), ROTATE, KEEP, x)
    assert 1e-3 < errors.max() < 3e-2  # more than float32 rounds, less than bfloat16 may
    assert_equivariant(Sums(), ROTATE, KEEP, x)
    report = equivariance_report(Sums(), ROTATE, KEEP, x)
    assert "one bfloat16 operation (the dtype of parameters)" in report
    with pytest.raises(AssertionError, match=r"too large for rounding"):
        assert_equivariant(Sums(bad=10.0), ROTATE, KEEP, x)
    with torch.autocast("cpu", torch.bfloat16):
        report = equivariance_report(lambda x: x.mean((-2, -1)), ROTATE, KEEP, x)
    assert "one bfloat16 operation (the dtype of autocast)" in report


def test_a_part_of_a_coarser_dtype_is_not_blamed_for_its_rounding():
    model = nn.Sequential(Sums(), nn.Flatten(), Slanted())
    with pytest.raises(AssertionError, match=r"cause: 2 \(Slanted\)"):
        assert_equivariant(model, ROTATE, KEEP, images(size=4), tolerance=1e-4)


class Slanted(nn.Module):
    """Makes a large difference of a small one."""

    def forward(self, x):
        return (1e3 * x).sin()
