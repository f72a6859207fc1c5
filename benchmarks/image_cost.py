"""What invariance costs the image experiment in time and memory, against plain models.

All sides of a measurement run in one process on one thread, in turns. What is reported is the
median over the rounds of the ratio within a round, so that a noisy machine does not decide it.
Seconds are those of the processor: on an idle machine the clock's, on a shared one without the
waiting. Bytes are those that torch allocates, as its profiler records every block: the same in
every run, unlike the memory of the process, in which the C library keeps what was freed. Models
have random weights, which cost what trained ones do. The rule image_benchmark runs this; `--help`
tells how to run it by hand.
"""

import argparse
import gc
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import cache, partial
from itertools import chain
from pathlib import Path
from typing import Any

import image_peers
import numpy as np
import pandas as pd
import torch
from timing import processor
from torch import Tensor, nn
from torch.nn import functional as F
from torch.profiler import ProfilerActivity, profile

from equitune.actions import Action, Rotate90, Trivial
from equitune.config import Training
from equitune.equivariance import equivariance_error
from equitune.files import atomic_write
from equitune.groups import CyclicGroup
from equitune.image.data import Images, image_action
from equitune.image.features import from_orbits, from_pixels
from equitune.image.models import Classifier, build
from equitune.image.sources import read_digits
from equitune.training import make_optimizer

ARCHITECTURES = ("resnet18", "alexnet")
CLASSES = 10
EPOCH, EPOCH_BATCH = 512, 32  # digits, and of these in a step
GROUPS = ("identity", "flip", "rotate90", "rotate_flip")
TRAINING = Training(
    steps=1, batch_size=EPOCH_BATCH, learning_rate=1e-3, optimizer="sgd", schedule="constant"
)
BFLOAT16 = ("avx512_bf16", "amx_bf16")  # what a processor must have for it to be of use

Row = dict[str, Any]


@cache
def digits(size: int) -> Images:
    """The images of an epoch, at a size in pixels."""
    return read_digits(size)[0][torch.arange(EPOCH)]


def seconds(work: Callable[[], object]) -> float:
    """Seconds that the processor spends on one call."""
    began = time.process_time()
    work()
    return time.process_time() - began


def alternate(works: Sequence[Callable[[], object]], rounds: int) -> list[tuple[float, ...]]:
    """Seconds of every work in every round, after one that is not counted."""
    times = [tuple(seconds(work) for work in works) for _ in range(rounds + 1)]
    return times[1:]


def row(
    measurement: str,
    model: tuple[str, int, str],
    sides: tuple[str, str],
    samples: Sequence[tuple[float, float]],
    unit: str = "seconds",
) -> Row:
    """A row of the table.

    Args:
        measurement: its name.
        model: architecture, size of the images in pixels, group.
        sides: what is measured, and what it is divided by.
        samples: both, for each round.
        unit: theirs.
    """
    ratios = [above / below for above, below in samples]
    numbers = {
        "ratio": statistics.median(ratios),
        "ratio_low": min(ratios),
        "ratio_high": max(ratios),
        "value": statistics.median(above for above, _ in samples),
        "denominator_value": statistics.median(below for _, below in samples),
    }
    return {
        "measurement": measurement,
        **dict(zip(("architecture", "size", "group"), model, strict=True)),
        **dict(zip(("numerator", "denominator"), sides, strict=True)),
        **{key: float(f"{number:.4g}") for key, number in numbers.items()},
        "unit": unit,
        "rounds": len(samples),
        "threads": torch.get_num_threads(),
        "machine": processor(),
    }


def group_action(name: str) -> Action:
    """How a group moves images, the identity included."""
    return Trivial(CyclicGroup(1)) if name == "identity" else image_action(name)


def classifier(architecture: str, size: int, group: str, **settings: Any) -> Classifier:
    """An equi-tuned model, or a plain one for the identity; its random weights are always alike."""
    torch.manual_seed(0)
    method = "finetune" if group == "identity" else "equitune"
    return build(architecture, method, group_action(group), size, CLASSES, **settings)


def training(
    model: nn.Module, images: Images, logits: Callable[[Tensor], Tensor], batch: int
) -> Callable[[], None]:
    """One pass over images in their order, a training step for each batch."""
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer, _ = make_optimizer(trained, TRAINING)
    model.train()

    def epoch() -> None:
        for rows in torch.split(torch.arange(len(images)), batch):
            optimizer.zero_grad(set_to_none=True)
            F.cross_entropy(logits(rows), images.labels[rows]).backward()
            optimizer.step()

    return epoch


def training_step(
    model: nn.Module, images: Images, precision: str = "float32", channels_last: bool = False
) -> Callable[[], None]:
    """One training step on all of the images, as the experiment does it."""
    if channels_last:
        model.to(memory_format=torch.channels_last)
    logits = from_pixels(model, images, None, precision, channels_last)
    return training(model, images, logits, len(images))


def peak_bytes(model: nn.Module, images: Images) -> int:
    """Most bytes a training step holds: weights, gradients, momentum, activations, copies."""
    step = training_step(model, images)
    gc.collect()  # what an earlier model leaves behind must not be freed while this is recorded
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
        step()
        step()  # only now with the momentum, which the first one made
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "trace.json"
        record.export_chrome_trace(str(trace))
        events = json.loads(trace.read_text())["traceEvents"]
    blocks = [(e["ts"], e["args"]) for e in events if e.get("name") == "[memory]"]
    first = min(blocks, key=lambda block: block[0])[1]
    before = first["Total Allocated"] - first["Bytes"]  # of earlier records
    held = sum(tensor.nbytes for tensor in chain(model.parameters(), model.buffers()))
    return held + max(block["Total Allocated"] for _, block in blocks) - before


def orbit_step(rounds: int, size: int = 64, batch: int = 8) -> list[Row]:
    """A training step on an orbit batch, against a plain one on as many images."""
    images, rotate = digits(size)[:batch], Rotate90()
    copies = Images(rotate.orbit(images.pixels).flatten(0, 1), images.labels.repeat(4))
    rows = []
    for name in ARCHITECTURES:
        equituned = training_step(classifier(name, size, "rotate90"), images)
        plain = training_step(classifier(name, size, "identity"), copies)
        sides = f"EquiTuned, batch {batch}", f"plain, batch {4 * batch}"
        samples = alternate([equituned, plain], rounds)
        rows.append(row("orbit_step", (name, size, "rotate90"), sides, samples))
    return rows


def chunk_memory(rounds: int, size: int = 64, batch: int = 32) -> list[Row]:
    """Peak memory of a training step, one copy after the other and all at once; no rounds."""
    rows = []
    for name in ARCHITECTURES:
        images = digits(size)[:batch]
        plain = peak_bytes(classifier(name, size, "identity"), images)
        for chunk, what in ((1, "chunk_size 1"), (None, "all copies at once")):
            peak = peak_bytes(classifier(name, size, "rotate90", chunk_size=chunk), images)
            sides = f"EquiTuned, {what}, batch {batch}", f"plain, batch {batch}"
            model = name, size, "rotate90"
            rows.append(row("chunk_memory", model, sides, [(peak, plain)], "bytes"))
    return rows


def frozen_epoch(rounds: int, name: str = "resnet18", size: int = 32) -> list[Row]:
    """An epoch of the head's training, on features computed once against every time anew."""
    images, rotate = digits(size), Rotate90()
    anew, once = (classifier(name, size, "rotate90", frozen=True) for _ in range(2))
    began = time.process_time()
    cached = from_orbits(once, images, rotate, augment=False)
    extraction = time.process_time() - began
    slow = training(anew, images, from_pixels(anew, images, None), EPOCH_BATCH)
    fast = training(once, images, cached, EPOCH_BATCH)
    slow()
    fast()
    weights = [nn.utils.parameters_to_vector(model.head.parameters()) for model in (anew, once)]
    difference = (weights[0] - weights[1]).abs().max().item()
    samples = alternate([slow, fast], rounds)
    model, recomputed = (name, size, "rotate90"), "epoch, features recomputed"
    extracted = [(extraction, epoch) for epoch, _ in samples]
    compared = [(difference, weights[0].abs().max().item())]
    return [
        row("frozen_epoch", model, (recomputed, "epoch, features cached"), samples),
        row("frozen_extraction", model, ("extraction of the features", recomputed), extracted),
        row(
            "frozen_difference",
            model,
            ("largest difference of the head's weights after an epoch", "largest weight"),
            compared,
            "weight",
        ),
    ]


def bf16_step(rounds: int, size: int = 224, batch: int = 4) -> list[Row]:
    """A training step in float32 against one in bfloat16, and in both memory layouts."""
    if not any(torch.cpu.get_capabilities().get(feature) for feature in BFLOAT16):
        sys.stderr.write(f"bf16_step left out: the processor has no {' or '.join(BFLOAT16)}\n")
        return []
    images = digits(size)[:batch]
    variants = [(kind, last) for kind in ("float32", "bfloat16") for last in (False, True)]
    rows = []
    for name in ARCHITECTURES:
        model, equituned = (name, size, "rotate90"), f"EquiTuned, batch {batch}"
        works = [training_step(classifier(*model), images, *each) for each in variants]
        times = dict(zip(variants, zip(*alternate(works, rounds), strict=True), strict=True))
        best = {
            kind: min((False, True), key=lambda last: statistics.median(times[kind, last]))
            for kind in ("float32", "bfloat16")
        }
        sides = tuple(f"{equituned}, {kind}, {_layout(best[kind])}" for kind in best)
        samples = list(zip(*(times[kind, best[kind]] for kind in best), strict=True))
        rows.append(row("bf16_step", model, sides, samples))
        for kind in best:
            sides = tuple(f"{equituned}, {kind}, {_layout(last)}" for last in (False, True))
            samples = list(zip(times[kind, False], times[kind, True], strict=True))
            rows.append(row("channels_last_step", model, sides, samples))
    return rows


def group_order(rounds: int, name: str = "resnet18", size: int = 64, batch: int = 16) -> list[Row]:
    """A forward pass for groups of order 1, 2, 4, 8, and the slope of the line through them."""
    images = digits(size)[:batch]
    models = [classifier(name, size, group).eval() for group in GROUPS]
    orders = [model.features.group.order for model in models]
    everything = torch.arange(batch)
    with torch.inference_mode():
        works = [partial(from_pixels(model, images, None), everything) for model in models]
        times = alternate(works, rounds)
    rows = [
        row(
            "group_order",
            (name, size, group),
            (f"forward pass, |G| = {order}, batch {batch}", "forward pass, |G| = 1"),
            [(each[place], each[0]) for each in times],
        )
        for place, (group, order) in enumerate(zip(GROUPS, orders, strict=True))
    ]
    sides = "slope of the seconds over |G|", "forward pass, |G| = 1"
    samples = [(float(np.polyfit(orders, each, 1)[0]), each[0]) for each in times]
    return [*rows, row("group_order_slope", (name, size, "all"), sides, samples)]


def peers(rounds: int, sizes: Sequence[int] = (32, 64, 65), batch: int = 16) -> list[Row]:
    """Images a second and invariance error of other ways to invariance, those that import."""
    rotate = Rotate90()
    rows = []
    for size in sizes:
        images = digits(size).pixels[:batch].float() / 255
        models = image_peers.models(size)
        with torch.inference_mode():
            times = alternate([partial(model, images) for model in models.values()], rounds)
        errors = [
            equivariance_error(model, rotate, Trivial(rotate.group), images).max().item()
            for model in models.values()
        ]
        for place, name in enumerate(models):
            if name == image_peers.PLAIN:  # all are compared with it
                continue
            model, sides = ("resnet18", size, "rotate90"), (name, image_peers.PLAIN)
            rates = [(batch / each[place], batch / each[0]) for each in times]
            rows.append(row("peer_rate", model, sides, rates, "images/second"))
            compared = [(errors[place], errors[0])]
            rows.append(row("peer_error", model, sides, compared, "relative error"))
    return rows


def _layout(channels_last: bool) -> str:
    """A memory layout's name."""
    return "channels last" if channels_last else "contiguous"


MEASUREMENTS: dict[str, Callable[[int], list[Row]]] = {
    each.__name__: each
    for each in (orbit_step, chunk_memory, frozen_epoch, bf16_step, group_order, peers)
}


def main() -> None:
    """Read the arguments, take the measurements, write the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=MEASUREMENTS, default=list(MEASUREMENTS))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for name in arguments.only:
        for found in MEASUREMENTS[name](arguments.rounds):
            sys.stderr.write(
                f"{found['measurement']} {found['architecture']} {found['size']}: "
                f"{found['numerator']} / {found['denominator']} = {found['ratio']}\n"
            )
            rows.append(found)
    with atomic_write(arguments.output) as temporary:
        pd.DataFrame(rows).to_csv(temporary, index=False)


if __name__ == "__main__":
    main()
