"""Two actions on one tensor: of one group, or of two groups."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from equitune.actions.base import Action
from equitune.actions.constant import readable
from equitune.diagnosis.differences import difference
from equitune.groups import FiniteGroup, ProductGroup

UNEQUAL = 1e-4  # relative; two actions that do not commute differ by far more


class _Pair(Action):
    """Two actions, one after the other, which must commute."""

    example: ClassVar[str]

    def __init__(self, group: FiniteGroup, first: Action, second: Action) -> None:
        super().__init__(group)
        self.first, self.second = first, second
        self._commute: bool | None = None  # tried at the first call

    @property
    def exact(self) -> bool:
        """Whether both actions are exact."""
        return self.first.exact and self.second.exact

    @property
    def keeps_shape(self) -> bool:
        """Whether both actions keep the shape."""
        return self.first.keeps_shape and self.second.keeps_shape

    def probe(self, x: Tensor) -> Tensor:
        """Return what to try the laws on; see `Action.probe`."""
        return self.first.probe(self.second.probe(x))

    def extra_repr(self) -> str:
        """Name both actions."""
        return f"{self.first!r}, {self.second!r}"

    def _check(self, x: Tensor) -> None:
        """Refuse two actions that do not commute on a tensor like x, once, at the first call."""
        if self._commute or not readable(x):
            return
        tried = x
        if x.is_floating_point():  # its own values may hide it, as zeros do
            values = torch.arange(x.numel(), device=x.device).cos()
            tried = self.probe(values.reshape(x.shape).to(x.dtype))
        with torch.no_grad():
            for g in self.first.group.generators:
                for h in self.second.group.generators:
                    a = self.first(g, self.second(h, tried))
                    b = self.second(h, self.first(g, tried))
                    if difference(a, b, a) > self._allowed(tried):
                        raise ValueError(
                            f"{self.first!r} and {self.second!r} do not commute on shape "
                            f"{tuple(x.shape)}, for elements {g} and {h}: expected two that move "
                            f"different axes, as {self.example}"
                        )
        self._commute = True

    def _allowed(self, x: Tensor) -> float:
        half = x.dtype in (torch.float16, torch.bfloat16)
        return 0.1 if half or not self.exact else UNEQUAL


class Product(_Pair):
    """Two actions of one group on one tensor, a product of representations: gx = g₁(g₂ x).

    For a feature that moves twice: that of a p4 network (batch, channels, 4, size, size) turns and
    its group axis shifts, ``Product(Rotate90(), Regular(CyclicGroup(4), axis=2))``; heat maps of
    joints mirror, and left and right change places. Both must commute, which is tried at the first
    call.

    Args:
        first: an action of the group.
        second: another, of the same group, that moves other axes.

    Raises:
        TypeError: one is not an `Action`.
        ValueError: the groups differ; or, at the first call, the actions do not commute.
    """

    example = "Product(Rotate90(), Regular(CyclicGroup(4), axis=2))"

    def __init__(self, first: Action, second: Action) -> None:
        """Check the groups; see the class."""
        _check_actions(first, second)
        if first.group != second.group:
            raise ValueError(
                f"first moves by {first.group!r}, second by {second.group!r}: expected one group; "
                "Compose takes actions of two"
            )
        super().__init__(first.group, first, second)

    def act(self, g: int, x: Tensor) -> Tensor:
        """Return gx."""
        self._check(x)
        return self.first.act(g, self.second.act(g, x))


class Compose(_Pair):
    """Actions of two groups on one tensor, one after the other: (g, h)x = g(h x).

    The group is ``ProductGroup(first.group, second.group)``, as for turns of an image and exchanges
    of its channels. Both must commute, which is tried at the first call. An input that only one of
    the groups moves is ``Compose(first, Trivial(second.group))``.

    Args:
        first: an action of one group, which acts last.
        second: an action of another, which acts first.

    Raises:
        TypeError: one is not an `Action`.
        ValueError: at the first call, the actions do not commute.
    """

    example = "Compose(Rotate90(), AxisPermutation(group, permutations, axis=1))"

    def __init__(self, first: Action, second: Action) -> None:
        """Make the product of the groups; see the class."""
        _check_actions(first, second)
        super().__init__(ProductGroup(first.group, second.group), first, second)

    def act(self, g: int, x: Tensor) -> Tensor:
        """Return gx for the pair of elements with the number g."""
        self._check(x)
        one, other = divmod(g, self.second.group.order)
        return self.first.act(one, self.second.act(other, x))


def _check_actions(*actions: Action) -> None:
    for action in actions:
        if not isinstance(action, Action):
            raise TypeError(f"{action!r} is not an Action: expected two, as Rotate90() and Flip(1)")
