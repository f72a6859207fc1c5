"""Actions on the pixels of images and feature maps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from equitune.actions.base import Action
from equitune.groups import CyclicGroup, DihedralGroup, FiniteGroup

# of (row, column), rows downwards: a counter-clockwise quarter turn, and a left-right mirror
TURN = torch.tensor([[0.0, -1.0], [1.0, 0.0]], dtype=torch.float64, device="cpu")
MIRROR = torch.tensor([[1.0, 0.0], [0.0, -1.0]], dtype=torch.float64, device="cpu")


def check_dims(dims: Any, count: int, example: str) -> tuple[int, ...]:
    """Return dimensions as a tuple.

    Raises:
        TypeError: they are not that many whole numbers.
    """
    wanted = isinstance(dims, Sequence) and len(dims) == count
    if not wanted or not all(isinstance(dim, int) for dim in dims):
        raise TypeError(
            f"dims is {dims!r}: expected {count} dimensions of the tensor, as {example}; the group "
            "is fixed by the class"
        )
    return tuple(dims)


class _ImageAction(Action):
    """An action on pixels, whose group is fixed by its kind.

    Attributes:
        settings: what the constructor takes, and its defaults; a description has the others alone.
    """

    acting: ClassVar[FiniteGroup]
    settings: ClassVar[dict[str, Any]] = {}

    def __init__(self) -> None:
        """Set the group."""
        super().__init__(self.acting)

    @property
    def matrices(self) -> Tensor:
        """How positions (row, column) about the centre move, (order, 2, 2) in float64."""
        raise NotImplementedError

    def config(self) -> dict[str, Any]:
        """Return a JSON-able description; see `Action.config`."""
        chosen = {k: v for k, v in self._chosen().items() if v != self.settings[k]}
        return {**super().config(), **chosen}

    @classmethod
    def build(cls, config: dict[str, Any]) -> Self:
        """Build the action from what `config` returned."""
        return cls(**{key: config[key] for key in cls.settings if key in config})

    def _chosen(self) -> dict[str, Any]:
        values = {key: getattr(self, key) for key in self.settings}
        return {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}

    def extra_repr(self) -> str:
        """Name the group, and the settings that are not the defaults."""
        chosen = {k: v for k, v in self._chosen().items() if v != self.settings[k]}
        return ", ".join([repr(self.group), *(f"{k}={v}" for k, v in chosen.items())])


class _QuarterTurns(_ImageAction):
    """Quarter turns, with or without mirror images."""

    settings: ClassVar[dict[str, Any]] = {"dims": [-2, -1], "square": True}

    def __init__(self, dims: tuple[int, int] = (-2, -1), square: bool = True) -> None:
        """Set the plane; see the class."""
        super().__init__()
        first, second = check_dims(dims, 2, "(-2, -1)")
        self.dims, self.square = (first, second), square
        if first == second:
            raise ValueError(f"dims are {tuple(dims)}: expected those of rows and of columns")

    @property
    def keeps_shape(self) -> bool:
        """Whether images are square, so that no turn exchanges height and width."""
        return self.square

    def act(self, g: int, x: Tensor) -> Tensor:
        """Return x moved by g; x (…, size, size), or of any height and width if not `square`."""
        self._check(x, self.square)
        return self._turn(g, x)

    def act_each(self, g: Tensor, x: Tensor) -> Tensor:
        """Return each example moved by its own element: g (batch,), x (batch, …, size, size)."""
        self._check(x, True)
        return super().act_each(g, x)

    def orbit(self, x: Tensor) -> Tensor:
        """Return all copies gx, stacked in front: (|G|, *x.shape)."""
        self._check(x, True)
        return super().orbit(x)

    def batches(self, x: Tensor) -> list[tuple[list[int], Tensor]]:
        """Return all copies gx, those of one shape together, of images that need not be square.

        Args:
            x: (batch, …, height, width).

        Returns:
            Pairs of some elements and their copies, (elements, batch, …): one pair of all elements
            for square images, and else one of shape (…, height, width) and one of
            (…, width, height).
        """
        self._check(x, False)
        alike: dict[torch.Size, list[tuple[int, Tensor]]] = {}
        for g in self.group.elements:
            copy = self._turn(g, x)
            alike.setdefault(copy.shape, []).append((g, copy))
        return [([g for g, _ in p], torch.stack([c for _, c in p])) for p in alike.values()]

    def _turn(self, g: int, x: Tensor) -> Tensor:
        mirrored = x.flip(self.dims[1]) if g >= 4 else x
        return torch.rot90(mirrored, g % 4, self.dims)

    @property
    def matrices(self) -> Tensor:
        """How positions along `dims` about the centre move, (order, 2, 2) in float64."""
        turns = [torch.linalg.matrix_power(TURN, g % 4) for g in self.group.elements]
        return torch.stack([t @ MIRROR if g >= 4 else t for g, t in enumerate(turns)]) + 0.0

    def _check(self, x: Tensor, square: bool) -> None:
        low, high = min(self.dims), max(self.dims)
        inside = x.ndim >= 2 and -x.ndim <= low and high < x.ndim
        if inside and (x.shape[self.dims[0]] == x.shape[self.dims[1]] or not square):
            return
        name, shape = type(self).__name__, tuple(x.shape)
        if inside and not self.square:
            raise ValueError(
                f"{name} got shape {shape}: the copies of images that are not square have two "
                "shapes and cannot be stacked, as here; EquiTuned takes them except with "
                "Canonical, and batches(x) stacks those of one shape"
            )
        raise ValueError(
            f"{name} got shape {shape}: a quarter turn needs square "
            "images (…, size, size); crop or pad to a square first, use Flip() or HalfTurn(), or "
            "pass square=False"
        )


class Rotate90(_QuarterTurns):
    """Rotations by quarter turns: CyclicGroup(4) on (…, size, size), element k turns by k·90°.

    Counter-clockwise in an image whose rows count downwards.

    Args:
        dims: of rows and columns; (-3, -2) for channels last, other pairs for planes of a volume.
        square: False takes images of any height and width, which odd quarter turns exchange, so
            that the copies have two shapes: see `batches`. `EquiTuned` runs the model on the
            copies of each shape together; the output's action then needs square=False as well,
            where the output moves.
    """

    acting = CyclicGroup(4)


class RotateFlip(_QuarterTurns):
    """Quarter turns and mirror images: DihedralGroup(4) on (…, size, size).

    Element k < 4 turns by k·90° as in `Rotate90`; element 4 + k mirrors left and right, then turns.

    Args:
        dims: as for `Rotate90`.
        square: as for `Rotate90`.
    """

    acting = DihedralGroup(4)


class HalfTurn(_ImageAction):
    """The half turn: a group of order 2 on (…, height, width), square or not."""

    acting = CyclicGroup(2)

    def act(self, g: int, x: Tensor) -> Tensor:
        """Return x, turned by 180° if g is 1; x (…, height, width)."""
        if x.ndim < 2:
            raise ValueError(f"HalfTurn got shape {tuple(x.shape)}: expected (…, height, width)")
        return x.flip((-2, -1)) if g else x

    @property
    def matrices(self) -> Tensor:
        """How positions (row, column) about the centre move, (2, 2, 2) in float64."""
        eye = torch.eye(2, dtype=torch.float64, device="cpu")
        return torch.stack([eye, 0.0 - eye])


class Flip(_ImageAction):
    """The mirror image along one axis: a group of order 2, element 1 mirrors.

    Args:
        dim: the axis that is reversed: -1, the default, exchanges left and right of images
            (…, height, width); that of time reverses a series or a film.
    """

    acting = CyclicGroup(2)
    settings: ClassVar[dict[str, Any]] = {"dim": -1}

    def __init__(self, dim: int = -1) -> None:
        """Set the axis."""
        super().__init__()
        self.dim = dim

    def act(self, g: int, x: Tensor) -> Tensor:
        """Return x, reversed along the axis if g is 1."""
        if not -x.ndim <= self.dim < x.ndim:
            expected = "(…, height, width)" if self.dim == -1 else f"a dimension {self.dim}"
            shown = f"shape {tuple(x.shape)}" if x.ndim else "a tensor without dimensions"
            raise ValueError(f"{type(self).__name__} got {shown}: expected {expected}")
        return x.flip(self.dim) if g else x

    @property
    def matrices(self) -> Tensor:
        """How positions (row, column) move, or (depth, row, column) for -3: (2, 2 or 3, …)."""
        if self.dim not in (-1, -2, -3):
            raise ValueError(
                f"Flip({self.dim}) may reverse time or channels: expected -1, -2 or -3, the last "
                "dimensions, to move vectors and points; say how these move with Linear"
            )
        eye = torch.eye(3 if self.dim == -3 else 2, dtype=torch.float64, device="cpu")
        mirror = eye.clone()
        mirror[self.dim, self.dim] = -1.0
        return torch.stack([eye, mirror])


class FlipVertical(Flip):
    """The vertical mirror image, of group order 2 on (…, height, width): top and bottom change."""

    settings: ClassVar[dict[str, Any]] = {}

    def __init__(self) -> None:
        """Set the axis of rows."""
        super().__init__(-2)
