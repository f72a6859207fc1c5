"""The image experiment: pretrain, tune by a method; the functions the rules call.

It knows files and settings; what a group, a model or a training loop is stands elsewhere.
"""

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from equitune import devices, runs
from equitune.actions import Trivial
from equitune.config import IDENTITY, ImageBuilder, ImageModel, Training
from equitune.files import save_tensors, sha256
from equitune.groups import CyclicGroup
from equitune.image import cache
from equitune.image.data import Images, image_action, load_dataset
from equitune.image.extraction import features_for
from equitune.image.features import from_orbits, from_pixels
from equitune.image.models import Classifier
from equitune.image.prediction import accuracy, predict
from equitune.image.saved import BASE, build_model, describe_model, start_from

logger = logging.getLogger(__name__)

MATCHED = "finetune_augment_matched"  # as many passes through the network as equi-tuning
AUGMENTED = ("finetune_augment", MATCHED, "equitune_augment")


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
    facts = describe_model(
        architecture, builder, BASE, IDENTITY, seed, replace(model, backbone="trained")
    )
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
    features: Sequence[Path] = (),
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
        training: as for `pretrain`; "finetune_augment_matched" takes |G| times as many steps.
        output: as for `pretrain`.
        device: as for `pretrain`.
        state_folder: as for `pretrain`.
        features: what `extract` wrote for these weights, one for each group; a frozen backbone's
            are else computed here.

    Raises:
        ValueError: a bad argument, or a dataset, weights or features that cannot be read or do not
            fit.
    """
    torch.manual_seed(seed)
    if method == "pretrained":
        model = replace(model, backbone="frozen")
    if method == MATCHED:
        order = image_action(group).group.order
        training = replace(
            training,
            steps=order * training.steps,
            validate_every=order * training.validate_every,
        )
    facts = describe_model(architecture, builder, method, group, seed, model)
    _train(facts, dataset, weights, training, output, device, state_folder, features)


def batches(count: int, size: int, generator: torch.Generator) -> Sequence[Tensor]:
    """Divide a shuffled epoch into batches of at most `size` images, as equal as can be.

    A small rest would give BatchNorm statistics of a few images, or of one, which it refuses.
    """
    shuffled = torch.randperm(count, generator=generator)
    return torch.tensor_split(shuffled, math.ceil(count / size))


def _train(
    facts: dict[str, Any],
    dataset: Path,
    weights: Path | None,
    training: Training,
    output: Path,
    device: str,
    state_folder: Path | None,
    features: Sequence[Path] = (),
) -> None:
    """Train, write the weights and, beside them, the facts to build the model from."""
    chosen = devices.prepare(device)
    parts, about = load_dataset(dataset)
    facts |= {key: about[key] for key in ("dataset", "size", "upsample", "classes")}
    model = build_model(facts)
    if weights is not None:
        start_from(model, weights)
    settings = ImageModel(**facts["model"])
    model.to(chosen)

    train, validation = parts["train"].to(chosen), parts["validation"].to(chosen)
    inputs = [dataset] if weights is None else [dataset, weights]
    group = None if facts["group"] == IDENTITY else facts["group"]
    known = features_for(features, facts, [sha256(path) for path in inputs], group)
    inputs += [known.path] if known else []
    logits, score = _steps(model, facts, settings, train, validation, known)
    runs.train(
        model,
        training,
        facts,
        inputs,
        output,
        epoch=lambda generator: batches(len(train), training.batch_size, generator),
        loss=lambda rows: F.cross_entropy(logits(rows.to(chosen)), train.labels[rows.to(chosen)]),
        validate=score,
        save=lambda: save_tensors(output, model.state_dict(), {"kind": "image model", **facts}),
        label=f"{facts['dataset']} {facts['architecture']} {facts['method']}",
        device=chosen,
        state_folder=state_folder,
    )


def _steps(
    model: Classifier,
    facts: Mapping[str, Any],
    settings: ImageModel,
    train: Images,
    validation: Images,
    known: cache.Orbits | None,
) -> tuple[Callable[[Tensor], Tensor], Callable[[], float]]:
    """What a training step computes for rows of the training part, and the validation score."""
    augment = facts["method"] in AUGMENTED
    if settings.backbone == "trained":
        action = image_action(facts["group"]) if augment else None
        logits = from_pixels(model, train, action, settings.precision, settings.channels_last)
        return logits, lambda: accuracy(predict(model, validation), validation)
    groupless = facts["group"] == IDENTITY
    action = Trivial(CyclicGroup(1)) if groupless else image_action(facts["group"])

    def orbits(images: Images) -> Tensor | None:
        if known is None:
            return None
        return known.upright(images) if groupless else known.of(images)

    logits = from_orbits(model, train, action, augment, orbits(train))
    validated = from_orbits(model, validation, action, augment=False, orbits=orbits(validation))

    def score() -> float:
        with torch.no_grad():
            everything = torch.arange(len(validation), device=validation.labels.device)
            return accuracy(validated(everything).argmax(1), validation)

    return logits, score
