"""Whether an action of one's own keeps the laws of an action."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from equitune.actions.base import Action
from equitune.diagnosis.differences import (
    TOLERANCES,
    difference,
    double,
    matrix_between,
    real_dtype,
)

INTERPOLATED = 0.15  # what it may change of a smooth probe, relative; a wrong angle changes more

# which way along the image each component of a vector points: a dimension, and a sign
DIRECTIONS = {"row": (-2, 1), "column": (-1, 1), "-row": (-2, -1), "-column": (-1, -1)}


@dataclass(frozen=True)
class Vectors:
    """Says that an axis of a tensor holds the components of vectors, which turn with the pixels.

    Attributes:
        pixels: how the group moves an image without components, (…, height, width), by rotations,
            mirror images or periodic shifts of the grid.
        components: what stands along the axis, in order: "row" for a component that points along
            growing rows (downwards), "column" along growing columns (to the right), "-row" and
            "-column" the other way. Optical flow (x to the right, y downwards) is
            ("column", "row"), and with y upwards ("column", "-row").
        axis: of the components; the last two of the other axes are height and width.
    """

    pixels: Action
    components: Sequence[str] = ("row", "column")
    axis: int = 1


def check_action(
    action: Action,
    x: Tensor,
    *,
    batched: bool = True,
    linear: bool = True,
    vectors: Vectors | None = None,
    tolerance: float | None = None,
) -> None:
    """Check on one tensor that an action of your own is an action.

    Dtype and device of x are kept, its shape unless the action says otherwise (`keeps_shape`), and
    x itself is; the identity leaves x as it is;
    g(hx) = (gh)x for the generators g and all h, from which it follows for all g; the inverse
    undoes; `orbit`, `unorbit` and one element for each example give what `act` gives; each example
    moves by itself; g(ax + by) = a gx + b gy for a + b = 1, where x is floating.

    That a field's vectors turn with its pixels follows from none of these: an action that moves
    pixels alone keeps every law. With `vectors` it is checked on a gradient, for which the right
    answer is known: g ∇f = ∇(gf) for an image f, exactly, with ∇ by periodic central differences.

    The laws of an action that is not `exact`, as `Rotate`, are tried on its own smooth `probe`,
    and hold there but for the interpolation; `floor` measures them on x.

    Args:
        action: the action to check.
        x: what it is to move, (batch, …); its entries should differ, as those of torch.randn do.
        batched: dimension 0 of x is the batch, of which the action moves each example by itself.
        linear: also check that the action keeps means, as one that is linear does, or affine, such
            as `Points` and the negative 1 - x of an image. An output action must, for `Mean`; an
            input action need not.
        vectors: also check that the components of vectors turn.
        tolerance: the largest difference, relative to the largest entry of x; by default what
            rounding explains in the dtype of x, and 0 for integers.

    Raises:
        TypeError: action is not an `Action`, or x no tensor.
        ValueError: a law is broken; the line names it, the elements and the largest difference.

    Example:
        >>> from equitune.actions import Rotate90
        >>> check_action(Rotate90(), torch.randn(2, 3, 8, 8))
    """
    if not isinstance(action, Action):
        raise TypeError(f"action is {action!r}: expected an Action")
    if not isinstance(x, Tensor):
        raise TypeError(f"x is {type(x).__name__}: expected a tensor that the action moves")
    fault = action_fault(
        action, x, batched=batched, linear=linear, vectors=vectors, tolerance=tolerance
    )
    if fault:
        raise ValueError(f"{type(action).__name__} of {action.group!r} is not an action: {fault}")


def action_fault(
    action: Action,
    x: Tensor,
    *,
    batched: bool,
    linear: bool,
    vectors: Vectors | None = None,
    tolerance: float | None = None,
) -> str | None:
    """Return which law an action breaks, or None; arguments as for `check_action`."""
    known = TOLERANCES.get(real_dtype(x.dtype))  # None: integers, and what has no arithmetic
    allowed = (known or 0.0) if tolerance is None else tolerance
    nearly = allowed if action.exact else max(allowed, INTERPOLATED)
    smooth = action.probe(x)
    checks: list[Callable[[], Iterator[str]]] = [
        lambda: _kept(action, x),
        lambda: _laws(action, smooth, allowed, nearly),
        lambda: _copies(action, smooth, allowed, nearly),
    ]
    if batched:
        checks.append(lambda: _examples(action, smooth, allowed, nearly))
    if linear and known is not None:
        checks.append(lambda: _linear(action, x, allowed))
    if vectors is not None:
        checks.append(lambda: _turning(action, x, vectors, allowed))
    return next((fault for check in checks for fault in check()), None)


def _kept(action: Action, x: Tensor) -> Iterator[str]:
    """Yield what act changes of the kind of x, or in x itself."""
    before = x.clone()
    for g in action.group.elements:
        y = action.act(g, x)
        if not isinstance(y, Tensor):
            yield f"act({g}, x) returned {type(y).__name__}: expected a tensor"
        for what in ("shape", "dtype", "device") if action.keeps_shape else ("dtype", "device"):
            if (old := getattr(x, what)) != (new := getattr(y, what)):
                shown = [str(tuple(value) if what == "shape" else value) for value in (new, old)]
                yield f"act({g}, x) has {what} {shown[0]}, x has {shown[1]}: it must keep it"
        if _off(x, before):
            yield f"act({g}, x) changes x itself: work on a copy, x.clone()"


def _laws(action: Action, x: Tensor, allowed: float, nearly: float) -> Iterator[str]:
    """Yield where identity, product or inverse is not that of the group.

    Args:
        action: whose laws are tried.
        x: what it moves.
        allowed: the largest difference where nothing is interpolated.
        nearly: where something may be.
    """
    group, names = action.group, action.group.names
    e = group.identity
    if (off := _off(action(e, x), x)) > allowed:
        yield f"the identity {names[e]} (element {e}) changes x by {off:.1e} (relative)"
    images = [action(h, x) for h in group.elements]
    worst, right = (0.0, e, e), 0.0
    for g in group.generators:
        for h in group.elements:
            moved = action(g, images[h])
            off = _off(moved, images[group.multiply(g, h)])
            worst = max(worst, (off, g, h)) if off == off else (float("inf"), g, h)
            right = max(right, _off(moved, images[group.multiply(h, g)]))
    off, g, h = worst
    if off > nearly:
        hint = "make act(g, act(h, x)) equal to act(gh, x), with gh = group.multiply(g, h)"
        if right <= nearly:
            hint = "it holds with hg in place of gh, so act with the inverse, group.inverse(g)"
        yield (
            f"g(hx) differs from (gh)x by {off:.1e} (relative) for g = {names[g]} (element {g}) "
            f"and h = {names[h]} (element {h}): {hint}"
        )
    for g in group.elements:
        if (off := _off(action.inverse(g, images[g]), x)) > nearly:
            yield f"inverse(g, gx) differs from x by {off:.1e} (relative) for g = {names[g]}"


def _copies(action: Action, x: Tensor, allowed: float, nearly: float) -> Iterator[str]:
    """Yield where orbit and unorbit, which an action may compute in its own way, are not act."""
    images = [action(g, x) for g in action.group.elements]
    if len({y.shape for y in images}) > 1:
        return  # copies of several shapes are made one by one
    orbit = action.orbit(x)
    for g in action.group.elements:
        if (off := _off(orbit[g], images[g])) > allowed:
            yield f"orbit(x)[{g}] differs from act({g}, x) by {off:.1e} (relative)"
    back = action.unorbit(torch.stack(images))
    for g in action.group.elements:
        if (off := _off(back[g], x)) > nearly:
            yield f"unorbit(orbit(x))[{g}] differs from x by {off:.1e} (relative)"


def _examples(action: Action, x: Tensor, allowed: float, nearly: float) -> Iterator[str]:
    """Yield where an example does not move by itself, or not by its own element."""
    batch, order = len(x), action.group.order
    for g in action.group.elements:
        moved = action(g, x)
        for i in sorted({0, batch - 1} if batch else ()):
            try:
                alone = action(g, x[i : i + 1])
                off = _off(alone, moved[i : i + 1])
            except (ValueError, IndexError, RuntimeError) as error:
                yield (
                    f"act({g}, x) fails on one example of the batch ({str(error).splitlines()[0]}):"
                    " dimension 0 must not move; pass batched=False for a tensor without a batch"
                )
                return
            if off > allowed:
                yield (
                    f"act({g}, x) moves example {i} by itself to something else than in its batch "
                    f"({off:.1e}, relative): dimension 0 must not move; count axes from the end, "
                    "or pass batched=False for a tensor without a batch"
                )
    for first in range(0, order if batch else 0, max(batch, 1)):
        own = [(first + i) % order for i in range(batch)]
        single = [action(g, x[i : i + 1]) for i, g in enumerate(own)]
        if len({y.shape for y in single}) > 1:
            return
        expected = torch.cat(single)
        each = torch.tensor(own, device=x.device)
        for name, y, goal, limit in (
            ("act_each(g, x)", action(each, x), expected, allowed),
            ("inverse(g, act_each(g, x))", action.inverse(each, expected), x, nearly),
        ):
            if (off := _off(y, goal)) > limit:
                yield f"{name} differs by {off:.1e} (relative) from moving one example at a time"


def _linear(action: Action, x: Tensor, allowed: float) -> Iterator[str]:
    """Yield where g(ax + by) is not a gx + b gy for a + b = 1."""
    y = (3 * x).cos()
    for g in action.group.elements:
        together = action(g, 0.75 * x + 0.25 * y)
        if (off := _off(together, 0.75 * action(g, x) + 0.25 * action(g, y))) > allowed:
            yield (
                f"it is not linear or affine: g(ax + by), a + b = 1, differs from a gx + b gy by "
                f"{off:.1e} (relative) for g = {action.group.names[g]} (element {g}); pass "
                "linear=False for an input action, which need not be"
            )


def _turning(action: Action, x: Tensor, vectors: Vectors, allowed: float) -> Iterator[str]:
    """Yield where a gradient field does not move as the gradient of the moved image."""
    pixels, components, axis = vectors.pixels, vectors.components, vectors.axis
    _check_vectors(action, x, vectors)
    f = sum(x.select(axis, i) / (i + 1) for i in range(len(components)))
    assert isinstance(f, Tensor)  # for the type checker: there is a component
    field = _gradient(f, components, axis)
    for g in action.group.elements:
        moved, goal = action(g, field), _gradient(pixels(g, f), components, axis)
        if (off := _off(moved, goal)) <= allowed:
            continue
        name = f"g = {action.group.names[g]} (element {g})"
        alone = torch.stack(
            [pixels(g, field.select(axis, i)) for i in range(len(components))], axis
        )
        turn, right = (matrix_between(alone, z, axis, 1e-3) for z in (moved, goal))
        if right is None:
            raise ValueError(
                f"{pixels!r} is not a rotation, mirror image or shift of the grid for {name}, so a "
                "gradient does not show how vectors move: check the components without vectors="
            )
        if turn is None:
            yield (
                f"g ∇f differs from ∇(gf) by {off:.1e} (relative) for {name}: it does not move "
                f"pixels as {pixels!r}"
            )
            continue
        still = _off(turn, torch.eye(len(turn))) < 1e-3
        yield (
            f"{'the vector components did not turn' if still else 'vectors turn the wrong way'}: "
            f"g ∇f differs from ∇(gf) by {off:.1e} (relative) for {name}; along axis {axis} "
            f"{tuple(components)} must be multiplied by {shown(right)}, not by {shown(turn)}"
        )


def shown(matrix: Tensor) -> str:
    """Return a small matrix in one line, with three digits and no negative zeros."""
    rows = [[f"{round(value, 3) + 0.0:g}" for value in row] for row in matrix.tolist()]
    return "[" + ", ".join(f"[{', '.join(row)}]" for row in rows) + "]"


def _check_vectors(action: Action, x: Tensor, vectors: Vectors) -> None:
    """Refuse what does not describe x."""
    pixels, components, axis = vectors.pixels, vectors.components, vectors.axis
    if unknown := [c for c in components if c not in DIRECTIONS]:
        raise ValueError(f"component {unknown[0]!r}: expected one of {', '.join(DIRECTIONS)}")
    if pixels.group != action.group:
        raise ValueError(
            f"pixels moves by {pixels.group!r}, the action by {action.group!r}: expected one group"
        )
    inside = -x.ndim <= axis < x.ndim
    if x.ndim < 3 or not inside or x.shape[axis] != len(components) or not components:
        raise ValueError(
            f"x has shape {tuple(x.shape)}: expected {len(components)} components "
            f"{tuple(components)} along axis {axis}, beside height and width"
        )
    if not x.is_floating_point():
        raise ValueError(f"x is {x.dtype}: expected floating vectors, as a gradient has")


def _gradient(f: Tensor, components: Sequence[str], axis: int) -> Tensor:
    """Return ∇f of images (…, height, width) by periodic central differences, along a new axis."""
    slopes = []
    for dimension, sign in (DIRECTIONS[c] for c in components):
        slopes.append(sign * (f.roll(-1, dimension) - f.roll(1, dimension)) / 2)
    return torch.stack(slopes, axis)


def _off(a: Tensor, b: Tensor) -> float:
    """Return how far a is from b, relative to the largest entry of b; nan where both are is 0."""
    if a.shape == b.shape:
        a, b = double(a), double(b)
        both = a.isnan() & b.isnan()
        a, b = a.masked_fill(both, 0), b.masked_fill(both, 0)
    return difference(a, b, b)
