"""Points and boxes in an image or a volume."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from equitune.actions.base import Action
from equitune.actions.constant import Constant
from equitune.actions.fields import AXES, vector_components
from equitune.actions.linear import Linear

# the largest coordinate of an image of a size; None: the origin is the centre
UNITS = ("pixels", "edges", "fractions", "centred")
COORDINATES = ("column", "row")


class _Affine(Action):
    """Coordinates along the last axis that move about a centre: gx = ρ(g)(x - c) + c."""

    def __init__(self, linear: Linear, centre: Tensor) -> None:
        super().__init__(linear.group)
        self._linear = linear
        # ρ(g)x + (c - ρ(g)c) rounds once where ρ is a permutation with signs
        self._offsets = Constant(centre - linear.matrices @ centre)

    def act(self, g: int, x: Tensor) -> Tensor:
        """Return gx; x is floating, (…, coordinates)."""
        if g == self.group.identity:
            return x
        return self._linear.act(g, x) + self._offsets.on(x)[g].to(x.dtype)


class Points(_Affine):
    """Points in an image or a volume, (…, points, coordinates), that move with it.

    An affine action: means of points move as points, as an output action for `Mean` needs; sums
    and differences do not.

    Args:
        pixels: how the image moves: one of the package's actions on images and volumes.
        units: of the coordinates: "pixels", where the centre of the first pixel is 0 and that of
            the last one size - 1; "edges", where the image goes from 0 to size; "fractions", from 0
            to 1; "centred" about an origin in the centre, as for point clouds, of any unit.
        size: (height, width) or (depth, height, width) in pixels, for the first two units.
        components: which way each coordinate points, as for `vector_components`; by default
            x to the right and y downwards. A reversed one, "-row", is counted from the other edge.
        swapped: pairs of points that change their places in a mirror, as left and right hand.

    Raises:
        ValueError: units or components are unknown, size is missing or of an image that does not
            keep its shape, as for quarter turns that are not of squares.
    """

    def __init__(
        self,
        pixels: Action,
        units: str,
        size: Sequence[int] | None = None,
        components: Sequence[str] = COORDINATES,
        swapped: Sequence[tuple[int, int]] = (),
    ) -> None:
        """Find the centre; see the class."""
        linear = vector_components(pixels, components)
        super().__init__(linear, _centre(linear, units, size, components))
        self.pixels, self.units, self.components = pixels, units, tuple(components)
        self.size = None if size is None else tuple(size)
        self.swapped = tuple((a, b) for a, b in swapped)
        flat = [point for pair in self.swapped for point in pair]
        if len(set(flat)) < len(flat) or min(flat, default=0) < 0:
            raise ValueError(
                f"swapped is {self.swapped}: expected pairs of different points, each once"
            )
        self._mirrors = [bool(torch.linalg.det(m) < 0) for m in pixels.matrices]  # type: ignore[attr-defined]

    def act(self, g: int, x: Tensor) -> Tensor:
        """Return gx; x is floating, (…, points, coordinates)."""
        moved = super().act(g, x)
        if not self._mirrors[g] or not self.swapped:
            return moved
        last = max(map(max, self.swapped))
        if x.ndim < 2 or x.shape[-2] <= last:
            raise ValueError(
                f"x has shape {tuple(x.shape)}: expected (…, points, coordinates) with at least "
                f"{last + 1} points, as swapped names point {last}"
            )
        places = list(range(x.shape[-2]))
        for a, b in self.swapped:
            places[a], places[b] = b, a
        return moved[..., places, :]

    def extra_repr(self) -> str:
        """Name the pixels' action, the units and the size."""
        swapped = f", swapped={self.swapped}" if self.swapped else ""
        return f"{self.pixels!r}, {self.units}, size={self.size}, {self.components}{swapped}"


class Boxes(_Affine):
    """Boxes along the axes of an image, (…, 4), that move with it by quarter turns and mirrors.

    Each entry of a tensor stays in its place: of a detector whose slots have no fixed order the
    boxes must be matched first. Affine as `Points`.

    Args:
        pixels: how the image moves, without other angles than quarter turns.
        layout: "xyxy" for left, top, right, bottom; "cxcywh" for the centre, width and height.
        units: as for `Points`; detectors count pixels from "edges" mostly.
        size: as for `Points`.

    Raises:
        ValueError: as for `Points`; layout is unknown, or a turned box would be none.
    """

    def __init__(
        self, pixels: Action, layout: str, units: str, size: Sequence[int] | None = None
    ) -> None:
        """Find how the four numbers move; see the class."""
        if layout not in ("xyxy", "cxcywh"):
            raise ValueError(f'layout is {layout!r}: expected "xyxy" or "cxcywh"')
        points = vector_components(pixels, COORDINATES)
        rho = points.matrices
        if (rho != rho.round()).any():
            raise ValueError(f"{pixels!r} turns boxes off the axes: expected quarter turns; Points")
        none, centre = torch.zeros_like(rho), _centre(points, units, size, COORDINATES)
        if layout == "xyxy":  # a reversed axis exchanges the lower and the upper end
            kept, ends = rho.clamp(min=0), rho.clamp(max=0)
            blocks, centre = (kept, ends, ends, kept), torch.cat([centre, centre])
        else:
            blocks, centre = (rho, none, none, rho.abs()), torch.cat([centre, 0 * centre])
        a, b, c, d = blocks
        whole = torch.cat([torch.cat([a, b], -1), torch.cat([c, d], -1)], -2)
        super().__init__(Linear(pixels.group, whole), centre)
        self.pixels, self.layout, self.units = pixels, layout, units
        self.size = None if size is None else tuple(size)

    def extra_repr(self) -> str:
        """Name the pixels' action, the layout, the units and the size."""
        return f"{self.pixels!r}, {self.layout}, {self.units}, size={self.size}"


def _centre(
    linear: Linear, units: str, size: Sequence[int] | None, components: Sequence[str]
) -> Tensor:
    """Return the coordinates about which the image moves, (components,) in float64."""
    if units not in UNITS:
        raise ValueError(f"units is {units!r}: expected one of {', '.join(UNITS)}")
    if units in ("fractions", "centred"):
        return linear.matrices.new_full((len(components),), 0.5 if units == "fractions" else 0.0)
    places = [AXES.index(name.removeprefix("-")) - len(AXES) for name in components]
    if size is None or len(size) < -min(places):
        raise ValueError(
            f'size is {size}: expected (height, width) or (depth, height, width) for "{units}"'
        )
    rho = linear.matrices
    lengths = rho.new_tensor([float(size[place]) for place in places])
    shape = torch.diag(lengths)
    if (rho @ shape @ rho.mT - shape).abs().max() > 1e-9 * lengths.max():
        raise ValueError(
            f"an image of size {tuple(size)} does not keep its shape under {linear.group!r}: "
            'expected equal sides, or units "fractions"'
        )
    return (lengths - 1) / 2 if units == "pixels" else lengths / 2
