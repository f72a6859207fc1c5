"""Canonicalization: the element is chosen from the input, and the model runs on that copy alone.

    M_C(x) = h⁻¹ M(hx),  h = argmin_g s(gx)

The score s is any network or energy of one copy; it need not follow the group. The copies of hx
are those of x in another order, so the same copy is chosen for both (Kaba et al. 2023,
Equivariance with Learned Canonicalization Functions, arXiv 2211.06489, where the argmin of an
energy is one of the forms).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from equitune.actions import Action, ActionTree
from equitune.combine import by_copy, mean_of, smallest
from equitune.groups import FiniteGroup
from equitune.trees import Flat, flatten


class Canonical(nn.Module):
    """The copy whose *input* has the smallest score: M runs once for each example.

    Copies whose scores are the smallest up to rounding are averaged, as frames are (Puny et al.
    2022, arXiv 2110.03336): an input with a symmetry of its own has several, and a choice among
    them would break equivariance. So the model is exactly equivariant for every score. What is
    traced (torch.compile, torch.export, vmap) cannot count such copies and computes all |G|, with
    the same values.

    In training the score learns by the straight-through estimator, as in Kaba et al. 2023: the
    choice is made in the forward pass, and has the gradient of p(g) = softmax(-s(gx)) in the
    backward pass, both where it chooses the input Σ_g p(g) gx and where it moves the output back.
    Inputs of integers, such as token ids, pass no such gradient; there the prior alone trains it.

    Args:
        score: maps the arguments of M, all copies along the batch, to scores (batch,) or
            (batch, 1); a module or a function.
        prior: what is known of the data that M was trained on, for `prior_loss`: the element whose
            copies look as it does, which is the identity where inputs come upright, or one weight
            for each element.
        top_k: the number of copies of the smallest scores that are averaged: 1 is
            canonicalization, |G| is the mean. M runs this many times for each example.

    Raises:
        ValueError: top_k is below 1.
    """

    def __init__(
        self,
        score: Callable[..., Tensor],
        prior: int | Sequence[float] | None = None,
        top_k: int = 1,
    ) -> None:
        """Store the parts; see the class."""
        super().__init__()
        if top_k < 1:
            raise ValueError(f"top_k is {top_k}: expected 1, or up to the order of the group")
        self.score, self.prior, self.top_k = score, prior, top_k

    def check(self, group: FiniteGroup) -> None:
        """Check that top_k and prior fit a group.

        Raises:
            ValueError: they do not.
        """
        if self.top_k > group.order:
            raise ValueError(f"top_k is {self.top_k}: expected at most the order of {group!r}")
        if self.prior is None or isinstance(self.prior, int):
            if self.prior is not None:
                group.check(self.prior)
            return
        if len(self.prior) != group.order or min(self.prior) < 0 or not sum(self.prior) > 0:
            raise ValueError(
                f"prior is {self.prior!r}: expected an element of {group!r}, or {group.order} "
                "weights, not negative and not all 0"
            )

    def scores(self, copies: Flat, order: int) -> Tensor:
        """Return the scores (|G|, batch) of all copies of an input, which stand along the batch."""
        inputs, named = copies.whole()
        values = self.score(*inputs, **named)
        batch = copies.moving()[0].shape[0] // order
        values = by_copy(values, order, batch, "score")
        if values.shape[2:] not in ((), (1,)):
            raise ValueError(
                f"score gave shape {tuple(values.shape[1:])} for a batch of {batch}: expected one "
                "number for each copy, (batch,) or (batch, 1)"
            )
        return values.reshape(order, batch)

    def chosen(self, scores: Tensor) -> Tensor:
        """Return which copies are averaged, (|G|, batch), by their scores (|G|, batch)."""
        return smallest(scores.detach(), self.top_k)

    def lent(self, copies: Flat, scores: Tensor) -> Flat:
        """Return copies of an input, along the batch, with the gradient of the choice.

        Their values stay what they are: Σ_g (p(g) - [p(g)]) gx is added, where [·] has no gradient.
        """
        if not (scores.requires_grad and torch.is_grad_enabled()):
            return copies
        slope = _slope(scores)

        def change(_: Action, x: Tensor) -> Tensor:
            if not x.is_floating_point():
                return x
            each = x.detach().reshape(*scores.shape, *x.shape[1:])
            return x + _weighted(slope, each).repeat(len(scores), *[1] * (x.ndim - 1))

        return copies.map(change)

    def forward(self, outputs: Any, action: ActionTree, scores: Tensor | None = None) -> Any:
        """Return the combination (batch, …) of outputs M(gx), (|G|, batch, …), as M gave them.

        Args:
            outputs: those of copies that are not chosen do not count.
            action: of the outputs.
            scores: of the inputs, (|G|, batch).

        Raises:
            ValueError: there are no scores, as where outputs are combined without their inputs.
        """
        if scores is None:
            raise ValueError(
                "Canonical chooses by the input: call the model, or pass scores=model.scores(…)"
            )
        best = self.chosen(scores)
        learns = scores.requires_grad and torch.is_grad_enabled()

        def combined(action: Action, y: Tensor) -> Tensor:
            rows = best.reshape(*best.shape, *[1] * (y.ndim - 2))
            result = mean_of(action.unorbit(y), rows)
            if learns:  # the gradient of Σ_g p(g) g⁻¹y, of the output y before it is moved back
                raw = mean_of(y.detach(), rows).expand(y.shape)
                result = result + _weighted(_slope(scores), action.unorbit(raw))
            return result

        return flatten(action, outputs, "outputs").map(combined).whole()

    def prior_loss(self, scores: Tensor) -> Tensor:
        """Return how far the choice is from the prior: -Σ_g prior(g) log p(g), the batch's mean.

        From Mondal et al. 2023, Equivariant Adaptation of Large Pretrained Models, arXiv
        2310.01647: added to the loss of training, it teaches the score to turn inputs as those
        are on which M was pretrained. p(g) is softmax(-s(gx)) over the group.

        Args:
            scores: as `EquiTuned.scores` returns them, (|G|, batch).

        Raises:
            ValueError: there is no prior.
        """
        if self.prior is None:
            raise ValueError("Canonical has no prior: pass prior=, an element or one weight each")
        logs = torch.log_softmax(-scores, dim=0).mean(dim=1)  # (|G|,)
        if isinstance(self.prior, int):
            return -logs[self.prior]
        weights = logs.new_tensor(self.prior)
        return -(weights / weights.sum() * logs).sum()

    def extra_repr(self) -> str:
        """Name the settings."""
        return f"prior={self.prior}, top_k={self.top_k}"


def _slope(scores: Tensor) -> Tensor:
    """Return zeros (|G|, batch) with the gradient of softmax(-scores)."""
    p = torch.softmax(-scores, dim=0)
    return p - p.detach()


def _weighted(slope: Tensor, values: Tensor) -> Tensor:
    """Return Σ_g slope(g) values(g), (batch, …), of values (|G|, batch, …)."""
    column = slope.reshape(*slope.shape, *[1] * (values.ndim - 2))
    return (column.to(values.dtype) * values).sum(dim=0)
