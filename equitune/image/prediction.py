"""What a trained model makes of images, and how often it is right; reads and writes no file."""

from functools import partial

import torch
from torch import Tensor

from equitune.actions import Action
from equitune.image.cache import Rows
from equitune.image.data import Images
from equitune.image.features import BATCH, as_input, at_once, moved_logits, orbit_features
from equitune.image.models import Classifier
from equitune.run.memory import relieved


def logits_of(model: Classifier, images: Images) -> Tensor:
    """Return the logits of every image: (n, classes), computed in float32."""
    model.eval()
    size = at_once(model.backbone, images.labels.device)
    with torch.inference_mode():
        parts = [
            relieved(model, partial(model, as_input(part.pixels))) for part in images.parts(size)
        ]
    return torch.cat(parts)


def predict(model: Classifier, images: Images) -> Tensor:
    """Return the predicted class of every image: (n,), computed in float32."""
    return logits_of(model, images).argmax(1)


def cached_logits(model: Classifier, orbits: Tensor | Rows, action: Action) -> Tensor:
    """Return logits (|G|, n, classes) of every copy of images, from their orbits' features.

    Args:
        model: with the frozen backbone that the features are of.
        orbits: (|G|, n, channels, positions), by the action's group.
        action: how the group moves the images.
    """
    model.eval()
    parts = []
    with torch.inference_mode():
        for rows in torch.split(torch.arange(orbits.shape[1]), BATCH):
            moved = [torch.full_like(rows, g) for g in action.group.elements]
            parts.append(torch.stack([moved_logits(model, orbits, action, rows, m) for m in moved]))
    return torch.cat(parts, dim=1)


def orbit_logits(model: Classifier, images: Images, action: Action) -> Tensor:
    """Return logits (|G|, n, classes) of every copy of images, one pass for each copy.

    A model that averages over the group takes the same copies of gx as of x, in another order, so
    |G| passes are enough where |G|² would be made.

    Args:
        model: one that uses no group, or the action's.
        images: n of them.
        action: how the group moves them.
    """
    elements = list(action.group.elements)
    if model.chooses_by_input:
        return torch.stack([logits_of(model, images.moved(action, g)) for g in elements])
    model.eval()
    parts = []
    for part in images.parts(at_once(model.backbone, images.labels.device)):
        orbits = orbit_features(model.backbone, part, action, elements)
        parts.append(cached_logits(model, orbits, action))
    return torch.cat(parts, dim=1)


def accuracy(predictions: Tensor, images: Images) -> float:
    """Return the share of images (n,) whose predicted class is the true one."""
    return float((predictions == images.labels).double().mean())


def brier(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the Brier score of each prediction, as `squared_loss`, from logits (n, classes)."""
    return squared_loss(logits.double().softmax(1), labels)


def squared_loss(probabilities: Tensor, labels: Tensor) -> Tensor:
    """Return Σ_c (p_c - [c is the label])² of each image, 0 … 2: (n,) (Brier 1950).

    Args:
        probabilities: (n, classes).
        labels: (n,).
    """
    right = torch.zeros_like(probabilities).scatter_(1, labels[:, None], 1)
    return (probabilities - right).square().sum(1)
