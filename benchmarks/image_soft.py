"""A network that is softly invariant: trained with a penalty on what turns do to its outputs.

The penalty is that of equivariance_regularizer, which takes any model and changes its weights
alone: a forward pass costs what the plain one's does, and how invariant it is depends on the
training. So it is trained for a few steps, and stands beside the plain network that was trained on
the same batches without the penalty. Nothing about the steps was tuned.
"""

import random
from collections.abc import Callable
from copy import deepcopy
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from equitune.image.data import Images
from equitune.image.sources import read_digits

STEPS, BATCH = 40, 16
RATE, MOMENTUM = 1e-2, 0.9  # of SGD
WEIGHT = 1.0  # of the penalty
TURNS = 4

Penalty = Callable[[Tensor], Tensor]  # of images (batch, channels, side, side)


def pair(plain: nn.Module, size: int) -> tuple[nn.Module, nn.Module]:
    """Copies of a network trained with the penalty, and without.

    Raises:
        ImportError: equivariance_regularizer is not installed.
    """
    from equivariance_regularizer import EquivarianceRegularizer

    images = read_digits(size)[0][torch.arange(STEPS * BATCH)]
    penalized, trained = deepcopy(plain), deepcopy(plain)
    # what becomes of outputs and inputs, the error that is free of charge, the weight
    turns = [
        [_unmoved, partial(torch.rot90, k=turn, dims=(2, 3)), 0.0, WEIGHT]
        for turn in range(1, TURNS)
    ]
    random.seed(0)  # decides the turn of each step
    train(penalized, images, EquivarianceRegularizer(penalized, images.pixels.shape[1:], turns))
    train(trained, images)
    return penalized, trained


def train(model: nn.Module, images: Images, penalty: Penalty | None = None) -> None:
    """Train a model on all images in their order, with the penalty beside the loss if any."""
    optimizer = torch.optim.SGD(model.parameters(), RATE, MOMENTUM)
    model.train()
    for rows in torch.split(torch.arange(len(images)), BATCH):
        pixels = images.pixels[rows].float() / 255
        loss = F.cross_entropy(model(pixels), images.labels[rows])
        if penalty is not None:
            loss = loss + penalty(pixels)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()


def _unmoved(logits: Tensor) -> Tensor:
    """Logits as they are: what an invariant model's outputs become."""
    return logits
