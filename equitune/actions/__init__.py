"""How a finite group acts on tensors: images, token ids, logits, features; knows no model."""

from equitune.actions.base import (
    Action,
    Constant,
    InputActions,
    Trivial,
    as_input_actions,
    check_inputs,
    from_config,
    move_inputs,
    readable,
)
from equitune.actions.check import Vectors, check_action
from equitune.actions.images import Flip, Rotate90, RotateFlip
from equitune.actions.permutations import AxisPermutation, Regular, TokenPermutation
from equitune.actions.saving import fingerprint, saved_config, stands_for, take_earlier

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
    "Vectors",
    "as_input_actions",
    "check_action",
    "check_inputs",
    "fingerprint",
    "from_config",
    "move_inputs",
    "readable",
    "saved_config",
    "stands_for",
    "take_earlier",
]
