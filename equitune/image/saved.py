"""Models of a run, read from files, and the weights they begin with."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from equitune.config import IDENTITY
from equitune.image.data import image_action
from equitune.image.models import Classifier, build
from equitune.image.run import BASE, ImageDesign, ImageRun
from equitune.image.weights import load_backbone, read_weights
from equitune.io.files import load_into
from equitune.saving.trained import read_trained

DATA = ("dataset", "size", "upsample", "classes")  # what a model's shape takes from its dataset


def build_model(run: ImageDesign, data: Mapping[str, Any]) -> Classifier:
    """Build the untrained model of a run.

    Args:
        run: what it is built from.
        data: `DATA` of the dataset.
    """
    model = build(
        run.network,
        "finetune" if run.method == BASE else run.method,
        None if run.group == IDENTITY else image_action(run.group),
        data["size"],
        classes=len(data["classes"]),
        head=run.model.head,
        options=run.builder.options,
        upsample=run.builder.upsample * data["upsample"],
        chunk_size=run.model.chunk_size,
        frozen=run.frozen,
    )
    if run.model.channels_last:
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model


def load(path: Path) -> tuple[Classifier, ImageRun, dict[str, Any]]:
    """Read a model that `pretrain` or `tune` wrote, its run, and `DATA` of its dataset.

    Args:
        path: model.safetensors, with config.json beside it.

    Raises:
        ValueError: a file is missing or cannot be read, or holds no model of this experiment.
    """
    return read_trained(path, ImageRun, build_model)


def start_from(model: Classifier, weights: Path) -> None:
    """Load the weights of a pretrained model: all that fit of a `Classifier`, else the backbone's.

    Args:
        model: its backbone must be of the architecture of the weights.
        weights: .safetensors or .pth.

    Raises:
        ValueError: the file cannot be read, or its weights do not fit; the keys are named.
    """
    tensors = read_weights(weights)
    prefix = "features.module."
    backbone = {key.removeprefix(prefix): x for key, x in tensors.items() if key.startswith(prefix)}
    if not backbone:  # from elsewhere
        load_backbone(model.backbone, tensors, str(weights))
        return
    load_into(model.backbone, backbone, str(weights))
    head = {key.removeprefix("head."): x for key, x in tensors.items() if key.startswith("head.")}
    own = model.head.state_dict()
    if head.keys() == own.keys() and all(head[key].shape == own[key].shape for key in head):
        model.head.load_state_dict(head)
