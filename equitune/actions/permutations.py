"""Actions by permutation: of token ids, logits and group axes."""

from __future__ import annotations

from collections.abc import Sequence
from math import lcm
from typing import Any, Self, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from equitune import groups
from equitune.actions.axes import check_axis
from equitune.actions.base import Action
from equitune.actions.constant import Constant, readable
from equitune.groups import CyclicGroup, FiniteGroup

Rows: TypeAlias = Tensor | NDArray[Any] | Sequence[Sequence[int]]


class _PermutationAction(Action):
    """An action given by a permutation of points 0 … n - 1 for each element."""

    def __init__(self, group: FiniteGroup, permutations: Rows) -> None:
        super().__init__(group)
        rows = _integers(permutations, "permutations have")
        _check_permutations(group, rows)
        self._rows = Constant(rows)  # (order, points): _rows[g, v] is the point g·v

    @property
    def permutations(self) -> Tensor:
        """A copy of the permutations, (order, points): ``permutations[g, v]`` is the point g·v."""
        return torch.from_numpy(self._rows.array.copy())

    @property
    def size(self) -> int:
        """The number of points that are permuted."""
        return int(self._rows.array.shape[1])

    def config(self) -> dict[str, Any]:
        """Return a JSON-able description: for each element the points it moves."""
        rows = self._rows.array.tolist()
        moved = [[[v, w] for v, w in enumerate(row) if v != w] for row in rows]
        return {**super().config(), "size": self.size, "moved": moved}

    @classmethod
    def _read(cls, config: dict[str, Any]) -> tuple[FiniteGroup, NDArray[np.int64]]:
        group = groups.from_config(config["group"])
        rows = np.tile(np.arange(config["size"]), (group.order, 1))
        for row, moved in zip(rows, config["moved"], strict=True):
            for v, w in moved:
                row[v] = w
        return group, rows

    @classmethod
    def build(cls, config: dict[str, Any]) -> Self:
        """Build the action from what `config` returned."""
        return cls(*cls._read(config))

    def extra_repr(self) -> str:
        """Name the group and the number of points."""
        return f"{self.group!r}, size={self.size}"


class AxisPermutation(_PermutationAction):
    """Permutes the entries along one axis: (g·x)[g·v] = x[v].

    Args:
        group: the group that acts.
        permutations: (order, size); ``permutations[g][v]`` is the place to which g sends entry v.
        axis: the axis of x, as long as `size`; counted without the copies that `orbit` stacks.
    """

    def __init__(
        self,
        group: FiniteGroup,
        permutations: Rows,
        axis: int = -1,
    ) -> None:
        """Check the permutations; see `TokenPermutation` for the errors."""
        super().__init__(group, permutations)
        self.axis = axis

    def act(self, g: int, x: Tensor) -> Tensor:
        """Return gx: the entry at v moves to g·v, so place w receives the entry at g⁻¹·w."""
        check_axis(self, x, self.axis, self.size)
        return x.index_select(self.axis, self._rows.on(x)[self.group.inverse(g)])

    def act_each(self, g: Tensor, x: Tensor) -> Tensor:
        """Return each example moved by its own element: g (batch,), x (batch, …)."""
        if check_axis(self, x, self.axis, self.size) == 0:
            raise ValueError(f"axis {self.axis} of {tuple(x.shape)} is the batch: g must be an int")
        inverses = torch.tensor(self.group.inverses, device=g.device)
        return self._gather(self._rows.on(x)[inverses[g]], x, self.axis)

    def unorbit(self, ys: Tensor) -> Tensor:
        """Return g⁻¹ys[g] for each g: place v receives the entry at g·v, in one gather."""
        self._check_copies(ys)
        axis = self.axis + 1 if self.axis >= 0 else self.axis
        check_axis(self, ys, axis, self.size)
        return self._gather(self._rows.on(ys), ys, axis)

    def config(self) -> dict[str, Any]:
        """Return a JSON-able description; see `Action.config`."""
        return {**super().config(), "axis": self.axis}

    @classmethod
    def build(cls, config: dict[str, Any]) -> Self:
        """Build the action from what `config` returned."""
        return cls(*cls._read(config), axis=config["axis"])

    def _gather(self, rows: Tensor, x: Tensor, axis: int) -> Tensor:
        """Return x with entry rows[i, v] of x[i] at place v of the axis; rows (len(x), size)."""
        shape = [1] * x.ndim
        shape[0], shape[axis] = x.shape[0], self.size
        return x.gather(axis, rows.view(shape).expand(x.shape))


class Regular(AxisPermutation):
    """The regular representation: a group axis of length |G|, on which (g·x)[gh] = x[h].

    Args:
        group: the group that acts.
        axis: the group axis of x, by default 1 as in (batch, |G|, …).
    """

    def __init__(self, group: FiniteGroup, axis: int = 1) -> None:
        """Take the rows of the multiplication table as permutations."""
        super().__init__(group, group.table, axis)

    def config(self) -> dict[str, Any]:
        """Return a JSON-able description; see `Action.config`."""
        return {"action": "Regular", "group": self.group.config(), "axis": self.axis}

    @classmethod
    def build(cls, config: dict[str, Any]) -> Self:
        """Build the action from what `config` returned."""
        return cls(groups.from_config(config["group"]), config["axis"])


class TokenPermutation(_PermutationAction):
    """Permutes token ids: an id v anywhere in x becomes g·v.

    Args:
        group: the group that acts.
        permutations: (order, vocabulary); ``permutations[g][v]`` is the id g·v.

    Raises:
        TypeError: the permutations are not integers.
        ValueError: a row is not a permutation, or the rows do not multiply as the group does.
    """

    def __init__(self, group: FiniteGroup, permutations: Rows) -> None:
        """Check the permutations; see the class."""
        super().__init__(group, permutations)

    @classmethod
    def generated_by(
        cls, permutation: Tensor | Sequence[int], order: int | None = None
    ) -> TokenPermutation:
        """Return the action of the cyclic group of the powers of one permutation.

        Args:
            permutation: (vocabulary,); ``permutation[v]`` is the id that the generator makes of v.
            order: a multiple of the permutation's own order, which is the default.

        Raises:
            ValueError: it is not a permutation, or order is not a multiple of its own order.
        """
        generator = _integers(permutation, "permutation has")
        if generator.ndim != 1:
            raise ValueError(f"shape {generator.shape}: expected one permutation (size,)")
        own = _permutation_order(generator.tolist())
        order = own if order is None else order
        if order < 1 or order % own:
            raise ValueError(
                f"order {order} is not a multiple of {own}, the permutation's own order: "
                f"leave order out, or pass order={own}"
            )
        rows = [np.arange(len(generator))]
        for _ in range(order - 1):
            rows.append(generator[rows[-1]])
        return cls(CyclicGroup(order), np.stack(rows))

    def on_logits(self, axis: int = -1) -> AxisPermutation:
        """Return the action on logits or probabilities: (g·p)[g·v] = p[v] along the axis."""
        return AxisPermutation(self.group, self._rows.array, axis)

    def act(self, g: int, x: Tensor) -> Tensor:
        """Return the ids g·v; x holds integers 0 … vocabulary - 1, in any shape."""
        self._check_ids(x)
        return self._rows.on(x)[g][x].to(x.dtype)

    def act_each(self, g: Tensor, x: Tensor) -> Tensor:
        """Return each example's ids moved by its own element: g (batch,), x (batch, …)."""
        self._check_ids(x)
        return self._rows.on(x)[g.view(-1, *[1] * (x.ndim - 1)), x].to(x.dtype)

    def orbit(self, x: Tensor) -> Tensor:
        """Return all copies in one look-up: (|G|, *x.shape)."""
        self._check_ids(x)
        return self._rows.on(x)[:, x].to(x.dtype)

    def _check_ids(self, x: Tensor) -> None:
        if x.is_floating_point() or x.is_complex() or x.dtype in (torch.bool, torch.uint8):
            raise TypeError(  # bool and uint8 would index as masks
                f"token ids have dtype {x.dtype}: expected integers, as x.long(); for logits use "
                "on_logits()"
            )
        if not readable(x):
            return
        low, high = (int(bound) for bound in x.aminmax())
        if low < 0 or high >= self.size:
            raise ValueError(
                f"token id {low if low < 0 else high} is outside the vocabulary 0 … "
                f"{self.size - 1}: pad with an id of the vocabulary that the group fixes"
            )


def _integers(values: Any, which: str) -> NDArray[np.int64]:
    """Return values as an array of integers; they must be integers already."""
    try:
        array = np.asarray(values.detach().cpu() if isinstance(values, Tensor) else values)
    except ValueError as error:
        raise ValueError(
            f"{which} rows of different lengths: expected one for each point"
        ) from error
    if not np.issubdtype(array.dtype, np.integer):
        kind = values.dtype if isinstance(values, Tensor) else array.dtype
        raise TypeError(f"{which} dtype {kind}: expected integers")
    return array.astype(np.int64)


def _check_permutations(group: FiniteGroup, rows: NDArray[np.int64]) -> None:
    """Check that rows (order, points) are permutations that multiply as the group does."""
    if rows.ndim != 2 or rows.shape[0] != group.order:
        raise ValueError(
            f"permutations have shape {rows.shape}: expected ({group.order}, points), one "
            f"row for each element of {group!r}"
        )
    for g in group.elements:
        _check_permutation(rows[g], f"row {g}")
    for g in group.generators:  # generators are enough: all h beside them
        for h in group.elements:
            product, expected = rows[group.multiply(g, h)], rows[g][rows[h]]
            if (wrong := (product != expected).nonzero()[0]).size:
                v = int(wrong[0])
                raise ValueError(
                    f"not a group action: {g}·({h}·v) is {expected[v]} for v = {v}, but "
                    f"(gh)·v with gh = {group.multiply(g, h)} is {product[v]}; "
                    "rows[gh] must be rows[g][rows[h]]"
                )


def _check_permutation(row: NDArray[np.int64], name: str) -> None:
    points = np.arange(len(row))
    if not np.array_equal(np.sort(row), points):
        counts = np.bincount(row[(row >= 0) & (row < len(row))], minlength=len(row))
        missing, twice = points[counts == 0], points[counts > 1]
        raise ValueError(
            f"{name} is not a permutation of 0 … {len(row) - 1}: nothing is sent to "
            f"{missing[:5].tolist()}, more than one point to {twice[:5].tolist()}"
        )


def _permutation_order(permutation: list[int]) -> int:
    """Return the order of a permutation: the least common multiple of its cycles' lengths."""
    _check_permutation(np.array(permutation, dtype=np.int64), "permutation")
    seen, lengths = [False] * len(permutation), [1]
    for start in range(len(permutation)):
        point, length = start, 0
        while not seen[point]:
            seen[point], point, length = True, permutation[point], length + 1
        lengths.append(max(length, 1))
    return lcm(*lengths)
