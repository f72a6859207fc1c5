"""Actions on the pixels of images and feature maps; knows nothing of what they show."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from equitune.actions.base import Action
from equitune.groups import CyclicGroup, DihedralGroup, FiniteGroup


class _ImageAction(Action):
    """An action on the last two dimensions, whose group is fixed by its kind."""

    acting: ClassVar[FiniteGroup]

    def __init__(self) -> None:
        """Set the group."""
        super().__init__(self.acting)

    @classmethod
    def build(cls, config: dict[str, Any]) -> Self:
        """Build the action; there is nothing to read."""
        return cls()

    def _check_square(self, x: Tensor) -> None:
        if x.ndim < 2 or x.shape[-1] != x.shape[-2]:
            raise ValueError(
                f"{type(self).__name__} got shape {tuple(x.shape)}: a quarter turn needs square "
                "images (…, size, size); crop or pad to a square first, or use Flip()"
            )


class Rotate90(_ImageAction):
    """Rotations by quarter turns: CyclicGroup(4) on (…, size, size), element k turns by k·90°.

    Counter-clockwise in an image whose rows count downwards.
    """

    acting = CyclicGroup(4)

    def act(self, g: int, x: Tensor) -> Tensor:
        """Return x turned by g·90°; x (…, size, size)."""
        self._check_square(x)
        return torch.rot90(x, g, (-2, -1))


class RotateFlip(_ImageAction):
    """Quarter turns and mirror images: DihedralGroup(4) on (…, size, size).

    Element k < 4 turns by k·90° as in `Rotate90`; element 4 + k mirrors left and right, then turns.
    """

    acting = DihedralGroup(4)

    def act(self, g: int, x: Tensor) -> Tensor:
        """Return x mirrored if g ≥ 4, then turned by (g mod 4)·90°; x (…, size, size)."""
        self._check_square(x)
        return torch.rot90(x.flip(-1) if g >= 4 else x, g % 4, (-2, -1))


class Flip(_ImageAction):
    """The horizontal mirror image: a group of order 2 on (…, height, width), element 1 mirrors."""

    acting = CyclicGroup(2)

    def act(self, g: int, x: Tensor) -> Tensor:
        """Return x, left and right exchanged if g is 1; x (…, width)."""
        if x.ndim == 0:
            raise ValueError("Flip got a tensor without dimensions: expected (…, height, width)")
        return x.flip(-1) if g else x
