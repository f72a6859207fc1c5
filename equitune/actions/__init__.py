"""How a finite group acts on tensors: images, token ids, logits, features; knows no model."""

from equitune.actions.base import (
    Action,
    Constant,
    InputActions,
    Trivial,
    as_input_actions,
    check_inputs,
    fingerprint,
    from_config,
    move_inputs,
    readable,
    stands_for,
)
from equitune.actions.images import Flip, Rotate90, RotateFlip
from equitune.actions.permutations import AxisPermutation, Regular, TokenPermutation

__all__ = [
    "Action",
    "AxisPermutation",
    "Constant",
    "Flip",
    "InputActions",
    "Regular",
    "Rotate90",
    "RotateFlip",
    "TokenPermutation",
    "Trivial",
    "as_input_actions",
    "check_inputs",
    "fingerprint",
    "from_config",
    "move_inputs",
    "readable",
    "stands_for",
]
