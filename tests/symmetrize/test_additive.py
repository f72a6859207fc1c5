"""The additive form for product groups: equivariant, a plain loop, and no projection."""

import pytest
import torch
from small_models import Words
from torch import nn
from torch.nn import functional as F

from equitune.actions import Compose, TokenPermutation
from equitune.additive import Additive
from equitune.symmetrize import EquiTuned

SIZE = 9
PAIR = TokenPermutation.generated_by([0, 2, 1, 3, 4, 5, 6, 7, 8])
THREE = TokenPermutation.generated_by([0, 1, 2, 4, 5, 3, 6, 7, 8])
FACTORS = [PAIR, THREE]


def make(module, factors=FACTORS):
    return Additive(module, [(a,) for a in factors], [a.on_logits() for a in factors])


def test_is_equivariant_under_the_product_and_the_sum_written_out():
    module, x = Words(SIZE).double(), torch.randint(SIZE, (4, 5))
    model, logits = make(module), Compose(PAIR.on_logits(), THREE.on_logits())
    both = Compose(PAIR, THREE)
    for g in both.group.elements:
        torch.testing.assert_close(model(both(g, x)), logits(g, model(x)), rtol=0, atol=1e-12)
    total = 0
    for own, other in ((PAIR, THREE), (THREE, PAIR)):
        there = other.permutations.amin(0)[x]
        term = sum(own.on_logits().inverse(g, module(own(g, there))) for g in own.group.elements)
        images = sum(other.on_logits()(g, term) for g in other.group.elements)
        total = total + images / own.group.order / other.group.order / 2
    torch.testing.assert_close(model(x), total)


def test_runs_as_many_copies_as_the_sum_of_the_orders():
    module = Words(SIZE)
    x = torch.tensor([[1, 3], [1, 4], [2, 5]])
    make(module)(x[:1])
    module.rows = 0
    make(module)(x[:1])
    assert module.rows - 4 <= 2 + 3  # four rows are those of the check for mixed rows


class Repeat(nn.Module):
    """Foretells the token that it has just read: equivariant already."""

    def forward(self, x):
        return F.one_hot(x, SIZE).double()


def test_is_no_projection():
    x = torch.tensor([[1, 0]])
    assert make(Repeat())(x)[0, 0, [1, 2]].tolist() == [0.75, 0.25]
    both, logits = Compose(PAIR, THREE), Compose(PAIR.on_logits(), THREE.on_logits())
    full = EquiTuned(Repeat(), both, logits)
    assert full(x)[0, 0, [1, 2]].tolist() == [1, 0]


def test_factors_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="id 1 is moved by two factors"):
        make(Repeat(), [PAIR, PAIR])
    with pytest.raises(ValueError, match="2 factors move the inputs, 1 the output"):
        Additive(Repeat(), [(PAIR,), (THREE,)], [PAIR.on_logits()])
