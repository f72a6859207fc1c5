"""What the module and its actions must be, and actions of one's own."""

import itertools

import pytest
import torch
from small_models import S3, Picture, Two
from torch import nn

from equitune.actions import (
    Action,
    AxisPermutation,
    Flip,
    Rotate90,
    Trivial,
)
from equitune.groups import CyclicGroup, DihedralGroup
from equitune.symmetrize import EquiTuned


class Gives(nn.Module):
    """A model that returns what it is told to."""

    def __init__(self, output):
        super().__init__()
        self.output = output

    def forward(self, x):
        return self.output


@pytest.mark.parametrize(
    ("output", "error", "message"),
    [
        ((torch.ones(8),), TypeError, r"Gives returned tuple: .*\.logits"),
        (torch.tensor(1.0), ValueError, r"Gives returned shape \(\) for 8 examples"),
        (torch.ones(2, 8), ValueError, r"returned shape \(2, 8\) for 8 examples"),
        (torch.ones(8, dtype=torch.long), TypeError, "torch.int64: expected floating values"),
    ],
    ids=["tuple", "scalar", "fewer rows", "integers"],
)
def test_the_module_must_return_a_batch(output, error, message):
    model = EquiTuned(Gives(output), Rotate90(), Trivial(CyclicGroup(4)))
    with pytest.raises(error, match=message):
        model(torch.randn(2, 1, 4, 4))


def test_arguments_are_checked():
    rotate = Rotate90()
    with pytest.raises(
        ValueError, match=r"output_action is an action of CyclicGroup\(2\), .*\(4\)"
    ):
        EquiTuned(Picture(), rotate, Flip())
    with pytest.raises(ValueError, match=r"input_action\[1\] is an action of DihedralGroup\(4\)"):
        EquiTuned(Two(), (rotate, Trivial(DihedralGroup(4))), rotate)
    with pytest.raises(TypeError, match=r"output_action is None: expected an Action"):
        EquiTuned(Picture(), rotate, None)
    with pytest.raises(TypeError, match=r"module is <function"):
        EquiTuned(lambda x: x, rotate, rotate)
    with pytest.raises(TypeError, match=r"combine is 'mean': expected Mean\(\)"):
        EquiTuned(Picture(), rotate, rotate, "mean")
    with pytest.raises(ValueError, match="chunk_size is 0: expected at least 1"):
        EquiTuned(Picture(), rotate, rotate, chunk_size=0)
    with pytest.raises(ValueError, match="input_action is empty"):
        EquiTuned(Picture(), (), rotate)
    model = EquiTuned(Picture(), rotate, rotate)
    with pytest.raises(ValueError, match="square"):
        model(torch.randn(2, 2, 4, 5))
    with pytest.raises(ValueError, match="no dimensions"):
        model(torch.tensor(1.0))
    assert "CyclicGroup(4)" in repr(model)


def test_an_axis_permutation_acts_on_sets():
    """S3 on three set members: the symmetrized model does not depend on their order."""
    points = AxisPermutation(S3, S3.permutations, axis=1)
    model = EquiTuned(nn.Sequential(nn.Flatten(), nn.Linear(6, 2)), points, Trivial(S3))
    x = torch.randn(4, 3, 2)
    for order in itertools.permutations(range(3)):
        torch.testing.assert_close(model(x[:, order]), model(x))


def test_an_action_without_permutation_works():
    """Signs: symmetrized over x ↦ -x with odd output, even parts vanish."""

    class Sign(Action):
        def act(self, g, x):
            return -x if g else x

    sign = Sign(CyclicGroup(2))
    module = nn.Linear(3, 2).double()  # the bias is the even part
    x = torch.randn(4, 3, dtype=torch.float64)
    torch.testing.assert_close(EquiTuned(module, sign, sign)(x), x @ module.weight.T)
