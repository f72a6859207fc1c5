"""The classifiers of the image experiment: a backbone made invariant by a method, and a head.

They know pixels and groups, but no file, no data set and no training.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from equitune.actions import Action, Trivial
from equitune.canonical import Canonical
from equitune.combine import Mean, Select, Weighted
from equitune.config import IMAGE_METHODS
from equitune.groups import CyclicGroup
from equitune.image.backbones import Backbone, split
from equitune.io.architectures import TIMM
from equitune.io.names import nearest
from equitune.methods import METHODS
from equitune.symmetrize import EquiTuned

HEADS = ("shared", "linear", "own")


class SharedHead(nn.Module):
    """The published code's head: positions → 1 shared over channels, then channels → classes.

    It begins as average pooling, weights 1/positions: what most backbones were trained to feed.
    Random weights of both signs would cancel their features before they reach the classes.

    Args:
        channels: number of channels of the features.
        positions: number of their positions.
        classes: number of classes.
    """

    def __init__(self, channels: int, positions: int, classes: int) -> None:
        """Make the two layers."""
        super().__init__()
        self.pool = nn.Linear(positions, 1)
        self.classify = nn.Linear(channels, classes)
        nn.init.constant_(self.pool.weight, 1 / positions)
        nn.init.zeros_(self.pool.bias)

    def forward(self, features: Tensor) -> Tensor:
        """Return logits (batch, classes) of features (batch, channels, positions)."""
        logits: Tensor = self.classify(self.pool(features).squeeze(-1))
        return logits


class LinearHead(nn.Linear):
    """One linear layer on features averaged over their positions: (batch, channels, 1)."""

    def forward(self, input: Tensor) -> Tensor:
        """Return logits (batch, classes) of features (batch, channels, 1)."""
        logits: Tensor = super().forward(input.squeeze(-1))
        return logits


class OwnHead(nn.Module):
    """The published model's own pooling and classifier, its last layer made for the classes.

    Args:
        body: what the published model does behind the cut: (batch, *shape) to (batch, classes).
        shape: the shape of the feature map, as `Backbone.shape`.
    """

    def __init__(self, body: nn.Module, shape: tuple[int, ...]) -> None:
        """Store the parts."""
        super().__init__()
        self.body, self.shape = body, shape

    def forward(self, features: Tensor) -> Tensor:
        """Return logits (batch, classes) of features (batch, channels, positions)."""
        logits: Tensor = self.body(features.reshape(-1, *self.shape))
        return logits


class Classifier(nn.Module):
    """Features made invariant by a group, then a head.

    Args:
        features: images (batch, 3, height, width) to features (batch, channels, positions).
        head: features to logits (batch, classes).
    """

    def __init__(self, features: EquiTuned, head: nn.Module) -> None:
        """Store the parts."""
        super().__init__()
        self.features, self.head = features, head

    @property
    def backbone(self) -> Backbone:
        """The backbone, which published weights are loaded into."""
        return cast(Backbone, self.features.module)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (batch, classes) of images (batch, 3, height, width) in 0..1."""
        logits: Tensor = self.head(self.features(images))
        return logits

    @property
    def chooses_by_input(self) -> bool:
        """Whether a copy is chosen by its pixels, so that features of an orbit are not enough."""
        return isinstance(self.features.combine, Canonical)

    def orbit_features(self, images: Tensor) -> Tensor:
        """Return the features of every copy gx: (|G|, batch, channels, positions).

        With a frozen backbone they stay the same while head and λ are trained: compute them once.
        """
        features: Tensor = self.features.orbit_outputs(images)
        return features

    def from_orbit(self, features: Tensor) -> Tensor:
        """Return logits (batch, classes) from what `orbit_features` gave; as `forward`, exactly."""
        logits: Tensor = self.head(self.features.combine(features, self.features.output_action))
        return logits


@dataclass(frozen=True)
class HeadEntropy:
    """Entropy in nats of a head's prediction from the features of each copy.

    No module: the head is the classifier's, and must not be registered a second time. No closure
    either: a copied classifier has to score with its own head.
    """

    head: nn.Module

    def __call__(self, features: Tensor) -> Tensor:
        """Return the entropies (batch,) for features (batch, channels, positions)."""
        entropies: Tensor = torch.special.entr(self.head(features).softmax(-1)).sum(-1)
        return entropies


def importance(channels: int) -> nn.Module:
    """λ of λ-equitune: a positive weight (batch, 1) from features (batch, channels, positions)."""
    pool = nn.Sequential(nn.AdaptiveAvgPool1d(1), nn.Flatten())
    return nn.Sequential(pool, nn.Linear(channels, 16), nn.Tanh(), nn.Linear(16, 1), nn.Softplus())


def pose() -> nn.Module:
    """The score of canonicalization: a number (batch, 1) of images (batch, 3, height, width)."""
    return nn.Sequential(
        nn.AdaptiveAvgPool2d(16),
        nn.Conv2d(3, 16, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(64 * 4 * 4, 64),
        nn.ReLU(),
        nn.Linear(64, 1),
    )


# by `Method.combine`; the mean of one copy is that copy
COMBINE: dict[str | None, Callable[[int, nn.Module], nn.Module]] = {
    None: lambda channels, head: Mean(),
    "mean": lambda channels, head: Mean(),
    "weighted": lambda channels, head: Weighted(importance(channels)),
    "select": lambda channels, head: Select(HeadEntropy(head)),
    "canonical": lambda channels, head: Canonical(pose(), prior=0),  # images come upright
}


def build(
    architecture: str,
    method: str,
    action: Action | None,
    size: int,
    *,
    classes: int,
    head: str = "shared",
    options: Mapping[str, Any] = {},
    upsample: int = 1,
    chunk_size: int | None = None,
    frozen: bool = False,
) -> Classifier:
    """Build an untrained classifier; a method that uses no group has the identity for one.

    BatchNorm in training mode takes its statistics from all |G|·batch images of an orbit batch;
    with chunk_size from the chunk_size·batch images that pass together, chunk after chunk.

    Args:
        architecture: as for `backbone`.
        method: one of `IMAGE_METHODS`.
        action: how the group moves the images; the methods without a group do not use it.
        size: height and width of the images in pixels.
        classes: number of classes.
        head: "shared" (`SharedHead`), "linear" (`LinearHead`, on features averaged over their
            positions), or "own": the model's own (`OwnHead`).
        options: as for `backbone`.
        upsample: as for `Backbone`.
        chunk_size: group elements at once, by default all; bounds the memory.
        frozen: the backbone keeps its weights; the head and λ are trained.

    Raises:
        ModuleNotFoundError: torchvision, or timm, is not installed.
        ValueError: unknown method, head or architecture, a bad option, or a size that the
            architecture does not take.
    """
    if method not in IMAGE_METHODS:
        raise ValueError(f"unknown method {method!r}{nearest(method, IMAGE_METHODS)}")
    combined = METHODS[method].combine
    if head not in HEADS:
        raise ValueError(f"unknown head {head!r}{nearest(head, HEADS)}")
    if head == "own" and architecture.startswith(TIMM):
        raise ValueError(
            f"head is 'own' with {architecture}: expected 'shared' or 'linear' for a model of timm"
        )
    moves = Trivial(CyclicGroup(1)) if combined is None else action
    if moves is None:
        raise ValueError(f"action is None: {method} needs one, as equitune.actions.Rotate90()")
    trunk, behind = split(architecture, size, classes, options, upsample)
    last: nn.Module
    trunk.pooled = head == "linear"
    if head == "own":
        last = OwnHead(behind, trunk.shape)
    else:
        last = (
            LinearHead(trunk.channels, classes)
            if trunk.pooled
            else SharedHead(trunk.channels, trunk.positions, classes)
        )
        behind.to("meta")  # the classifier cut off is part of a cycle, and may have 500 MB
    combine = COMBINE[combined](trunk.channels, last)
    features = EquiTuned(
        trunk, moves, Trivial(moves.group), combine, chunk_size=chunk_size, frozen=frozen
    )
    return Classifier(features, last)
