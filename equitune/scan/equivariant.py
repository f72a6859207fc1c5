"""The sequence-to-sequence model of which every layer is equivariant (Gordon et al. 2020).

Permutation Equivariant Models for Compositional Generalization in Language, ICLR 2020: states are
functions of the group f: G → R^H, and gx has (g f)(h) = f(g⁻¹h). Layers are convolutions,

    (f ∗ ψ)(g) = Σ_h ψ(g⁻¹h) f(h),   embedding of a word w: e(g) = ψ(g⁻¹w),
    logit of a word w: Σ_g ⟨ψ(g⁻¹w), f(g)⟩,

gates act on each number by itself, and attention's inner products sum over G. So it is `Seq2Seq`,
|G| times as wide, with weights that are worked out from filters ψ.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from equitune.actions import TokenPermutation
from equitune.groups import FiniteGroup

if TYPE_CHECKING:
    from equitune.scan.models import Seq2Seq

DIRECTIONS = 2  # of the encoder; the decoder's states have both, (…, directions, |G|, hidden)


def make_equivariant(model: Seq2Seq, words: TokenPermutation, actions: TokenPermutation) -> None:
    """Give a model filters in the place of its weights: f(gx) = g f(x) in evaluation mode.

    Dropout, which does not keep to the group, acts in training alone.

    Args:
        model: untrained, |G| times as wide as each element's part.
        words: how the group moves command ids.
        actions: how it moves action ids.
    """
    group, two = words.group, DIRECTIONS
    _register(model.command_embedding, "weight", _Words(words, 1))
    _register(model.action_embedding, "weight", _Words(actions, two))
    _register(model.output, "weight", _Words(actions, two))
    _register(model.output, "bias", _Orbits(actions))
    _register(model.mix, "weight", _Convolution(group, two, 2 * two))
    _register(model.mix, "bias", _Same(group.order, two))
    for cell, blocks in ((model.encoder, 1), (model.decoder, two)):
        for name, weight in list(cell.named_parameters()):
            rows = blocks * len(weight) // cell.hidden_size  # gates and directions
            bias = name.startswith("bias")
            filters = _Same(group.order, rows) if bias else _Convolution(group, rows, blocks)
            _register(cell, name, filters)


def _register(module: nn.Module, name: str, weight: nn.Module) -> None:
    parametrize.register_parametrization(module, name, weight)


class _Convolution(nn.Module):
    """Filters (|G|, rows, out, columns, in) to a matrix (rows·|G|·out, columns·|G|·in).

    Args:
        group: the group.
        rows: how many functions of the group the matrix gives: gates, directions.
        columns: how many it takes.
    """

    between: Tensor

    def __init__(self, group: FiniteGroup, rows: int, columns: int) -> None:
        super().__init__()
        self.order, self.rows, self.columns = group.order, rows, columns
        between = [
            [group.multiply(group.inverse(g), h) for h in group.elements] for g in group.elements
        ]
        self.register_buffer("between", torch.tensor(between), persistent=False)

    def forward(self, filters: Tensor) -> Tensor:
        whole = filters[self.between]  # (g, h, rows, out, columns, in)
        _, _, rows, out, columns, size = whole.shape
        whole = whole.permute(2, 0, 3, 4, 1, 5)
        return whole.reshape(rows * self.order * out, columns * self.order * size)

    def right_inverse(self, matrix: Tensor) -> Tensor:
        out, size = len(matrix) // self.rows, matrix.shape[1] // self.columns
        blocks = matrix.reshape(
            *(self.rows, self.order, out // self.order),
            *(self.columns, self.order, size // self.order),
        )
        return blocks[:, 0].permute(3, 0, 1, 2, 4).contiguous()  # of the identity, element 0


class _Words(nn.Module):
    """Filters (words, functions, size) to a table (words, functions·|G|·size) of e(g) = ψ(g⁻¹w)."""

    sources: Tensor

    def __init__(self, action: TokenPermutation, functions: int) -> None:
        super().__init__()
        self.functions, self.order = functions, action.group.order
        inverses = torch.tensor(action.group.inverses)
        self.register_buffer("sources", action.permutations.cpu()[inverses], persistent=False)

    def forward(self, filters: Tensor) -> Tensor:
        return filters[self.sources].permute(1, 2, 0, 3).flatten(1)

    def right_inverse(self, table: Tensor) -> Tensor:
        blocks = table.reshape(len(table), self.functions, self.order, -1)
        return blocks[:, :, 0].contiguous()


class _Same(nn.Module):
    """Numbers (rows, size) to a bias (rows·|G|·size) that is the same for all elements."""

    def __init__(self, order: int, rows: int) -> None:
        super().__init__()
        self.order, self.rows = order, rows

    def forward(self, numbers: Tensor) -> Tensor:
        return numbers[:, None].expand(-1, self.order, -1).flatten()

    def right_inverse(self, bias: Tensor) -> Tensor:
        return bias.reshape(self.rows, self.order, -1)[:, 0].contiguous()


class _Orbits(_Words):
    """Numbers (words,) to a bias (words,) that is the same for all images of a word."""

    def __init__(self, action: TokenPermutation) -> None:
        super().__init__(action, 1)

    def forward(self, numbers: Tensor) -> Tensor:
        return numbers[self.sources].mean(0)

    def right_inverse(self, bias: Tensor) -> Tensor:
        return bias
