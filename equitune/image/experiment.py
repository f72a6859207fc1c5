"""The image experiment: pretrain, tune by a method, evaluate; the functions the rules call.

It knows files and settings; what a group, a model or a training loop is stands elsewhere.
"""

import json
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from equitune import devices, runs
from equitune.actions import Trivial
from equitune.config import IDENTITY, ImageBuilder, ImageModel, Training
from equitune.files import load_into, load_tensors, save_tensors
from equitune.groups import CyclicGroup
from equitune.image.data import Images, image_action, load_dataset
from equitune.image.features import as_input, from_orbits, from_pixels
from equitune.image.models import Classifier, build
from equitune.image.weights import load_backbone, read_weights
from equitune.memory import relieved

logger = logging.getLogger(__name__)

BASE = "base"  # the model that methods start from, where it is trained here
EVALUATION_BATCH = 128  # images
AUGMENTED = ("finetune_augment", "equitune_augment")


def pretrain(
    dataset: Path,
    architecture: str,
    builder: ImageBuilder,
    seed: int,
    model: ImageModel,
    training: Training,
    output: Path,
    device: str = "auto",
    state_folder: Path | None = None,
) -> None:
    """Train a model from scratch on the upright training images.

    Args:
        dataset: what `equitune.image.data.save_dataset` wrote.
        architecture: a torchvision builder's name, or "timm:" and a name.
        builder: upsampling, and arguments of that builder.
        seed: seeds the weights, the order of the data and dropout.
        model: head, precision, memory.
        training: optimizer, schedule and number of steps.
        output: model.safetensors; manifest.json is written beside it.
        device: "auto" or a torch device.
        state_folder: where the state is kept while training, for resuming.

    Raises:
        ValueError: a bad argument or an unreadable dataset.
    """
    torch.manual_seed(seed)
    facts = _facts(architecture, builder, BASE, IDENTITY, seed, replace(model, backbone="trained"))
    _train(facts, dataset, None, training, output, device, state_folder)


def tune(
    dataset: Path,
    weights: Path,
    architecture: str,
    builder: ImageBuilder,
    method: str,
    group: str,
    seed: int,
    model: ImageModel,
    training: Training,
    output: Path,
    device: str = "auto",
    state_folder: Path | None = None,
) -> None:
    """Train a pretrained model further by a method.

    Args:
        dataset: as for `pretrain`.
        weights: of the pretrained model: model.safetensors of `pretrain`, whose head is taken over
            too, or weights of the architecture from elsewhere, .safetensors or .pth.
        architecture: as for `pretrain`.
        builder: as for `pretrain`.
        method: one of `equitune.config.IMAGE_METHODS`.
        group: "rotate90", "rotate_flip" or "flip": under which the model becomes invariant, or
            by which its training images are moved.
        seed: as for `pretrain`.
        model: as for `pretrain`; "pretrained" trains the head only, whatever it says.
        training: as for `pretrain`.
        output: as for `pretrain`.
        device: as for `pretrain`.
        state_folder: as for `pretrain`.

    Raises:
        ValueError: a bad argument, or a dataset or weights that cannot be read or do not fit.
    """
    torch.manual_seed(seed)
    if method == "pretrained":
        model = replace(model, backbone="frozen")
    facts = _facts(architecture, builder, method, group, seed, model)
    _train(facts, dataset, weights, training, output, device, state_folder)


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
        model = _build(facts)
        load_into(model, load_tensors(path)[0], str(path))
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path} is no whole model of the image experiment ({error}): "
            "remove its folder and run again"
        ) from error
    return model, facts


def batches(count: int, size: int, generator: torch.Generator) -> Sequence[Tensor]:
    """Divide a shuffled epoch into batches of at most `size` images, as equal as can be.

    A small rest would give BatchNorm statistics of a few images, or of one, which it refuses.
    """
    shuffled = torch.randperm(count, generator=generator)
    return torch.tensor_split(shuffled, math.ceil(count / size))


def predict(model: Classifier, images: Images) -> Tensor:
    """Return the predicted class of every image: (n,), computed in float32."""
    model.eval()
    with torch.inference_mode():
        parts = [
            relieved(model, partial(model, as_input(pixels))).argmax(1)
            for pixels in torch.split(images.pixels, EVALUATION_BATCH)
        ]
    return torch.cat(parts)


def accuracy(predictions: Tensor, images: Images) -> float:
    """Return the share of images (n,) whose predicted class is the true one."""
    return float((predictions == images.labels).double().mean())


def _facts(
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


def _build(facts: Mapping[str, Any]) -> Classifier:
    """Build the untrained model that the facts describe."""
    settings = ImageModel(**facts["model"])
    groupless = facts["group"] == IDENTITY
    return build(
        facts["architecture"],
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


def _train(
    facts: dict[str, Any],
    dataset: Path,
    weights: Path | None,
    training: Training,
    output: Path,
    device: str,
    state_folder: Path | None,
) -> None:
    """Train, write the weights and, beside them, the facts to build the model from."""
    chosen = devices.prepare(device)
    parts, about = load_dataset(dataset)
    facts |= {key: about[key] for key in ("dataset", "size", "upsample", "classes")}
    model = _build(facts)
    if weights is not None:
        start_from(model, weights)
    settings = ImageModel(**facts["model"])
    model.to(chosen)
    if settings.channels_last:
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    train, validation = parts["train"].to(chosen), parts["validation"].to(chosen)
    logits, score = _steps(model, facts, settings, train, validation)
    runs.train(
        model,
        training,
        facts,
        [dataset] if weights is None else [dataset, weights],
        output,
        epoch=lambda generator: batches(len(train), training.batch_size, generator),
        loss=lambda rows: F.cross_entropy(logits(rows.to(chosen)), train.labels[rows.to(chosen)]),
        validate=score,
        save=lambda: save_tensors(output, model.state_dict(), {"kind": "image model", **facts}),
        label=f"{facts['dataset']} {facts['architecture']} {facts['method']}",
        device=chosen,
        state_folder=state_folder,
    )


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


def _steps(
    model: Classifier,
    facts: Mapping[str, Any],
    settings: ImageModel,
    train: Images,
    validation: Images,
) -> tuple[Callable[[Tensor], Tensor], Callable[[], float]]:
    """What a training step computes for rows of the training part, and the validation score."""
    augment = facts["method"] in AUGMENTED
    if settings.backbone == "trained":
        action = image_action(facts["group"]) if augment else None
        logits = from_pixels(model, train, action, settings.precision, settings.channels_last)
        return logits, lambda: accuracy(predict(model, validation), validation)
    action = Trivial(CyclicGroup(1)) if facts["group"] == IDENTITY else image_action(facts["group"])
    logits = from_orbits(model, train, action, augment)
    validated = from_orbits(model, validation, action, augment=False)

    def score() -> float:
        with torch.no_grad():
            everything = torch.arange(len(validation), device=validation.labels.device)
            return accuracy(validated(everything).argmax(1), validation)

    return logits, score
