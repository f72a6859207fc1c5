"""The groups of the image experiment, one record each; without torch, as figures read it too.

The configuration's values, the actions on images and the names in figures come from `IMAGE_GROUPS`.
A new group is a record, and an action where `equitune.actions` has none for it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class ImageGroup:
    """One group.

    Attributes:
        action: the class in `equitune.actions` that moves the images.
        elements: what a reader calls each element, by its name in the group, in their order.
        arguments: of the action.
    """

    action: str
    elements: Mapping[str, str]
    arguments: Mapping[str, Any] = field(default_factory=dict)


TURNS = {"e": "0°", "r": "90°", "r2": "180°", "r3": "270°"}
# rs is first the mirror image, then the turn
MIRRORED = {name.replace("e", "") + "s": f"mirrored,\n{turn}" for name, turn in TURNS.items()}
IMAGE_GROUPS = {
    "rotate90": ImageGroup("Rotate90", TURNS),
    "rotate_flip": ImageGroup("RotateFlip", TURNS | MIRRORED),
    "flip": ImageGroup("Flip", {"e": "upright", "r": "mirrored"}),
}
