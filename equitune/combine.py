"""Ways to combine the copies of an orbit: mean, λ-weighted, selected.

Each takes M(gx) for every g, (|G|, batch, …), moves them back and makes one output of them.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from equitune.actions import Action


class Mean(nn.Module):
    """Equi-tuning: the plain mean, 1/|G| Σ_g g⁻¹ M(gx)."""

    def forward(self, outputs: Tensor, action: Action) -> Tensor:
        """Return the combination (batch, …) of outputs M(gx), (|G|, batch, …), as M gave them."""
        return action.unorbit(outputs).mean(dim=0)


class Weighted(nn.Module):
    """λ-equitune: the weighted mean, [Σ_g λ(gx)]⁻¹ Σ_g λ(gx) g⁻¹ M(gx).

    From Basu et al. 2023, Efficient Equivariant Transfer Learning, arXiv 2305.09900; here λ is
    computed from M(gx).

    Args:
        net: maps M(gx), all copies along the batch, to positive weights: (batch,), or leading
            dimensions of the output such as (batch, positions, 1). A dimension that the output
            action moves must be 1 or left out. That weights are positive is the net's part, e.g.
            by a Softplus at its end; it is not checked, as a check would wait for the device.
    """

    def __init__(self, net: nn.Module) -> None:
        """Store the net."""
        super().__init__()
        self.net = net

    def forward(self, outputs: Tensor, action: Action) -> Tensor:
        """Return the combination (batch, …) of outputs M(gx), (|G|, batch, …), as M gave them."""
        weights = _per_example(self.net, outputs)
        weights = weights / weights.sum(dim=0)
        return (weights * action.unorbit(outputs)).sum(dim=0)


class Select(nn.Module):
    """Equizero: the copy of the smallest score, h⁻¹ M(hx) with h = argmin_g score(M(gx)).

    From arXiv 2305.09900. The gradient is straight-through: that of the mean. Copies whose scores
    are the smallest up to rounding are averaged, as a choice among them would break equivariance:
    an input with a symmetry of its own has equal copies, whose outputs are moved back differently.

    Args:
        score: maps M(gx), all copies along the batch, to scores of the shapes that `Weighted`
            takes, e.g. entropies; a module or a function.
    """

    def __init__(self, score: Callable[[Tensor], Tensor]) -> None:
        """Store the score."""
        super().__init__()
        self.score = score

    def forward(self, outputs: Tensor, action: Action) -> Tensor:
        """Return the combination (batch, …) of outputs M(gx), (|G|, batch, …), as M gave them."""
        with torch.no_grad():
            best = _smallest(_per_example(self.score, outputs))
        moved_back = action.unorbit(outputs)
        chosen = moved_back.detach().masked_fill(~best, 0).sum(dim=0) / best.sum(dim=0)
        if not moved_back.requires_grad:
            return chosen
        mean = moved_back.mean(dim=0)
        return chosen + (mean - mean.detach())  # the value of chosen, the gradient of the mean


def _smallest(scores: Tensor) -> Tensor:
    """Return where scores (|G|, …) are the smallest of the copies, up to rounding.

    Compared in float32 or better. Equal copies round differently by some units of their dtype: 64
    in float32 and float64, where these are small; 2 in half precision, where 64 would be half of
    the scores' range.
    """
    if not scores.is_floating_point():
        return scores == scores.amin(dim=0)
    eps = torch.finfo(scores.dtype).eps
    scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
    lowest = scores.amin(dim=0)
    sizes = scores.abs().masked_fill(scores.isinf(), 0).amax(dim=0)
    units = 64 if eps < 1e-6 else 2
    return (scores == lowest) | (scores <= lowest + units * eps * sizes)


def _per_example(net: Callable[[Tensor], Tensor], outputs: Tensor) -> Tensor:
    """Return net of every copy (|G|, batch, …), with as many dimensions as outputs."""
    order, batch = outputs.shape[:2]
    values = net(outputs.flatten(0, 1))
    if values.ndim == 0 or values.shape[0] != order * batch:
        raise ValueError(
            f"net gave shape {tuple(values.shape)} for {order * batch} copies: expected one number "
            "for each, (batch,) or (batch, 1)"
        )
    values = values.reshape(order, batch, *values.shape[1:])
    while values.ndim > outputs.ndim and values.shape[-1] == 1:
        values = values.squeeze(-1)
    values = values.reshape(*values.shape, *[1] * (outputs.ndim - values.ndim))
    fits = zip(values.shape, outputs.shape, strict=False)
    if values.ndim > outputs.ndim or any(v not in (1, size) for v, size in fits):
        raise ValueError(
            f"net gave shape {tuple(values.shape[1:])} for outputs {tuple(outputs.shape[1:])}: "
            "expected (batch,), or the leading dimensions of the output, each whole or 1"
        )
    return values
