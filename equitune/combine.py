"""Ways to combine the copies of an orbit: mean, λ-weighted, selected, blended with the model.

Each takes M(gx) for every g, (|G|, batch, …), moves them back and makes one output of them. Of a
model with several outputs it takes trees of them, beside the tree of their actions; of copies of
several shapes, as of images that are not square, `Parts` of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from equitune.actions import Action, ActionTree
from equitune.copies import Parts, moved_back
from equitune.trees import Flat, flatten

Elements: TypeAlias = Sequence[int] | Tensor | None
"""The elements of which there are copies; None for all of the group."""


class Mean(nn.Module):
    """Equi-tuning: the plain mean, 1/|G| Σ_g g⁻¹ M(gx)."""

    def forward(self, outputs: Any, action: ActionTree, elements: Elements = None) -> Any:
        """Return the combination (batch, …) of outputs M(gx), (|G|, batch, …), as M gave them."""
        return _Copies(outputs, action, elements).combined(lambda back: back.mean(dim=0))


class Weighted(nn.Module):
    """λ-equitune: the weighted mean, [Σ_g λ(gx)]⁻¹ Σ_g λ(gx) g⁻¹ M(gx).

    From Basu et al. 2023, Efficient Equivariant Transfer Learning, arXiv 2305.09900; here λ is
    computed from M(gx).

    Args:
        net: maps M(gx), all copies along the batch, to positive weights: (batch,), or leading
            dimensions of the output such as (batch, positions, 1). A dimension that the output
            action moves must be 1 or left out. That weights are positive is the net's part, e.g.
            by a Softplus at its end; it is not checked, as a check would wait for the device.
            Of several outputs it gets all, as M nests them, and its weights hold for each.
    """

    def __init__(self, net: nn.Module) -> None:
        """Store the net."""
        super().__init__()
        self.net = net

    def forward(self, outputs: Any, action: ActionTree, elements: Elements = None) -> Any:
        """Return the combination (batch, …) of outputs M(gx), (|G|, batch, …), as M gave them."""
        copies = _Copies(outputs, action, elements)
        values = copies.per_example(self.net)

        def combined(back: Tensor) -> Tensor:
            weights = _fitted(values, back)
            weights = weights / weights.sum(dim=0)
            return (weights * back).sum(dim=0)

        return copies.combined(combined)


class Select(nn.Module):
    """Equizero: the copy of the smallest score, h⁻¹ M(hx) with h = argmin_g score(M(gx)).

    From arXiv 2305.09900. The gradient is straight-through: that of the mean. Copies whose scores
    are the smallest up to rounding are averaged, as a choice among them would break equivariance:
    an input with a symmetry of its own has equal copies, whose outputs are moved back differently.

    Args:
        score: maps M(gx), all copies along the batch, to scores of the shapes that `Weighted`
            takes, e.g. entropies; a module or a function. Of several outputs it gets all.
    """

    def __init__(self, score: Callable[[Any], Tensor]) -> None:
        """Store the score."""
        super().__init__()
        self.score = score

    def forward(self, outputs: Any, action: ActionTree, elements: Elements = None) -> Any:
        """Return the combination (batch, …) of outputs M(gx), (|G|, batch, …), as M gave them."""
        copies = _Copies(outputs, action, elements)
        with torch.no_grad():
            values = copies.per_example(self.score)

        def chosen(back: Tensor) -> Tensor:
            value = mean_of(back.detach(), smallest(_fitted(values, back)))
            if not back.requires_grad:
                return value
            mean = back.mean(dim=0)
            return value + (mean - mean.detach())  # the value of chosen, the gradient of the mean

        return copies.combined(chosen)


class Blend(nn.Module):
    """Between the mean and the model as it is: M_b(x) = (1 - b) M_G(x) + b M(x).

    M(x) is the copy of the identity, so this takes no other pass. As M_G is equivariant,
    M_b(gx) - g M_b(x) = b (M(gx) - g M(x)): the error is b times that of M, exactly. Of soft
    equivariance this is the form of a residual (Finzi et al. 2021, Residual Pathway Priors,
    arXiv 2112.01388), with the equivariant part the nearest one to M.

    Args:
        b: the share of the model as it is: 0 is `Mean`, 1 is the plain model.
        learned: b is a parameter, from which training starts.
    """

    def __init__(self, b: float = 0.5, *, learned: bool = False) -> None:
        """Store b."""
        super().__init__()
        self.b: nn.Parameter | float = nn.Parameter(torch.tensor(float(b))) if learned else float(b)

    def forward(self, outputs: Any, action: ActionTree) -> Any:
        """Return the combination (batch, …) of outputs M(gx), (|G|, batch, …), as M gave them."""
        copies = _Copies(outputs, action, None)
        identity = copies.place_of_identity()

        def blended(back: Tensor) -> Tensor:
            return (1 - self.b) * back.mean(dim=0) + self.b * back[identity]

        return copies.combined(blended)

    def get_extra_state(self) -> float | None:
        """Return b where it is a number, which the state dict would not hold."""
        return None if isinstance(self.b, nn.Parameter) else self.b

    def set_extra_state(self, state: float | None) -> None:
        """Take b from a state dict.

        Raises:
            ValueError: b is learned in one of the two alone.
        """
        if (state is None) != isinstance(self.b, nn.Parameter):
            learned = state is None
            raise ValueError(f"b was saved as Blend(learned={learned}): pass such a Blend")
        if state is not None:
            self.b = float(state)

    def extra_repr(self) -> str:
        """Name b."""
        if isinstance(self.b, nn.Parameter):
            return f"b={float(self.b.detach()):g}, learned"
        return f"b={self.b:g}"


def mean_of(values: Tensor, chosen: Tensor) -> Tensor:
    """Return the mean over dimension 0 of the values that are chosen: both (|G|, batch, …)."""
    return values.masked_fill(~chosen, 0).sum(dim=0) / chosen.sum(dim=0)


def smallest(scores: Tensor, count: int = 1) -> Tensor:
    """Return where scores (|G|, …) are among the `count` smallest of the copies, up to rounding.

    Compared in float32 or better. Equal copies round differently by some units of their dtype: 64
    in float32 and float64, where these are small; 2 in half precision, where 64 would be half of
    the scores' range.
    """
    if not scores.is_floating_point():
        return scores <= _lowest(scores, count)
    eps = torch.finfo(scores.dtype).eps
    scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
    lowest = _lowest(scores, count)
    sizes = scores.abs().masked_fill(scores.isinf(), 0).amax(dim=0)
    units = 64 if eps < 1e-6 else 2
    return (scores <= lowest) | (scores <= lowest + units * eps * sizes)


def _lowest(scores: Tensor, count: int) -> Tensor:
    """Return the largest of the `count` smallest scores of the copies."""
    return scores.amin(dim=0) if count == 1 else scores.kthvalue(count, dim=0).values


class _Copies:
    """Outputs of copies with their actions: those of one shape together, nearly always all."""

    def __init__(self, outputs: Any, action: ActionTree, elements: Elements) -> None:
        """Take them apart; elements None for all of the group, of `Parts` they are theirs."""
        several = isinstance(outputs, Parts)
        self.elements: tuple[Elements, ...] = outputs.elements if several else (elements,)
        each = outputs.outputs if several else (outputs,)
        self.flats = [flatten(action, part, "outputs") for part in each]

    def combined(self, change: Callable[[Tensor], Tensor]) -> Any:
        """Return change of all copies moved back, (copies, batch, …), nested as M gave them."""
        first = self.flats[0]
        columns = zip(first.actions, zip(*(f.values for f in self.flats), strict=True), strict=True)
        values = tuple(ys[0] if a is None else change(self._back(a, ys)) for a, ys in columns)
        return first._replace(values=values).whole()

    def per_example(self, net: Callable[[Any], Tensor]) -> Tensor:
        """Return net of every copy as it is, (copies, batch, …)."""
        return torch.cat([_per_example(net, flat) for flat in self.flats])

    def place_of_identity(self) -> int:
        """Return the place of the copy that is not moved, of those of all elements."""
        action = next(a for a in self.flats[0].actions if a is not None)
        together = [g for part in self.elements for g in part or action.group.elements]
        return together.index(action.group.identity)

    def _back(self, action: Action, ys: Sequence[Tensor]) -> Tensor:
        pairs = zip(self.elements, ys, strict=True)
        back = [moved_back(action, elements, y) for elements, y in pairs]
        if len(back) == 1:
            return back[0]
        shapes = [tuple(y.shape[1:]) for y in back]
        if any(shape != shapes[0] for shape in shapes):  # a set could not hold a free batch size
            raise ValueError(
                f"{action!r} moves outputs of copies of several shapes back to {shapes}: expected "
                "one shape, as of a model whose outputs have the height and width of its inputs, "
                "and an output action that moves them"
            )
        return torch.cat(back)


def _per_example(net: Callable[[Any], Tensor], outputs: Flat) -> Tensor:
    """Return net of every copy, (copies, batch, …), of outputs that are (copies, batch, …) each."""
    order, batch = outputs.moving()[0].shape[:2]
    values = net(outputs.map(lambda _, y: y.flatten(0, 1)).whole())
    return by_copy(values, order, batch, "net")


def by_copy(values: Any, order: int, batch: int, name: str) -> Tensor:
    """Return what a net gave for all copies along the batch, (|G|, batch, …).

    Raises:
        ValueError: it gave another number of rows.
    """
    if values.ndim == 0 or values.shape[0] != order * batch:
        raise ValueError(
            f"{name} gave shape {tuple(values.shape)} for {order * batch} copies: expected one "
            "number for each, (batch,) or (batch, 1)"
        )
    rows: Tensor = values.reshape(order, batch, *values.shape[1:])
    return rows


def _fitted(values: Tensor, outputs: Tensor) -> Tensor:
    """Return values of every copy (|G|, batch, …) with as many dimensions as outputs."""
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
