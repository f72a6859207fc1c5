"""What a step sees of the images: pixels, or features of orbits computed once.

With a frozen backbone M every M(gx) stays what it is. The features of all copies of all images are
then computed once, and an epoch costs only the head. An image moved by h has the orbit of x in
another order, M(g hx) = M((gh)x), so augmentation and evaluation on moved images need no pass
through the backbone either.
"""

from collections.abc import Callable, Iterator
from itertools import chain

import torch
from torch import Tensor

from equitune.actions import Action
from equitune.image.backbones import Backbone
from equitune.image.cache import Rows
from equitune.image.data import Images
from equitune.image.models import Classifier
from equitune.run.precision import precise

BATCH = 128  # images that pass at once, on a CPU of up to SIDE pixels
SIDE = 64
PIXELS = 3 * 224**2  # of larger ones


def at_once(backbone: Backbone, device: torch.device) -> int:
    """Return how many images pass at once without gradients.

    On a CPU fewer of larger images: what does not fit its caches is slow. EfficientNet-Lite0 takes
    two thirds longer for each image of 224 pixels where 12 pass at once instead of 3.
    """
    side = backbone.size * backbone.upsample
    large = device.type == "cpu" and side > SIDE
    return max(PIXELS // side**2, 1) if large else BATCH


def as_input(pixels: Tensor, channels_last: bool = False) -> Tensor:
    """Turn pixels (batch, channels, height, width) of 0 … 255 into floats of 0 … 1."""
    images = pixels.float() / 255
    return images.contiguous(memory_format=torch.channels_last) if channels_last else images


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
    model: Classifier,
    images: Images,
    action: Action,
    augment: bool,
    orbits: Tensor | Rows | None = None,
) -> Callable[[Tensor], Tensor]:
    """Return a function from rows (batch,) to logits (batch, classes) that runs only the head.

    Args:
        model: with a frozen backbone, on the device of the images.
        images: what the rows index.
        action: the group that moves the images; the model's own, or one that augments.
        augment: as for `from_pixels`, with elements of the action's group.
        orbits: the features of every copy of the images, (|G|, n, channels, positions), where they
            are known; by default this call computes what the model needs.
    """
    identity = action.group.identity
    if orbits is None:
        needed = takes_copies(model) or augment
        elements = list(action.group.elements) if needed else [identity]
        orbits = orbit_features(model.backbone, images, action, elements)
    known: Tensor | Rows = orbits

    def logits(rows: Tensor) -> Tensor:
        moved = draw(action, len(rows)) if augment else torch.full((len(rows),), identity)
        return moved_logits(model, known, action, rows, moved)

    return logits


def moved_logits(
    model: Classifier, orbits: Tensor | Rows, action: Action, rows: Tensor, moved: Tensor
) -> Tensor:
    """Return logits (batch, classes) of images at rows (batch,), each moved by an element.

    Args:
        model: as for `from_orbits`.
        orbits: features of the copies, (|G|, n, channels, positions); of a model that takes none
            and images that are not moved, (1, …) is enough.
        action: as for `from_orbits`.
        rows: which images.
        moved: an element of the action's group for each, (batch,).
    """
    group = action.group
    # the copies that the model takes of hx: gh for every g, or h alone
    copies = torch.tensor(group.table)[:, moved.cpu()] if takes_copies(model) else moved[None]
    if orbits.shape[0] == 1 and not takes_copies(model):
        copies = torch.zeros_like(copies)
    return model.from_orbit(orbits[copies.to(orbits.device), rows.to(orbits.device)])


@torch.no_grad()
def orbit_features(
    backbone: Backbone, images: Images, action: Action, elements: list[int]
) -> Tensor:
    """Return a backbone's features of all images moved by each of the elements.

    Args:
        backbone: in evaluation mode, on the device of the images.
        images: n of them.
        action: how the group moves them.
        elements: which copies are wanted.

    Returns:
        (elements, n, channels, positions).
    """

    def copies(pixels: Tensor) -> Tensor:
        return torch.stack([backbone(as_input(action(g, pixels))) for g in elements])

    size = at_once(backbone, images.labels.device)
    return joined((copies(part.pixels) for part in images.parts(size)), len(images))


def joined(parts: Iterator[Tensor], count: int) -> Tensor:
    """Join parts (copies, m, …) as they come to (copies, count, …), each gone before the next."""
    first = next(parts)
    whole = first.new_empty(len(first), count, *first.shape[2:])
    begin = 0
    for part in chain([first], parts):
        whole[:, begin : begin + part.shape[1]] = part
        begin += part.shape[1]
    return whole


def takes_copies(model: Classifier) -> bool:
    """Whether a model looks at several copies of an image."""
    return model.features.group.order > 1
