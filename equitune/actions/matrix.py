"""Actions on matrices whose rows and columns move alike."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from equitune.actions.axes import Along, act_along
from equitune.actions.base import Action


class Matrix(Action):
    """Moves rows and columns of matrices alike: g·m = ρ(g) m ρ(g)ᵀ.

    For stress tensors, covariances and polarizabilities (ρ by `Linear`), and for adjacency and
    distance matrices (ρ by `AxisPermutation`, as `Permute.on_adjacency` gives it).

    Args:
        along: how the group moves a vector: `Linear`, `SignedPermutation` or `AxisPermutation`;
            its own axis does not matter.
        axes: of rows and columns.

    Raises:
        TypeError: along is not an action along an axis.
        ValueError: both axes are one.
    """

    def __init__(self, along: Along, axes: tuple[int, int] = (-2, -1)) -> None:
        """Store how vectors move; see the class."""
        check_along(along)
        super().__init__(along.group)
        self.along, self.axes = along, (axes[0], axes[1])
        if axes[0] == axes[1]:
            raise ValueError(f"axes are {axes}: expected those of rows and of columns")

    def act(self, g: int, x: Tensor) -> Tensor:
        """Return ρ(g) x ρ(g)ᵀ; both axes of x are as long as the vectors that `along` moves."""
        for axis in self.axes:
            x = act_along(self.along, g, x, axis)
        return x

    def extra_repr(self) -> str:
        """Name the action on vectors and the axes."""
        return f"{self.along!r}, axes={self.axes}"


def check_along(action: Any) -> None:
    """Check that an action is one along an axis, which has its number as an attribute.

    Raises:
        TypeError: it is not.
    """
    if not isinstance(action, Action) or not isinstance(getattr(action, "axis", None), int):
        raise TypeError(
            f"{action!r} does not move the entries of one axis: expected Linear, "
            "SignedPermutation or AxisPermutation"
        )
