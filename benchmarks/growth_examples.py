"""What the rules do with examples, for benchmarks/growth.py, by how many there are.

Datasets are built, and models evaluated, by the functions that the rules' commands call, from files
to files; models are trained by the one training loop, on what the experiments train on.
"""

import math
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import image_cost
import torch
from growth_cases import CLASSES, JUMP, NETWORK, Growth, Sizes, Work, noise, weights
from PIL import Image
from torch.nn import functional as F

from equitune.config import ImageModel, Seq2SeqModel, Training
from equitune.image import cli as image_commands
from equitune.image import evaluation as image_evaluation
from equitune.image import experiment as image_experiment
from equitune.image.data import Images, load_dataset, save_dataset
from equitune.image.features import from_pixels
from equitune.image.run import ImageRun
from equitune.run.batches import length_buckets
from equitune.run.job import Job
from equitune.run.loop import Objective, fit
from equitune.scan import cli as scan_commands
from equitune.scan import evaluation as scan_evaluation
from equitune.scan import experiment as scan_experiment
from equitune.scan.data import Pairs
from equitune.scan.grammar import commands
from equitune.scan.models import build
from equitune.scan.run import ScanRun

SIDE = 32  # of the images
CYCLES = "jump_run=commands=jump+run,actions=I_JUMP+I_RUN"
PLAN = Training(steps=1, batch_size=32, learning_rate=1e-3, optimizer="adamw")
ENOUGH = 100  # examples to train on where those of the test part grow


def grown(
    experiment: str, model: str, what: str, detail: str, order: int, works: dict[int, Work], **more
) -> Growth:
    """Works that differ in the number of examples, of which time should grow at most in step."""
    named = {"experiment": experiment, "model": model, "what": what, "detail": detail}
    return Growth(variable="examples", order=order, works=works, at_most=1, **named, **more)


def epoch(model: torch.nn.Module, count: int, objective: Objective) -> Work:
    """One pass of the training loop over examples."""
    plan = replace(PLAN, steps=math.ceil(count / PLAN.batch_size))
    return Work(partial(fit, model, plan, objective, seed=0), weights(model))


def scan_examples(sizes: Sizes, folder: Path) -> Iterator[Growth]:
    """A dataset of pairs is built, a model is trained for an epoch and evaluated."""
    pairs = list(commands())
    shuffled = torch.randperm(len(pairs), generator=torch.Generator().manual_seed(0)).tolist()
    pairs = [pairs[row] for row in shuffled]

    def write(place: Path, train: int, test: int) -> None:
        place.mkdir()
        for name, some in (("train", pairs[:train]), ("test", pairs[train : train + test])):
            lines = [f"IN: {command} OUT: {actions}\n" for command, actions in some]
            (place / f"{name}.txt").write_text("".join(lines), encoding="utf-8")

    def build_dataset(place: Path) -> None:
        scan_commands.dataset(
            place / "train.txt",
            place / "test.txt",
            task="growth",
            seed=0,
            validation_fraction=0.2,
            output=place / "dataset.safetensors",
            permutation=[CYCLES],
        )

    works = {}
    for count in sizes.lines:
        place = folder / f"lines{count}"
        write(place, 4 * count // 5, count - 4 * count // 5)
        works[count] = Work(partial(build_dataset, place))
    yield grown("scan", "lines of text", "build dataset", "a fifth for testing", 1, works)

    works = {count: _scan_epoch(Pairs.encode(pairs[:count])) for count in sizes.pairs}
    yield grown("scan", "LSTM", "train for an epoch", "batch 32", 2, works)

    base = ScanRun(architecture="LSTM", seed=0, model=Seq2SeqModel(), training=PLAN)
    tuned = replace(base, method="equitune", group="jump_run", permutation=JUMP)
    first, last = (folder / f"scan_{name}" / "model.safetensors" for name in ("base", "tuned"))
    works = {}
    for count in sizes.commands:
        place = folder / f"commands{count}"
        write(place, ENOUGH, count)
        build_dataset(place)
        dataset, output = place / "dataset.safetensors", place / "evaluation.csv"
        works[count] = Work(
            partial(scan_evaluation.evaluate, dataset, [last], JUMP, output, device="cpu")
        )
    scan_experiment.pretrain(base, dataset, Job(output=first, device="cpu"))
    scan_experiment.tune(tuned, dataset, first, Job(output=last, device="cpu"))
    yield grown("scan", "LSTM", "evaluate", f"{ENOUGH} more to train on", 2, works)


def _scan_epoch(pairs: Pairs) -> Work:
    model = build("LSTM", Seq2SeqModel(), "equitune", JUMP)
    objective = Objective(
        epoch=lambda generator: length_buckets(pairs.lengths, PLAN.batch_size, generator),
        loss=lambda rows: scan_experiment.sequence_loss(model, pairs[rows]),
        validate=lambda: 0.0,
    )
    return epoch(model, len(pairs), objective)


def image_examples(sizes: Sizes, folder: Path) -> Iterator[Growth]:
    """A dataset is built and loaded, a model is trained for an epoch and evaluated."""
    detail = f"{SIDE} px"
    works = {}
    for count in sizes.files:
        files, output = folder / f"files{count}", folder / f"built{count}.safetensors"
        write_files(noise(count, SIDE), files)
        source = f"kind=folder,size={SIDE},location={files}"
        works[count] = Work(
            partial(image_commands.dataset, source, "growth", 0, 0.15, output=output)
        )
    yield grown("image", "PNG files", "build dataset", detail, 1, works)

    works = {count: Work(partial(_read, _stored(folder, count))) for count in sizes.stored}
    yield grown("image", "safetensors", "load dataset", detail, 1, works, memory=False)

    works = {count: _image_epoch(noise(count, SIDE)) for count in sizes.images}
    yield grown("image", NETWORK, "train for an epoch", f"{detail}, batch 32", 4, works)

    base = ImageRun(architecture=NETWORK, seed=0, model=ImageModel(), training=PLAN)
    tuned = replace(base, method="equitune", group="rotate90")
    first, last = (folder / f"image_{name}" / "model.safetensors" for name in ("base", "tuned"))
    works = {}
    for count in sizes.tested:
        dataset, moved = _stored(folder, count), folder / f"moved{count}.safetensors"
        image_commands.transform(dataset, "rotate90", 0, moved)
        outputs = {
            name: folder / f"{name}{count}.csv"
            for name in ("output", "elements", "examples", "scores")
        }
        run = partial(image_evaluation.evaluate, dataset, [moved], [last], device="cpu", **outputs)
        works[count] = Work(run)
    image_experiment.pretrain(base, dataset, Job(output=first, device="cpu"))
    image_experiment.tune(tuned, dataset, first, Job(output=last, device="cpu"))
    yield grown("image", NETWORK, "evaluate", f"{detail}, {ENOUGH} more to train on", 4, works)


def write_files(images: Images, folder: Path) -> None:
    """Write images as PNG into a folder for each class."""
    for row, (pixels, label) in enumerate(zip(images.pixels, images.labels, strict=True)):
        path = folder / f"class{int(label)}" / f"{row}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(path)


def _stored(folder: Path, count: int) -> Path:
    """A dataset with so many images in its test part, and few in the others."""
    path = folder / f"stored{count}.safetensors"
    parts = {"train": noise(ENOUGH, SIDE), "validation": noise(CLASSES, SIDE)}
    classes = [f"class{label}" for label in range(CLASSES)]
    facts = {"dataset": "growth", "size": SIDE, "upsample": 1, "seed": 0}
    save_dataset(path, parts | {"test": noise(count, SIDE)}, classes, **facts)
    return path


def _read(path: Path) -> None:
    """Load a dataset and look at every pixel, as a file that is loaded is mapped at first.

    A copy would be timed with its own memory, which the C library asks for anew beyond 32 MiB.
    """
    for images in load_dataset(path)[0].values():
        images.pixels.max()


def _image_epoch(images: Images) -> Work:
    model = image_cost.classifier(NETWORK, SIDE, "rotate90")
    logits = from_pixels(model, images, None)
    objective = Objective(
        epoch=lambda draws: image_experiment.batches(len(images), PLAN.batch_size, draws),
        loss=lambda rows: F.cross_entropy(logits(rows), images.labels[rows]),
        validate=lambda: 0.0,
    )
    return epoch(model, len(images), objective)
