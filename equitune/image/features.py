"""What a training step sees of the images: pixels, or features of orbits computed once.

With a frozen backbone M every M(gx) stays what it is. The features of all copies of all images are
then computed once, and an epoch costs only the head. An image moved by h has the orbit of x in
another order, M(g hx) = M((gh)x), so augmentation needs no pass through the backbone either.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from equitune.actions import Action
from equitune.image.data import Images
from equitune.image.models import Classifier

EXTRACTION_BATCH = 128  # images


def as_input(pixels: Tensor, channels_last: bool = False) -> Tensor:
    """Turn pixels (batch, channels, height, width) of 0 … 255 into floats of 0 … 1."""
    images = pixels.float() / 255
    return images.contiguous(memory_format=torch.channels_last) if channels_last else images


def precise(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """Return the context of a forward pass in a precision: "float32" or "bfloat16"."""
    if precision == "bfloat16":
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return nullcontext()


def draw(action: Action, count: int) -> Tensor:
    """Draw group elements uniformly from torch's global generator: (count,)."""
    return torch.randint(action.group.order, (count,))


def from_pixels(
    model: Classifier,
    images: Images,
    augment: Action | None,
    precision: str = "float32",
    channels_last: bool = False,
) -> Callable[[Tensor], Tensor]:
    """Return a function from rows (batch,) to logits (batch, classes), through the whole model.

    Args:
        model: on the device of the images.
        images: what the rows index.
        augment: moves each image by a group element of its own, drawn anew at every call.
        precision: "float32" or "bfloat16", by autocast.
        channels_last: the memory layout of the images.
    """
    device = images.pixels.device

    def logits(rows: Tensor) -> Tensor:
        pixels = images.pixels[rows]
        if augment is not None:
            pixels = augment(draw(augment, len(rows)).to(device), pixels)
        with precise(device, precision):
            output: Tensor = model(as_input(pixels, channels_last))
        return output.float()

    return logits


def from_orbits(
    model: Classifier, images: Images, action: Action, augment: bool
) -> Callable[[Tensor], Tensor]:
    """Return a function from rows (batch,) to logits (batch, classes) that runs only the head.

    Args:
        model: with a frozen backbone, on the device of the images.
        images: what the rows index; their orbits' features are computed by this call.
        action: the group that moves the images; the model's own, or one that augments.
        augment: as for `from_pixels`, with elements of the action's group.
    """
    equivariant, group = model.features.group.order > 1, action.group
    elements = list(group.elements) if equivariant or augment else [group.identity]
    orbits = orbit_features(model, images, action, elements)  # (elements, n, channels, positions)
    table = torch.tensor(group.table)

    def logits(rows: Tensor) -> Tensor:
        moved = draw(action, len(rows)) if augment else torch.full((len(rows),), group.identity)
        # the copies that the model takes of hx: gh for every g, or h alone
        copies = table[:, moved] if equivariant else moved[None]  # (|G|, batch)
        return model.from_orbit(orbits[copies.to(orbits.device), rows])

    return logits


@torch.no_grad()
def orbit_features(
    model: Classifier, images: Images, action: Action, elements: list[int]
) -> Tensor:
    """Return the backbone's features of all images moved by each of the elements.

    Returns:
        (elements, n, channels, positions).
    """
    backbone = model.backbone
    parts = [
        torch.stack([backbone(as_input(action(g, pixels))) for g in elements])
        for pixels in torch.split(images.pixels, EXTRACTION_BATCH)
    ]
    return torch.cat(parts, dim=1)
