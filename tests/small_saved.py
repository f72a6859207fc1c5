"""Small models to save, and the checks of what comes back or is refused."""

import pytest
import torch
from torch import nn

from equitune.actions import Flip, Trivial
from equitune.symmetrize import EquiTuned

FLIP = Flip()


def linear(**settings):
    return nn.Sequential(nn.Linear(4, 3, **settings), nn.Tanh(), nn.Linear(3, 2, **settings))


def equal(module):
    """A module on rows of 4 numbers that is invariant under their mirror image."""
    return EquiTuned(module, FLIP, Trivial(FLIP.group))


def check_comes_back(model, again, x):
    """Same outputs as the plain loop over g with the weights of the saved model."""
    with torch.no_grad():
        expected = (model.module(x) + model.module(x.flip(-1))) / 2
        torch.testing.assert_close(again(x), expected, rtol=1e-6, atol=1e-6)


def refused(model, folder):
    """The line with which a model is refused, once nothing has been written."""
    with pytest.raises(ValueError, match=r"\w") as error:
        model.save_pretrained(folder)
    assert "\n" not in str(error.value)
    assert not folder.exists()
    return str(error.value)


class Facts(nn.Linear):
    """A linear map by a scale that its state dict holds as extra state."""

    def __init__(self, facts=None):
        super().__init__(4, 2)
        self.facts = facts

    def forward(self, x):
        return super().forward(x) * float(self.facts["scale"])

    def get_extra_state(self):
        return self.facts

    def set_extra_state(self, state):
        self.facts = state
