"""Actions that move the entries of one axis, used on another axis of a tensor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from torch import Tensor

if TYPE_CHECKING:
    from equitune.groups import FiniteGroup


class Along(Protocol):
    """An action along one axis: `AxisPermutation`, `SignedPermutation`, `Linear`."""

    group: FiniteGroup
    axis: int

    @property
    def size(self) -> int:
        """The number of entries along the axis."""

    def act(self, g: int, x: Tensor) -> Tensor:
        """Return gx, moved along the axis."""


def act_along(action: Along, g: int, x: Tensor, axis: int) -> Tensor:
    """Return gx with the entries of another axis moved than that of the action.

    Raises:
        ValueError: x has no such axis, or of another length than the action moves.
    """
    check_axis(action, x, axis, action.size)
    if not -x.ndim <= action.axis < x.ndim:
        raise ValueError(
            f"x has shape {tuple(x.shape)}: expected a dimension {action.axis}, along which "
            f"{action!r} moves"
        )
    return action.act(g, x.transpose(axis, action.axis)).transpose(axis, action.axis)


def check_axis(action: Along, x: Tensor, axis: int, size: int) -> int:
    """Return an axis of x counted from the front, after checking that it has the right length.

    Raises:
        ValueError: x has no such axis, or of another length.
    """
    inside = -x.ndim <= axis < x.ndim
    if not inside or x.shape[axis] != size:
        found = f"is {x.shape[axis]} long" if inside else "is missing"
        raise ValueError(
            f"axis {axis} of {tuple(x.shape)} {found}: {type(action).__name__} of "
            f"{action.group!r} moves {size} entries; pass axis= the dimension of that length"
        )
    return axis % x.ndim
