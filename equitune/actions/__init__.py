"""How a finite group acts on tensors: images, token ids, logits, features; knows no model."""

from equitune.actions.base import Action, Trivial, as_input_actions, check_inputs, from_config
from equitune.actions.images import Flip, Rotate90, RotateFlip
from equitune.actions.permutations import AxisPermutation, Regular, TokenPermutation

__all__ = [
    "Action",
    "AxisPermutation",
    "Flip",
    "Regular",
    "Rotate90",
    "RotateFlip",
    "TokenPermutation",
    "Trivial",
    "as_input_actions",
    "check_inputs",
    "from_config",
]
