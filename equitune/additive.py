"""Product groups at the cost of a sum: Σ|G_i| passes in the place of Π|G_i|, for token ids.

    M_+(x) = 1/n Σ_i 1/|G_i| Σ_{g ∈ G_i} P_i g⁻¹ M(g r_i(x))

Here r_i(x) puts one word in the place of all words that the other factors exchange, and P_i is the
mean over the images by the other factors: so term i follows G_i, and the others change neither what
it takes nor what it gives (Baltaji, Basu and Varshney 2024, Efficient Model-Agnostic Multi-Group
Equivariant Networks, TMLR, arXiv 2310.09675). The sum is equivariant under G_1 × … × G_n, but it is
no projection: of a model that is equivariant already it makes another one, as P_i averages what
only another term may tell apart.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from equitune.actions import Action, Constant, TokenPermutation
from equitune.symmetrize import EquiTuned


class Additive(nn.Module):
    """A model of token ids made equivariant under a product of groups by one term for each.

    Args:
        module: the model M, which maps ids (batch, …) to one tensor (batch, …).
        inputs: for each factor how it moves each input; they must move different ids.
        outputs: for each factor how it moves the output.

    Raises:
        ValueError: there are not as many outputs as inputs, or two factors move the same ids.
    """

    def __init__(
        self,
        module: nn.Module,
        inputs: Sequence[tuple[TokenPermutation, ...]],
        outputs: Sequence[Action],
    ) -> None:
        """Check the factors; see the class."""
        super().__init__()
        if len(inputs) != len(outputs):
            raise ValueError(
                f"{len(inputs)} factors move the inputs, {len(outputs)} the output: expected one "
                "action of the output for each factor"
            )
        for column in zip(*inputs, strict=True):
            moved = torch.stack([_moved(action) for action in column])
            if (moved.sum(0) > 1).any():
                raise ValueError(
                    f"id {int(moved.sum(0).argmax())} is moved by two factors: expected factors "
                    "that move different ids"
                )
        self.terms = nn.ModuleList(
            EquiTuned(module, moves, output, dedupe=True)
            for moves, output in zip(inputs, outputs, strict=True)
        )
        self.outputs = tuple(outputs)
        self.first = [  # the smallest image of each id, for each factor and input
            [Constant(action.permutations.cpu().amin(0)) for action in moves] for moves in inputs
        ]

    def forward(self, *inputs: Tensor) -> Tensor:
        """Return M_+(x), in the shape of M(x), of ids (batch, …), one tensor for each input."""
        total: Tensor | None = None
        for i, term in enumerate(self.terms):
            others = [j for j in range(len(self.terms)) if j != i]
            ids = list(inputs)
            for j in others:
                firsts = zip(ids, self.first[j], strict=True)
                ids = [first.on(x)[x] for x, first in firsts]
            y = term(*ids)
            for j in others:
                action = self.outputs[j]
                y = torch.stack([action(g, y) for g in action.group.elements]).mean(0)
            total = y if total is None else total + y
        assert total is not None
        return total / len(self.terms)


def _moved(action: TokenPermutation) -> Tensor:
    """Return which ids some element moves, (ids,)."""
    rows = action.permutations.cpu()
    return (rows != torch.arange(action.size)).any(0)
