"""How nearly an action that interpolates keeps the laws of an action."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from equitune.actions.base import Action
from equitune.diagnosis.differences import difference

NO_VERDICT = (
    "an action interpolates, so the error is not the model's alone; pass as tolerance= what is "
    "small enough for you"
)


def floor(action: Action, x: Tensor) -> float:
    """Return how far g(hx) is from (gh)x, and g⁻¹(gx) from ex, relative to the largest entry.

    Of an exact action that is rounding. One that interpolates, as `Rotate`, has a floor that
    depends on x, smaller for smooth images: below it nothing can be said of a model.

    Args:
        action: of any kind.
        x: what it moves, (batch, …).

    Returns:
        max |g(hx) - (gh)x| / max |x|, over the generators g and all h, and all inverses.
    """
    group = action.group
    images = [action(h, x) for h in group.elements]
    pairs = [(g, h, group.multiply(g, h)) for g in group.generators for h in group.elements]
    pairs += [(group.inverse(g), g, group.identity) for g in group.elements]
    return max(
        difference(action(g, images[h]), images[gh], images[group.identity]) for g, h, gh in pairs
    )


def floors(actions: Sequence[Action | None], tensors: Sequence[Any]) -> list[str]:
    """Return a report's lines of the actions that are not exact, those of inputs, then of output.

    Args:
        actions: one for each tensor, or None.
        tensors: the inputs and the output.
    """
    lines = []
    for place, (action, x) in enumerate(zip(actions, tensors, strict=True)):
        if action is None or action.exact:
            continue
        which = f"input {place}" if place < len(tensors) - 1 else "the output"
        lines.append(
            f"  floor: {type(action).__name__} of {which} interpolates: g(hx) differs from (gh)x "
            f"by {floor(action, x):.1e} (relative)"
        )
    return lines
