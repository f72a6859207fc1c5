"""Fields of vectors: the places of vectors move, and their components turn."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from equitune.actions.axes import Along
from equitune.actions.base import Action
from equitune.actions.linear import Linear
from equitune.actions.matrix import check_along

AXES = ("depth", "row", "column")


class Field(Action):
    """A field of vectors on pixels or voxels: (g·v)(p) = ρ(g) v(g⁻¹p).

    Args:
        pixels: how the group moves an image without components, as `Rotate90`.
        components: how it moves the vector at a place, along the axis of the components; or the
            names of the components along axis 1, as `vector_components` takes them.

    Raises:
        TypeError: pixels is not an `Action`, or components moves no single axis.
        ValueError: both belong to different groups, or names are unknown.

    Example:
        >>> from equitune.actions import Rotate90, Vectors, check_action
        >>> flow = Field(Rotate90(), ("column", "row"))  # x to the right, y downwards
        >>> v = torch.randn(2, 2, 6, 6)
        >>> check_action(flow, v, vectors=Vectors(Rotate90(), ("column", "row")))
    """

    def __init__(self, pixels: Action, components: Along | Sequence[str]) -> None:
        """Check and store both; see the class."""
        if not isinstance(pixels, Action):
            raise TypeError(f"pixels is {pixels!r}: expected an Action, as Rotate90()")
        super().__init__(pixels.group)
        if isinstance(components, Sequence):
            components = vector_components(pixels, components, axis=1)
        check_along(components)
        if components.group != pixels.group:
            raise ValueError(
                f"components moves by {components.group!r}, pixels by {pixels.group!r}: build both "
                "from one group, as Linear(pixels.group, …)"
            )
        self.pixels, self.components = pixels, components

    @property
    def exact(self) -> bool:
        """Whether the pixels move exactly."""
        return self.pixels.exact

    @property
    def keeps_shape(self) -> bool:
        """Whether the pixels keep the shape of images."""
        return self.pixels.keeps_shape

    def probe(self, x: Tensor) -> Tensor:
        """Return what to try the laws on; see `Action.probe`."""
        return self._each(self.pixels.probe, x)

    def act(self, g: int, x: Tensor) -> Tensor:
        """Return gx; without the axis of the components, x is what `pixels` moves."""
        return self.components.act(g, self._each(lambda image: self.pixels.act(g, image), x))

    def _each(self, move: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        """Return x with each component moved as an image of its own."""
        axis = self.components.axis
        if x.ndim < 2 or not -x.ndim <= axis < x.ndim:
            raise ValueError(
                f"x has shape {tuple(x.shape)}: expected components along axis {axis} beside "
                "what the pixels' action moves"
            )
        if axis % x.ndim == 0:  # without a batch, the components take its place
            return move(x)
        images = x.movedim(axis, 1)
        moved = move(images.flatten(0, 1))
        return moved.reshape(*images.shape[:2], *moved.shape[1:]).movedim(1, axis)

    def extra_repr(self) -> str:
        """Name both actions."""
        return f"{self.pixels!r}, {self.components!r}"


def vector_components(pixels: Action, names: Sequence[str], axis: int = -1) -> Linear:
    """Return how vectors move that lie in an image or a volume, as forces and velocities.

    Args:
        pixels: how the image moves, one of the package's actions on images and volumes, or any
            that has such `matrices`.
        names: which way each component points, in order: "row" along growing rows (downwards),
            "column" along growing columns (to the right), "depth" along growing depth; "-row",
            "-column" and "-depth" the other way. Optical flow is ("column", "row").
        axis: along which the components stand.

    Raises:
        ValueError: a name is unknown, a direction stands twice, the vectors leave the directions
            that are named, or pixels does not say how positions move.
    """
    known = {f"{sign}{name}" for name in AXES for sign in ("", "-")}
    if unknown := [name for name in names if name not in known]:
        raise ValueError(
            f"component {unknown[0]!r}: expected one of {', '.join(AXES)}, or -row for upwards"
        )
    rho = getattr(pixels, "matrices", None)
    if not isinstance(rho, Tensor) or rho.shape[-1] not in (2, 3):
        raise ValueError(
            f"{pixels!r} does not say how positions move: pass Linear(group, matrices, axis) for "
            "the components"
        )
    places = [AXES.index(name.removeprefix("-")) for name in names]
    if len(set(places)) < len(places):
        raise ValueError(f"components {tuple(names)} name a direction twice: expected each once")
    signs = rho.new_tensor([-1.0 if name[0] == "-" else 1.0 for name in names])
    whole = torch.eye(3, dtype=rho.dtype, device=rho.device).repeat(len(rho), 1, 1)
    whole[:, -rho.shape[-1] :, -rho.shape[-1] :] = rho  # an image leaves the depth
    if any(whole[:, i, j].any() for j in places for i in range(3) if i not in places):
        raise ValueError(
            f"components {tuple(names)} leave out directions into which {pixels!r} turns them: "
            f"expected all of {', '.join(AXES[-rho.shape[-1] :])}"
        )
    return Linear(pixels.group, signs[:, None] * whole[:, places][:, :, places] * signs, axis)
