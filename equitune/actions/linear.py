"""Actions on vectors by orthogonal matrices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from equitune.actions.axes import check_axis
from equitune.actions.base import Action
from equitune.actions.constant import Constant
from equitune.groups import FiniteGroup

ROUNDED = 1e-5  # what matrices in float32 may be off a law
EXACT = 1e-15  # and what those in float64 are


class Linear(Action):
    """Multiplies the entries along one axis by a matrix: (g·x)_i = Σ_j ρ(g)_ij x_j.

    For vectors that turn, as forces and velocities, and for any other real representation ρ. The
    matrices must be orthogonal, as the mean over the group is the nearest equivariant model only
    then. Matrices that are off the law or orthogonality by the rounding of float32 are replaced by
    the nearest ones that are not, so that float64 inputs move to rounding too.

    Args:
        group: the group that acts.
        matrices: ρ, (order, size, size), real; ``matrices[g]`` is that of element g.
        axis: the axis of x, as long as `size`; counted without the copies that `orbit` stacks.

    Raises:
        TypeError: the matrices are not real numbers.
        ValueError: they have another shape, do not multiply as the group does, or one is not
            orthogonal.
    """

    def __init__(
        self,
        group: FiniteGroup,
        matrices: Tensor | NDArray[Any] | Sequence[Sequence[Sequence[float]]],
        axis: int = -1,
    ) -> None:
        """Check the matrices; see the class."""
        super().__init__(group)
        self._matrices = Constant(_representation(group, matrices))
        self.axis = axis

    @property
    def matrices(self) -> Tensor:
        """A copy of the matrices, (order, size, size) in float64."""
        return torch.from_numpy(self._matrices.array.copy())

    @property
    def size(self) -> int:
        """The number of entries along the axis."""
        return int(self._matrices.array.shape[-1])

    def act(self, g: int, x: Tensor) -> Tensor:
        """Return ρ(g)x; x is floating or complex, its axis `size` long."""
        check_axis(self, x, self.axis, self.size)
        _check_floating(self, x)
        if g == self.group.identity:
            return x
        matrix = self._matrices.on(x)[g].to(x.dtype)
        return (x.movedim(self.axis, -1) @ matrix.T).movedim(-1, self.axis)

    def extra_repr(self) -> str:
        """Name the group, the size of the matrices and the axis."""
        return f"{self.group!r}, size={self.size}, axis={self.axis}"


def _check_floating(action: Action, x: Tensor) -> None:
    if not (x.is_floating_point() or x.is_complex()):
        raise TypeError(
            f"x has dtype {x.dtype}: {type(action).__name__} multiplies, so pass floating values, "
            "as x.float()"
        )


def _representation(group: FiniteGroup, matrices: Any) -> NDArray[np.float64]:
    """Return matrices (order, size, size) after checking that they represent the group."""
    values = matrices.detach().cpu().numpy() if isinstance(matrices, Tensor) else matrices
    array = np.asarray(values)
    if array.dtype.kind not in "iuf":
        raise TypeError(f"matrices have dtype {array.dtype}: expected real numbers")
    rho = array.astype(np.float64)
    if rho.ndim != 3 or rho.shape[0] != group.order or rho.shape[1] != rho.shape[2]:
        raise ValueError(
            f"matrices have shape {rho.shape}: expected ({group.order}, size, size), one for each "
            f"element of {group!r}"
        )
    if not np.isfinite(rho).all():
        raise ValueError("matrices hold nan or infinite numbers: expected finite ones")
    for g in group.generators or (group.identity,):
        for h in group.elements:
            gh = group.multiply(g, h)
            if (off := _off(rho[g] @ rho[h], rho[gh])) > ROUNDED:
                hint = "matrices[gh] must be matrices[g] @ matrices[h]"
                if _off(rho[h] @ rho[g], rho[gh]) <= ROUNDED:
                    hint = "they multiply as hg, so pass their transposes"
                raise ValueError(
                    f"not a group action: the product of the matrices of {g} and {h} differs from "
                    f"that of gh = {gh} by {off:.1e}: {hint}"
                )
    eye = np.eye(rho.shape[1])
    if (off := _off(rho[group.identity], eye)) > ROUNDED:
        raise ValueError(f"the matrix of the identity differs from 1 by {off:.1e}: expected 1")
    for g in group.elements:
        if (off := _off(rho[g] @ rho[g].T, eye)) > ROUNDED:
            raise ValueError(
                f"the matrix of {g} is not orthogonal, by {off:.1e}: the mean over the group would "
                "not be the nearest equivariant model; use coordinates in one unit along "
                "orthogonal directions, in which lengths stay as they are"
            )
    return _polished(group, rho)


def _polished(group: FiniteGroup, rho: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the orthogonal representation nearest to one that is rounded.

    The mean of ρ(gh) ρ(h)ᵀ over h is ρ(g) where the law holds, and else off by the square of what
    it was off (Kazhdan, On ε-representations, 1982); the polar factor makes it orthogonal.
    """
    table, eye = np.array(group.table), np.eye(rho.shape[1])
    for _ in range(3):
        if all(_off(rho[g] @ rho, rho[table[g]]) <= EXACT for g in group.elements):
            break
        mean = [(rho[table[g]] @ rho.transpose(0, 2, 1)).mean(0) for g in group.elements]
        left, _, right = np.linalg.svd(np.stack(mean))
        rho = left @ right
        rho[group.identity] = eye
    return rho


def _off(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    return float(np.abs(a - b).max(initial=0.0))
