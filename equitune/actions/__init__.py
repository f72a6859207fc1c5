"""How a finite group acts on tensors: images, vectors, points, graphs, token ids, logits."""

from equitune.actions.base import Action, Trivial, from_config
from equitune.actions.check import Vectors, check_action
from equitune.actions.constant import Constant, readable
from equitune.actions.fields import Field, vector_components
from equitune.actions.graphs import Permute
from equitune.actions.images import Flip, FlipVertical, HalfTurn, Rotate90, RotateFlip
from equitune.actions.inexact import floor
from equitune.actions.inputs import (
    ActionTree,
    InputActions,
    as_input_actions,
    check_inputs,
    move_inputs,
    named_actions,
)
from equitune.actions.linear import Linear
from equitune.actions.matrix import Matrix
from equitune.actions.permutations import AxisPermutation, Regular, TokenPermutation
from equitune.actions.points import Boxes, Points
from equitune.actions.products import Compose, Product
from equitune.actions.rotations import Rotate
from equitune.actions.saving import fingerprint, saved_config, stands_for, take_earlier
from equitune.actions.signed import SignedPermutation
from equitune.actions.volumes import CubeRotations

__all__ = [
    "Action",
    "ActionTree",
    "AxisPermutation",
    "Boxes",
    "Compose",
    "Constant",
    "CubeRotations",
    "Field",
    "Flip",
    "FlipVertical",
    "HalfTurn",
    "InputActions",
    "Linear",
    "Matrix",
    "Permute",
    "Points",
    "Product",
    "Regular",
    "Rotate",
    "Rotate90",
    "RotateFlip",
    "SignedPermutation",
    "TokenPermutation",
    "Trivial",
    "Vectors",
    "as_input_actions",
    "check_action",
    "check_inputs",
    "fingerprint",
    "floor",
    "from_config",
    "move_inputs",
    "named_actions",
    "readable",
    "saved_config",
    "stands_for",
    "take_earlier",
    "vector_components",
]
