"""The image experiment: pretrain a model, and tune it by a method; what the rules call."""

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from equitune import adapters
from equitune.actions import Trivial
from equitune.canonical import Canonical
from equitune.config import IDENTITY
from equitune.distillation import apart
from equitune.groups import CyclicGroup
from equitune.image import cache
from equitune.image.data import Images, image_action, load_dataset
from equitune.image.extraction import features_for
from equitune.image.features import as_input, from_orbits, from_pixels
from equitune.image.models import Classifier
from equitune.image.prediction import accuracy, logits_of, predict
from equitune.image.run import ImageRun
from equitune.image.saved import DATA, build_model, load, start_from
from equitune.io.files import sha256
from equitune.methods import METHODS, names
from equitune.run import devices
from equitune.run.job import Job, train
from equitune.run.loop import Objective
from equitune.run.ranks import check_ranks
from equitune.saving.trained import check_output, write_trained

logger = logging.getLogger(__name__)

ADAPTERS = "adapters.safetensors"  # beside model.safetensors
HEAD_ONLY = names("image", head_only=True)
MATCHED = names("image", matched=True)
AUGMENTED = names("image", augments=True)
# by which the score of a canonical model first learns what is upright: docs/images.md
POSE_STEPS, POSE_BATCH, POSE_RATE = 300, 64, 2e-3


def pretrain(run: ImageRun, dataset: Path, job: Job) -> None:
    """Train a model from scratch on the upright training images.

    Args:
        run: of method `BASE`, without a group; its backbone is trained, whatever it says.
        dataset: what `equitune.image.data.save_dataset` wrote.
        job: its output is model.safetensors; config.json and manifest.json are written beside it.

    Raises:
        ValueError: a bad argument or an unreadable dataset.
    """
    torch.manual_seed(run.seed)
    _train(replace(run, model=replace(run.model, backbone="trained")), dataset, None, job)


def tune(
    run: ImageRun,
    dataset: Path,
    weights: Path,
    job: Job,
    *,
    features: Sequence[Path] = (),
    teacher: Path | None = None,
) -> None:
    """Train a pretrained model further by a method.

    Args:
        run: "pretrained" trains the head only, whatever its model says;
            "finetune_augment_matched" takes |G| times as many steps.
        dataset: as for `pretrain`.
        weights: of the pretrained model: model.safetensors of `pretrain`, whose head is taken over
            too, or weights of the architecture from elsewhere, .safetensors or .pth.
        job: as for `pretrain`.
        features: what `extract` wrote for these weights, one for each group; a frozen backbone's
            are else computed here.
        teacher: of "distilled" alone: the equi-tuned model that it learns from.

    Raises:
        ValueError: a bad argument, or a dataset, weights, features or teacher that cannot be read
            or do not fit.
    """
    learns = METHODS[run.method].teacher
    if (learns is None) != (teacher is None):
        needed = f"needs a teacher: pass --teacher, the model of {learns}" if learns else "has none"
        raise ValueError(f"method {run.method} {needed}")
    torch.manual_seed(run.seed)
    if run.method in HEAD_ONLY:
        run = replace(run, model=replace(run.model, backbone="frozen"))
    if run.method in MATCHED:
        order, plan = image_action(run.group).group.order, run.training
        longer = {key: order * getattr(plan, key) for key in ("steps", "validate_every")}
        run = replace(run, training=replace(plan, **longer))
    _train(run, dataset, weights, job, features, teacher)


def batches(count: int, size: int, generator: torch.Generator) -> Sequence[Tensor]:
    """Divide a shuffled epoch into batches of at most `size` images, as equal as can be.

    A small rest would give BatchNorm statistics of a few images, or of one, which it refuses.
    """
    shuffled = torch.randperm(count, generator=generator)
    return torch.tensor_split(shuffled, math.ceil(count / size))


def _train(
    run: ImageRun,
    dataset: Path,
    weights: Path | None,
    job: Job,
    features: Sequence[Path] = (),
    teacher: Path | None = None,
) -> None:
    """Train, and write the weights with the run to build the model from."""
    check_output(job.output)
    check_ranks(run.training, run.model.precision)  # before features are computed
    device = devices.prepare(job.device)
    parts, about = load_dataset(dataset)
    data = {key: about[key] for key in DATA}
    data["weights"] = None if weights is None else sha256(weights)
    if teacher is not None:
        data["teacher"] = sha256(teacher)
    model = build_model(run, data)
    if weights is not None:
        start_from(model, weights)
    adapter = None if run.frozen else run.training.adapter
    if adapter is not None:
        adapters.attach(model.backbone, adapter.rank, adapter.targets)
        logger.info("%s %s: %s", run.architecture, run.method, adapters.report(model))
    model.to(device)

    def save() -> None:
        if adapter is not None:  # by themselves, and added to the weights that they stand beside
            path = job.output.with_name(ADAPTERS)
            adapters.save(model, path, adapter.rank, adapter.targets)
            adapters.merge(model)
        write_trained(job.output, model, run, data)

    examples, validation = parts["train"].to(device), parts["validation"].to(device)
    _learn_pose(model, examples, run.seed)
    known = features_for(features, run, data, None if run.group == IDENTITY else run.group)
    logits, score = _steps(model, run, examples, validation, known)
    if teacher is None:
        of_rows = partial(_labelled, model, examples, logits)
    else:
        wanted = _answers(teacher, run, data, examples)
        of_rows = partial(_distance, logits, wanted)
    train(
        model,
        run,
        job,
        Objective(
            epoch=lambda generator: batches(len(examples), run.training.batch_size, generator),
            loss=lambda rows: of_rows(rows.to(device)),
            validate=score,
            precision="float32" if run.frozen else run.model.precision,
        ),
        data=data,
        inputs=[dataset, *([weights] if weights else []), *([known.path] if known else [])],
        save=save,
        label=f"{data['dataset']} {run.architecture} {run.method}",
        device=device,
    )


def _learn_pose(model: Classifier, images: Images, seed: int) -> None:
    """Teach the score of a canonical model what is upright, before the network is trained.

    The tuning's own steps and rate are those of a pretrained network: too few and too small for a
    score that begins at random. A run that resumes does this again, and then loads its state.
    """
    if not isinstance(combine := model.features.combine, Canonical):
        return
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(combine.parameters(), lr=POSE_RATE)
    for _ in range(POSE_STEPS):
        rows = torch.randint(len(images), (POSE_BATCH,), generator=generator)
        optimizer.zero_grad()
        loss = _prior_loss(combine, model, images[rows.to(images.labels.device)])
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    optimizer.zero_grad()


def _prior_loss(combine: Canonical, model: Classifier, images: Images) -> Tensor:
    """What teaches a canonical model to turn images as they come, which is upright."""
    return combine.prior_loss(model.features.scores(as_input(images.pixels)))


def _labelled(
    model: Classifier, images: Images, logits: Callable[[Tensor], Tensor], rows: Tensor
) -> Tensor:
    """Return the loss of images by their labels."""
    loss = F.cross_entropy(logits(rows), images.labels[rows])
    combine = model.features.combine
    if isinstance(combine, Canonical):
        loss = loss + _prior_loss(combine, model, images[rows])
    return loss


def _distance(logits: Callable[[Tensor], Tensor], wanted: Tensor, rows: Tensor) -> Tensor:
    """Return the mean squared distance of a logit of moved images from the teacher's.

    Classes do not move, so that the teacher's answer for gx is that for x.
    """
    return apart(logits(rows), wanted[rows]).mean() / wanted.shape[1]


def _answers(path: Path, run: ImageRun, data: Mapping[str, Any], examples: Images) -> Tensor:
    """Return what a teacher says of images, (n, classes), each passed once.

    Raises:
        ValueError: it is of another dataset, group or method than the student needs.
    """
    teacher, about, seen = load(path)
    needed = METHODS[run.method].teacher
    for what, found, expected in (
        ("method", about.method, needed),
        ("group", about.group, run.group),
        *((key, seen[key], data[key]) for key in DATA),
    ):
        if found != expected:
            raise ValueError(f"the teacher {path} has {what} {found}: expected {expected}")
    return logits_of(teacher.to(examples.pixels.device), examples).clone()  # an ordinary tensor


def _steps(
    model: Classifier,
    run: ImageRun,
    examples: Images,
    validation: Images,
    known: cache.Orbits | None,
) -> tuple[Callable[[Tensor], Tensor], Callable[[], float]]:
    """What a training step computes for rows of the training part, and the validation score."""
    augment = run.method in AUGMENTED
    if not run.frozen or model.chooses_by_input:
        action = image_action(run.group) if augment else None
        layout = run.model.channels_last
        logits = from_pixels(model, examples, action, channels_last=layout)
        return logits, lambda: accuracy(predict(model, validation), validation)
    groupless = run.group == IDENTITY
    action = Trivial(CyclicGroup(1)) if groupless else image_action(run.group)

    def orbits(images: Images) -> cache.Rows | None:
        if known is None:
            return None
        return known.upright(images) if groupless else known.of(images)

    logits = from_orbits(model, examples, action, augment, orbits(examples))
    validated = from_orbits(model, validation, action, augment=False, orbits=orbits(validation))

    def score() -> float:
        with torch.no_grad():
            everything = torch.arange(len(validation), device=validation.labels.device)
            return accuracy(validated(everything).argmax(1), validation)

    return logits, score
