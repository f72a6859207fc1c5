"""What invariance costs the image experiment in time and memory, against plain models.

Bytes are those that torch allocates, as its profiler records every block: the same in every run,
unlike the memory of the process, in which the C library keeps what was freed. Models have random
weights, which cost what trained ones do. The rule measure_image_cost runs this; `--help` tells how
to run it by hand.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from itertools import chain
from typing import Any

import image_peers
import numpy as np
import torch
from measuring import Row, alternate, command_line, middle, most_allocated, report, row
from torch import Tensor, nn
from torch.nn import functional as F

from equitune.actions import Action, Rotate90, Trivial
from equitune.config import Training
from equitune.config.image_groups import IMAGE_GROUPS
from equitune.equivariance import equivariance_error
from equitune.groups import CyclicGroup
from equitune.image.data import Images, image_action
from equitune.image.features import from_orbits, from_pixels
from equitune.image.models import Classifier, build
from equitune.image.sources import read_digits
from equitune.run.optimizers import make_optimizer

ARCHITECTURES = ("resnet18", "alexnet")
# the default run's, with the side in pixels at which each computes
SIDES = {"alexnet": 64, "resnet18": 32, "vgg11_bn": 32, "densenet121": 32}
CLASSES = 10
EPOCH, EPOCH_BATCH = 512, 32  # digits, and of these in a step
GROUPS = {"identity": 1} | {
    name: len(group.elements)
    for name, group in sorted(IMAGE_GROUPS.items(), key=lambda item: len(item[1].elements))
}  # with their orders
TRAINING = Training(
    steps=1, batch_size=EPOCH_BATCH, learning_rate=1e-3, optimizer="sgd", schedule="constant"
)
BFLOAT16 = ("avx512_bf16", "amx_bf16")  # what a processor must have for it to be of use


@cache
def digits(size: int) -> Images:
    """The images of an epoch, at a size in pixels."""
    return read_digits(size)[0][torch.arange(EPOCH)]


def image_row(
    benchmark: str,
    model: tuple[str, int, int],
    sides: tuple[str, str],
    samples: Sequence[tuple[float, float]],
    unit: str = "seconds",
    batch: int | None = None,
    **more: Any,
) -> Row:
    """A row of the table for a model: architecture, size of the images in pixels, group's order."""
    name, size, order = model
    setting = f"{size} px" + (f", batch {batch}" if batch else "")
    return row(benchmark, "image", name, setting, order, sides, samples, unit, **more)


def group_action(name: str) -> Action:
    """How a group moves images, the identity included."""
    return Trivial(CyclicGroup(1)) if name == "identity" else image_action(name)


def classifier(architecture: str, size: int, group: str, **settings: Any) -> Classifier:
    """An equi-tuned model, or a plain one for the identity; its random weights are always alike."""
    torch.manual_seed(0)
    method = "finetune" if group == "identity" else "equitune"
    return build(architecture, method, group_action(group), size, classes=CLASSES, **settings)


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

    def twice() -> None:
        step()
        step()  # only now with the momentum, which the first one made

    held = sum(tensor.nbytes for tensor in chain(model.parameters(), model.buffers()))
    return held + most_allocated(twice)


def floor(rounds: int, size: int = 64, batch: int = 8) -> Iterator[Row]:
    """A training step on an orbit batch, against a plain one on as many images."""
    images, rotate = digits(size)[:batch], Rotate90()
    copies = Images(rotate.orbit(images.pixels).flatten(0, 1), images.labels.repeat(4))
    sides = "training step", "training step, plain, |G| times the batch"
    for name in ARCHITECTURES:
        equituned = training_step(classifier(name, size, "rotate90"), images)
        plain = training_step(classifier(name, size, "identity"), copies)
        samples = alternate([equituned, plain], rounds)
        yield image_row("floor", (name, size, 4), sides, samples, batch=batch, at_most=1.05)


def order(rounds: int, name: str = "resnet18", size: int = 64, batch: int = 16) -> Iterator[Row]:
    """Forward pass and training step for groups of order 1, 2, 4, 8; the slope of a line."""
    images = digits(size)[:batch]
    everything = torch.arange(batch)
    models = [classifier(name, size, group) for group in GROUPS]
    passes = [partial(from_pixels(model, images, None), everything) for model in models]
    with torch.inference_mode():
        for model in models:
            model.eval()
        forward = alternate(passes, rounds)
    steps = alternate([training_step(model, images) for model in models], rounds)
    orders = list(GROUPS.values())
    for what, times in (("forward pass", forward), ("training step", steps)):
        for place, count in enumerate(orders):
            samples = [(each[place], each[0]) for each in times]
            sides = what, f"{what}, |G| = 1"
            yield image_row("order", (name, size, count), sides, samples, batch=batch)
        slopes = [(float(np.polyfit(orders, each, 1)[0]), each[0]) for each in times]
        sides = f"slope of a {what} over |G|", f"{what}, |G| = 1"
        yield image_row("order", (name, size, orders[-1]), sides, slopes, batch=batch)


def memory(_: int, size: int = 64, batch: int = 32) -> Iterator[Row]:
    """Peak memory of a training step, all copies at once and one after the other; no rounds."""
    images = digits(size)[:batch]
    for name in ARCHITECTURES:
        plain = peak_bytes(classifier(name, size, "identity"), images)
        for group, count in GROUPS.items():
            for chunk, what in ((None, "all copies at once"), (1, "chunk_size 1")):
                peak = peak_bytes(classifier(name, size, group, chunk_size=chunk), images)
                sides = f"training step, {what}", "training step, |G| = 1"
                aim = {"at_most": 1.3} if chunk and group == "rotate90" else {}
                model = name, size, count
                yield image_row("memory", model, sides, [(peak, plain)], "bytes", batch, **aim)


def frozen(rounds: int, name: str = "resnet18", size: int = 32) -> Iterator[Row]:
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
    model, recomputed = (name, size, 4), "epoch, features recomputed"
    sides = recomputed, "epoch, features cached"
    yield image_row("frozen", model, sides, samples, batch=EPOCH_BATCH, at_least=100)
    extracted = [(extraction, epoch) for epoch, _ in samples]
    sides = "extraction of the features", recomputed
    yield image_row("frozen", model, sides, extracted, batch=EPOCH_BATCH)
    compared = [(difference, weights[0].abs().max().item())]
    sides = "largest difference of the head's weights after an epoch", "largest weight"
    yield image_row("frozen", model, sides, compared, "weight", EPOCH_BATCH, at_most=1e-6)


def precision(rounds: int, size: int = 224, batch: int = 4) -> Iterator[Row]:
    """A training step in float32 against one in bfloat16, and in both memory layouts."""
    images = digits(size)[:batch]
    capable = any(torch.cpu.get_capabilities().get(feature) for feature in BFLOAT16)
    kinds = ("float32", "bfloat16") if capable else ("float32",)
    variants = [(kind, last) for kind in kinds for last in (False, True)]
    for name in ARCHITECTURES:
        model = name, size, 4
        works = [training_step(classifier(name, size, "rotate90"), images, *v) for v in variants]
        times = dict(zip(variants, zip(*alternate(works, rounds), strict=True), strict=True))
        for kind in kinds:
            sides = f"training step, {kind}, contiguous", f"training step, {kind}, channels last"
            samples = list(zip(times[kind, False], times[kind, True], strict=True))
            yield image_row("precision", model, sides, samples, batch=batch)
        best = [min((times[kind, last] for last in (False, True)), key=middle) for kind in kinds]
        samples = list(zip(*best, strict=True)) if capable else []
        note = {} if capable else {"note": f"the processor has no {' or '.join(BFLOAT16)}"}
        sides = tuple(f"training step, {kind}, better layout" for kind in ("float32", "bfloat16"))
        yield image_row("precision", model, sides, samples, batch=batch, at_least=2.5, **note)


def layout(rounds: int, batch: int = 32) -> Iterator[Row]:
    """A training step of every network in both memory layouts, plain and equi-tuned."""
    sides = "training step, contiguous", "training step, channels last"
    for name, size in SIDES.items():
        images = digits(size)[:batch]
        for group in ("identity", "rotate90"):
            works = [
                training_step(classifier(name, size, group), images, channels_last=last)
                for last in (False, True)
            ]
            model, samples = (name, size, GROUPS[group]), alternate(works, rounds)
            yield image_row("layout", model, sides, samples, batch=batch)


def peers(rounds: int, sizes: Sequence[int] = (32, 64, 65), batch: int = 16) -> Iterator[Row]:
    """Images a second and invariance error of others' ways to invariance, those that import."""
    rotate = Rotate90()
    for size in sizes:
        images = digits(size).pixels[:batch].float() / 255
        models, absent = image_peers.models(size)
        with torch.inference_mode():
            times = alternate([partial(model, images) for model in models.values()], rounds)
        errors = {
            name: equivariance_error(model, rotate, Trivial(rotate.group), images).max().item()
            for name, model in models.items()
        }
        model, places = ("resnet18", size, 4), {name: place for place, name in enumerate(models)}
        references = {image_peers.PLAIN, *image_peers.REFERENCES.values()}
        for name in (name for name in models if name not in references):
            sides = name, image_peers.REFERENCES.get(name, image_peers.PLAIN)
            rates = [tuple(batch / each[places[side]] for side in sides) for each in times]
            yield image_row("peer_rate", model, sides, rates, "images/second", batch)
            compared = [(errors[sides[0]], errors[sides[1]])]
            yield image_row("peer_error", model, sides, compared, "relative error", batch)
        for name, why in absent.items():
            sides = name, image_peers.PLAIN
            yield image_row("peer_rate", model, sides, [], "images/second", batch, note=why)


def canonical(rounds: int, name: str = "resnet18", size: int = 32) -> Iterator[Row]:
    """A forward pass of the copy that is chosen by the input, and of all, against the plain one."""
    images, model, rotate = digits(size)[:64], (name, size, 4), Rotate90()
    plain = classifier(name, size, "identity").eval()
    chosen = build(name, "canonical", rotate, size, classes=CLASSES).eval()
    models = [chosen, classifier(name, size, "rotate90").eval(), plain]
    passes = [partial(from_pixels(each, images, None), torch.arange(64)) for each in models]
    with torch.inference_mode():
        times = alternate(passes, rounds)
    what = "forward pass, plain"
    for place, (side, aim) in enumerate((("canonicalized", {"at_most": 1.3}), ("equi-tuned", {}))):
        samples = [(each[place], each[2]) for each in times]
        yield image_row(
            "canonical", model, (f"forward pass, {side}", what), samples, batch=64, **aim
        )
    keep, pixels = Trivial(rotate.group), images.pixels.float() / 255
    errors = [
        equivariance_error(each, rotate, keep, pixels).max().item() for each in (chosen, plain)
    ]
    sides = "invariance error, canonicalized", "invariance error, plain"
    yield image_row("canonical", model, sides, [(errors[0], errors[1])], "relative error", 64)


MEASUREMENTS: dict[str, Callable[[int], Iterator[Row]]] = {
    each.__name__: each
    for each in (floor, order, memory, frozen, precision, layout, canonical, peers)
}


def main() -> None:
    """Read the arguments, take the measurements, write the rows."""
    parser = command_line(__doc__)
    parser.add_argument("--only", nargs="+", choices=MEASUREMENTS, default=list(MEASUREMENTS))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    taken = (MEASUREMENTS[name](arguments.rounds) for name in arguments.only)
    report(chain.from_iterable(taken), arguments.output)


if __name__ == "__main__":
    main()
