"""Models by the facts they are built from, and the weights they begin with; trains nothing."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from equitune.config import IDENTITY, ImageBuilder, ImageModel
from equitune.files import load_into, load_tensors
from equitune.image.data import image_action
from equitune.image.models import Classifier, build
from equitune.image.weights import load_backbone, read_weights

BASE = "base"  # the model that methods start from, where it is trained here


def describe_model(
    architecture: str,
    builder: ImageBuilder,
    method: str,
    group: str,
    seed: int,
    model: ImageModel,
) -> dict[str, Any]:
    """All that a model is built from besides the dataset, as JSON."""
    return {
        "architecture": architecture,
        "builder": asdict(builder),
        "method": method,
        "group": group,
        "seed": seed,
        "model": asdict(model),
    }


def network(facts: Mapping[str, Any]) -> str:
    """Return the network of a model; manifests of earlier versions know no name beside it."""
    return str(facts["builder"].get("architecture") or facts["architecture"])


def build_model(facts: Mapping[str, Any]) -> Classifier:
    """Build the untrained model that the facts describe."""
    settings = ImageModel(**facts["model"])
    groupless = facts["group"] == IDENTITY
    model = build(
        network(facts),
        "finetune" if facts["method"] == BASE else facts["method"],
        None if groupless else image_action(facts["group"]),
        facts["size"],
        len(facts["classes"]),
        head=settings.head,
        options=facts["builder"]["options"],
        upsample=facts["builder"]["upsample"] * facts["upsample"],
        chunk_size=settings.chunk_size,
        frozen=settings.backbone == "frozen",
    )
    if settings.channels_last:
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model


def load(path: Path) -> tuple[Classifier, dict[str, Any]]:
    """Read a model that `pretrain` or `tune` wrote, and the facts it was built from.

    Args:
        path: model.safetensors, with manifest.json beside it.

    Raises:
        ValueError: a file is missing or cannot be read, or holds no model of this experiment.
    """
    try:
        facts = json.loads(path.with_name("manifest.json").read_text(encoding="utf-8"))[
            "configuration"
        ]
        model = build_model(facts)
        load_into(model, load_tensors(path)[0], str(path))
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path} is no whole model of the image experiment ({error}): "
            "remove its folder and run again"
        ) from error
    return model, facts


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
