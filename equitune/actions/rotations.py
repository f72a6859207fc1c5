"""Rotations by any angle, which interpolate and so keep the laws of an action only nearly."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from equitune.actions.base import Action
from equitune.groups import CyclicGroup

PROBED = 64  # pixels of a side: interpolation changes a smooth image little
INTERPOLATIONS = ("nearest", "bilinear", "bicubic")


class Rotate(Action):
    """Rotations by multiples of 360°/n, interpolated: CyclicGroup(n) on images (…, size, size).

    Not exact: g(hx) is (gh)x but for the interpolation, and `floor` measures by how much on your
    images. A model averaged over it follows the samples that nearly, and turns between them as
    nearly as n is large. For n = 4 take `Rotate90`, which is exact.

    Counter-clockwise in an image whose rows count downwards; quarter turns move pixels.

    Args:
        n: the number of rotations, which for SO(2) are its samples.
        interpolation: "nearest", "bilinear" or "bicubic".
        disc: set pixels outside the inscribed disc to 0, in every copy, also that of the identity,
            so that the corners do not reveal the rotation.

    Raises:
        ValueError: interpolation is unknown.
    """

    def __init__(self, n: int, interpolation: str = "bilinear", disc: bool = True) -> None:
        """Set the group; see the class."""
        super().__init__(CyclicGroup(n))
        if interpolation not in INTERPOLATIONS:
            raise ValueError(
                f"interpolation is {interpolation!r}: expected one of {', '.join(INTERPOLATIONS)}"
            )
        self.n, self.interpolation, self.disc = n, interpolation, disc

    @property
    def exact(self) -> bool:
        """False: it interpolates."""
        return False

    def act(self, g: int, x: Tensor) -> Tensor:
        """Return x turned by g·360°/n; x (…, size, size), floating."""
        return self.turn(x, 360.0 * g / self.n)

    def act_each(self, g: Tensor, x: Tensor) -> Tensor:
        """Return each example moved by its own element: g (batch,), x (batch, …, size, size)."""
        return super().act_each(g, self.act(self.group.identity, x))

    def turn(self, x: Tensor, degrees: float) -> Tensor:
        """Return x turned by any angle, counter-clockwise; x (…, size, size), floating.

        Raises:
            TypeError: x is not floating.
            ValueError: x is not square.
        """
        if not x.is_floating_point():
            raise TypeError(
                f"x has dtype {x.dtype}: Rotate interpolates, so pass floating values, as x.float()"
            )
        if x.ndim < 2 or x.shape[-1] != x.shape[-2]:
            raise ValueError(
                f"Rotate got shape {tuple(x.shape)}: expected square images (…, size, size); crop "
                "or pad to a square first"
            )
        x = self._within(x)
        quarters, rest = divmod(degrees, 90.0)
        x = torch.rot90(x, int(quarters) % 4, (-2, -1))
        return self._within(self._interpolated(x, rest)) if rest and x.numel() else x

    @property
    def matrices(self) -> Tensor:
        """How positions (row, column) about the centre move, (n, 2, 2) in float64."""
        angles = [2 * math.pi * g / self.n for g in self.group.elements]
        rows = [[[math.cos(a), -math.sin(a)], [math.sin(a), math.cos(a)]] for a in angles]
        return torch.tensor(rows, dtype=torch.float64, device="cpu")

    def probe(self, x: Tensor) -> Tensor:
        """Return smooth images of `PROBED` pixels, as many as in x, on which laws nearly hold."""
        row, column = _centred(PROBED, x)
        bump = torch.exp(-((row - 0.15) ** 2 + (column - 0.25) ** 2) / 0.1)
        heights = torch.arange(1, math.prod(x.shape[:-2]) + 1, device=x.device).sin()
        return self._within((heights.view(*x.shape[:-2], 1, 1) * bump).to(x.dtype))

    def extra_repr(self) -> str:
        """Name the number of samples and the interpolation."""
        disc = "" if self.disc else ", disc=False"
        return f"{self.n}, {self.interpolation!r}{disc}, not exact"

    def _within(self, x: Tensor) -> Tensor:
        if not self.disc:
            return x
        row, column = _centred(x.shape[-1], x)
        return x.masked_fill(row**2 + column**2 > 1 + 1e-6, 0)

    def _interpolated(self, x: Tensor, degrees: float) -> Tensor:
        """Return x turned by an angle; the pixel p gets the value at R⁻¹p."""
        dtype = torch.promote_types(x.dtype, torch.float32)  # positions need its digits
        row, column = _centred(x.shape[-1], x.to(dtype))
        cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
        grid = torch.stack([cos * column - sin * row, cos * row + sin * column], -1)
        images = x.to(dtype).reshape(1, -1, *x.shape[-2:])
        turned = grid_sample(images, grid[None], self.interpolation, "zeros", align_corners=False)
        return turned.reshape(x.shape).to(x.dtype)


def _centred(size: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Return rows (size, 1) and columns (1, size) of pixels, from -1 to 1 at the image's edges."""
    places = (2 * torch.arange(size, device=like.device) + 1 - size).to(like.dtype) / max(size, 1)
    return places[:, None], places[None]
