"""Permutations along an axis that change signs."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from equitune.actions.axes import check_axis
from equitune.actions.base import Action
from equitune.actions.constant import Constant
from equitune.actions.permutations import AxisPermutation, Rows
from equitune.groups import FiniteGroup


class SignedPermutation(Action):
    """Permutes the entries along one axis and changes signs: (g·x)[g·v] = s(g, v) x[v].

    For the joints of a robot in a mirror: left and right change places, and some angles their sign.

    Args:
        group: the group that acts.
        permutations: (order, size); ``permutations[g][v]`` is the place to which g sends entry v.
        signs: (order, size), 1 or -1; ``signs[g][v]`` is the sign that entry v of x gets from g.
        axis: the axis of x, as long as `size`; counted without the copies that `orbit` stacks.

    Raises:
        TypeError: the permutations are not integers.
        ValueError: the permutations or the signs do not multiply as the group does.
    """

    def __init__(self, group: FiniteGroup, permutations: Rows, signs: Rows, axis: int = -1) -> None:
        """Check permutations and signs; see the class."""
        super().__init__(group)
        self._places = AxisPermutation(group, permutations, axis)
        self._signs = Constant(_checked_signs(self._places, signs))
        self.axis = axis

    @property
    def size(self) -> int:
        """The number of entries along the axis."""
        return self._places.size

    def act(self, g: int, x: Tensor) -> Tensor:
        """Return gx; x has signs, and its axis the length of the permutations."""
        axis = check_axis(self, x, self.axis, self.size)
        if x.dtype in (torch.bool, torch.uint8):
            raise TypeError(f"x has dtype {x.dtype}, without signs: expected floating values")
        signs = self._signs.on(x)[g].to(x.dtype)
        return self._places.act(g, x * signs.reshape(-1, *[1] * (x.ndim - 1 - axis)))

    def extra_repr(self) -> str:
        """Name the group, the number of entries and the axis."""
        return f"{self.group!r}, size={self.size}, axis={self.axis}"


def _checked_signs(places: AxisPermutation, signs: Rows) -> NDArray[np.int64]:
    """Return signs (order, size) after checking that s(gh, v) = s(g, h·v) s(h, v)."""
    group, rows = places.group, places.permutations.numpy()
    array = np.asarray(signs.detach().cpu() if isinstance(signs, Tensor) else signs)
    if array.shape != rows.shape:
        raise ValueError(
            f"signs have shape {array.shape}, permutations {rows.shape}: expected one for each"
        )
    if not np.isin(array, (-1, 1)).all():
        raise ValueError("signs hold other numbers than 1 and -1: expected these alone")
    array = array.astype(np.int64)
    for g in group.generators or (group.identity,):
        for h in group.elements:
            gh = group.multiply(g, h)
            product = array[g][rows[h]] * array[h]
            if (wrong := (product != array[gh]).nonzero()[0]).size:
                raise ValueError(
                    f"not a group action: entry {wrong[0]} gets the sign {product[wrong[0]]} from "
                    f"{h} and then {g}, but {array[gh][wrong[0]]} from gh = {gh}"
                )
    return array
