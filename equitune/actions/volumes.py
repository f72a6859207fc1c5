"""Rotations and mirror images of volumes."""

from __future__ import annotations

from functools import lru_cache
from itertools import permutations, product
from typing import TypeAlias

import torch
from torch import Tensor

from equitune.actions.base import Action
from equitune.actions.images import check_dims
from equitune.groups import FiniteGroup

Signed: TypeAlias = tuple[tuple[int, int], ...]
"""For each axis after the move, the axis that it was before and its sign."""


class CubeRotations(Action):
    """The 24 rotations of the cube on volumes (…, size, size, size), with mirror images 48.

    An element is named by what the axes depth, row and column (d, r, c) become, in order, with a
    minus where one is reversed: "r-dc" has along depth what was along rows, and along rows what was
    along depth, reversed. Elements are in a fixed order, the identity "drc" first.

    Args:
        reflections: also mirror images, the group of order 48.
        dims: of depth, rows and columns.

    Raises:
        TypeError: reflections is not a bool, or dims are not three whole numbers.
        ValueError: two dims are one.
    """

    def __init__(
        self, reflections: bool = False, dims: tuple[int, int, int] = (-3, -2, -1)
    ) -> None:
        """Set the axes; see the class."""
        if not isinstance(reflections, bool):
            raise TypeError(f"reflections is {reflections!r}: expected False (24) or True (48)")
        if len(set(check_dims(dims, 3, "(-3, -2, -1)"))) != 3:
            raise ValueError(f"dims are {tuple(dims)}: expected three, of depth, rows and columns")
        super().__init__(_group(reflections))
        self._elements = _elements(reflections)  # here, as compilers do not follow lru_cache
        self.reflections, self.dims = reflections, (dims[0], dims[1], dims[2])

    def act(self, g: int, x: Tensor) -> Tensor:
        """Return x moved by g; x (…, size, size, size)."""
        low, high = min(self.dims), max(self.dims)
        inside = x.ndim >= 3 and -x.ndim <= low and high < x.ndim
        if not inside or len({x.shape[d] for d in self.dims}) > 1:
            raise ValueError(
                f"CubeRotations got shape {tuple(x.shape)}: expected (…, size, size, size); crop "
                "or pad to a cube first, or use Flip(dim) or Rotate90(dims)"
            )
        order = [d % x.ndim for d in range(x.ndim)]
        places = [d % x.ndim for d in self.dims]
        element = self._elements[g]
        for place, (source, _) in zip(places, element, strict=True):
            order[place] = places[source]
        reversed_ = [place for place, (_, sign) in zip(places, element, strict=True) if sign < 0]
        return x.permute(order).flip(reversed_) if g else x

    @property
    def matrices(self) -> Tensor:
        """How positions (depth, row, column) about the centre move, (order, 3, 3) in float64."""
        rho = torch.zeros(len(self._elements), 3, 3, dtype=torch.float64, device="cpu")
        for g, element in enumerate(self._elements):
            for i, (source, sign) in enumerate(element):
                rho[g, i, source] = sign
        return rho

    def extra_repr(self) -> str:
        """Name the kind of group, and the axes if they are not the last three."""
        dims = "" if self.dims == (-3, -2, -1) else f", dims={self.dims}"
        return f"reflections={self.reflections}{dims}"


@lru_cache
def _elements(reflections: bool) -> tuple[Signed, ...]:
    """Return the signed permutations of three axes, the identity first."""
    found = []
    for axes in permutations(range(3)):
        odd = sum(axes[i] > axes[j] for i in range(3) for j in range(i, 3)) % 2
        for signs in product((1, -1), repeat=3):
            if reflections or (-1) ** odd * signs[0] * signs[1] * signs[2] == 1:
                found.append(tuple(zip(axes, signs, strict=True)))
    return tuple(found)


@lru_cache
def _group(reflections: bool) -> FiniteGroup:
    """Return the group of these elements: gh moves by h first."""
    elements = _elements(reflections)
    number = {element: g for g, element in enumerate(elements)}
    table = [[number[_after(g, h)] for h in elements] for g in elements]
    return FiniteGroup(table, [_name(element) for element in elements])


def _after(g: Signed, h: Signed) -> Signed:
    return tuple((h[source][0], sign * h[source][1]) for source, sign in g)


def _name(element: Signed) -> str:
    return "".join(("-" if sign < 0 else "") + "drc"[source] for source, sign in element)
