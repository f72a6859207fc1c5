"""Works of several sizes for benchmarks/growth.py, each with all else kept the same."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import image_cost
import torch
from scan_cost import training_pass
from torch import nn

from equitune.actions import (
    Action,
    Compose,
    CubeRotations,
    Flip,
    Rotate90,
    RotateFlip,
    TokenPermutation,
    Trivial,
)
from equitune.config import Permutation, Seq2SeqModel, Training
from equitune.groups import CyclicGroup
from equitune.image.data import Images
from equitune.language.models import EquiCausalLM
from equitune.scan.data import Pairs
from equitune.scan.grammar import commands
from equitune.scan.models import build
from equitune.symmetrize import EquiTuned

from transformers import GPT2Config, GPT2LMHeadModel  # isort: skip  equitune prepares its import


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How much is measured; of each the smallest first.

    Attributes:
        orders: of the group.
        volume: side of the volumes that it moves.
        lines: of SCAN, of which a dataset is built.
        pairs: of SCAN, on which a model is trained for an epoch.
        commands: of SCAN, on which a model is evaluated.
        files: PNG files, of which a dataset is built.
        stored: images of a dataset that is loaded.
        images: on which a model is trained for an epoch.
        tested: images on which a model is evaluated.
        vocabulary: ids of a language model.
        sides: of images in pixels.
        hidden: widths of SCAN's LSTM.
        multipliers: of the widths of MobileNetV2.
        widths: of GPT-2.
    """

    orders: tuple[int, ...] = (1, 2, 4, 8, 16, 24, 48)
    volume: int = 16
    lines: tuple[int, ...] = (2500, 5000, 10000, 20000)
    pairs: tuple[int, ...] = (128, 256, 512, 1024)
    commands: tuple[int, ...] = (2000, 4000, 8000, 16000)
    files: tuple[int, ...] = (200, 400, 800, 1600)
    stored: tuple[int, ...] = (5000, 10000, 20000)
    images: tuple[int, ...] = (64, 128, 256)
    tested: tuple[int, ...] = (400, 800, 1600, 3200)
    vocabulary: tuple[int, ...] = (8192, 16384, 32768, 65536, 131072)
    sides: tuple[int, ...] = (64, 128, 192, 256)
    hidden: tuple[int, ...] = (64, 128, 256, 512)
    multipliers: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0)
    widths: tuple[int, ...] = (128, 256, 512, 1024)


TINY = Sizes(
    orders=(1, 48),
    volume=4,
    lines=(40, 80),
    pairs=(32, 64),
    commands=(40, 80),
    files=(40, 80),
    stored=(40, 80),
    images=(32, 64),
    tested=(40, 80),
    vocabulary=(64, 128),
    sides=(32, 64),
    hidden=(4, 8),
    multipliers=(0.1, 0.2),
    widths=(8, 16),
)
ACTIONS: dict[int, Callable[[], Action]] = {  # groups of a cube, by their orders
    1: lambda: Trivial(CyclicGroup(1)),
    2: Flip,
    4: Rotate90,
    8: RotateFlip,
    16: lambda: Compose(RotateFlip(), Flip(-3)),
    24: CubeRotations,
    48: lambda: CubeRotations(reflections=True),
}
NETWORK = "shufflenet_v2_x0_5"  # the smallest of torchvision: what surrounds it is seen the best
CLASSES = 10  # of images
JUMP = Permutation(commands=[["jump", "run"]], actions=[["I_JUMP", "I_RUN"]])


class Work(NamedTuple):
    """A call to be measured, and what its memory is beside what it allocates."""

    run: Callable[[], object]
    held: int = 0  # bytes of weights that were there before
    times: int = 1  # calls until it holds the most: a second step has the optimizer's moments too
    steps: int | None = None  # that a call takes, where they are counted in seconds of the clock


@dataclass(frozen=True, kw_only=True)
class Growth:
    """Works that differ in one size.

    Attributes:
        variable: which size.
        experiment: "scan", "image" or "language".
        model: the architecture, or where data come from.
        what: is done.
        detail: the sizes that stay, in words.
        order: of the group; None: it is the size.
        works: by size.
        memory: whether torch and Python allocate what it takes; a file that is read is mapped.
        at_most: aim for the slope of time.
        note: why it cannot be measured, if so.
    """

    variable: str
    experiment: str
    model: str
    what: str
    detail: str
    order: int | None
    works: Mapping[int, Work]
    memory: bool = True
    at_most: float | None = None
    note: str | None = None

    def setting(self, size: object) -> str:
        """The setting of a row, in words."""
        return f"{self.variable} {size}, {self.detail}"


def weights(model: nn.Module) -> int:
    """Bytes of a model's weights."""
    return sum(tensor.nbytes for tensor in (*model.parameters(), *model.buffers()))


def noise(count: int, size: int) -> Images:
    """Random images, their classes in turn."""
    pixels = torch.randint(256, (count, 3, size, size), dtype=torch.uint8)
    return Images(pixels, torch.arange(count) % CLASSES)


def inference(model: nn.Module, *inputs: Any) -> Work:
    """A forward pass without gradients."""

    def run() -> None:
        with torch.inference_mode():
            model(*inputs)

    model.eval()
    return Work(run, weights(model))


def order(sizes: Sizes, _: Path, batch: int = 4) -> Iterator[Growth]:
    """A training step of a network on volumes, by the order of the group that moves them."""
    side = sizes.volume
    volumes = Images(torch.randn(batch, 1, side, side, side), torch.arange(batch) % CLASSES)

    def step(action: Action, chunk_size: int | None) -> Work:
        torch.manual_seed(0)
        network = nn.Sequential(
            nn.Conv3d(1, 8, 3, padding=1),
            nn.ReLU(),
            nn.Conv3d(8, 16, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.AdaptiveAvgPool3d(1),
            nn.Flatten(),
            nn.Linear(16, CLASSES),
        )
        model = EquiTuned(network, action, Trivial(action.group), chunk_size=chunk_size)
        run = image_cost.training(model, volumes, lambda rows: model(volumes.pixels[rows]), batch)
        return Work(run, weights(model), times=2)

    for chunk_size, how in ((None, "all copies at once"), (1, "chunk_size 1")):
        yield Growth(
            variable="|G|",
            experiment="image",
            model="3-D network",
            what=f"training step, {how}",
            detail=f"volumes of side {side}, batch {batch}",
            order=None,
            works={n: step(ACTIONS[n](), chunk_size) for n in sizes.orders},
        )


def gpt2(words: int, width: int, layers: int) -> EquiCausalLM:
    """A GPT-2 of random weights with two ids that change places."""
    torch.manual_seed(0)
    settings = {"n_layer": layers, "n_head": 2, "n_embd": width, "n_positions": 32}
    settings |= {"bos_token_id": 0, "eos_token_id": 0}
    permutation = torch.arange(words)
    permutation[[2, 3]] = torch.tensor([3, 2])
    plain = GPT2LMHeadModel(GPT2Config(vocab_size=words, **settings))
    return EquiCausalLM.wrap(plain, TokenPermutation.generated_by(permutation))


def prompts_of(count: int, length: int, words: int) -> torch.Tensor:
    """Random prompts, (count, length) ids: each has a word that moves, so no two copies are one."""
    ids = torch.randint(4, words, (count, length))
    ids[:, 1] = 2
    return ids


def vocabulary(sizes: Sizes, _: Path, prompts: int = 8, length: int = 16) -> Iterator[Growth]:
    """The mean of a language model over two copies; its network is small beside its head."""
    ids = prompts_of(prompts, length, sizes.vocabulary[0])
    yield Growth(
        variable="vocabulary",
        experiment="language",
        model="GPT-2 of width 64",
        what="logits of all positions",
        detail=f"{prompts} prompts of {length} tokens, 1 layer",
        order=2,
        works={words: inference(gpt2(words, 64, 1), ids) for words in sizes.vocabulary},
    )


def image_side(sizes: Sizes, _: Path, batch: int = 4, name: str = NETWORK) -> Iterator[Growth]:
    """Forward pass and training step of an equi-tuned network, by the side of the images."""
    steps, passes = {}, {}
    for side in sizes.sides:
        images = noise(batch, side)
        model = image_cost.classifier(name, side, "rotate90")
        passes[side] = inference(model, images.pixels.float() / 255)
        model = image_cost.classifier(name, side, "rotate90")
        steps[side] = Work(image_cost.training_step(model, images), weights(model), times=2)
    for what, works in (("forward pass", passes), ("training step", steps)):
        yield Growth(
            variable="image side",
            experiment="image",
            model=name,
            what=what,
            detail=f"batch {batch}",
            order=4,
            works=works,
        )


def model_size(sizes: Sizes, _: Path, batch: int = 16, side: int = 64) -> Iterator[Growth]:
    """Models of each experiment, by the number of their parameters as their widths grow."""
    pairs = Pairs.encode([*commands()][-batch:])
    images, ids = noise(batch // 4, side), prompts_of(batch, 16, 64)
    plan = Training(steps=1, batch_size=batch, learning_rate=1e-3)

    def lstm(width: int) -> tuple[nn.Module, Work]:
        settings = Seq2SeqModel(embedding=width, hidden=width)
        model = build("LSTM", settings, "equitune", JUMP)
        return model, Work(training_pass(model, pairs, plan), weights(model), times=2)

    def mobilenet(multiplier: float) -> tuple[nn.Module, Work]:
        options = {"width_mult": multiplier}
        model = image_cost.classifier("mobilenet_v2", side, "rotate90", options=options)
        return model, Work(image_cost.training_step(model, images), weights(model), times=2)

    def language(width: int) -> tuple[nn.Module, Work]:
        model = gpt2(64, width, 2)
        return model, inference(model, ids)

    made: tuple[tuple[str, str, str, str, int, Any, Any], ...] = (
        ("scan", "LSTM", "training step", f"batch {batch}", 2, lstm, sizes.hidden),
        (
            *("image", "mobilenet_v2", "training step", f"{side} px, batch {batch // 4}"),
            *(4, mobilenet, sizes.multipliers),
        ),
        (
            *("language", "GPT-2 of 2 layers", "logits of all positions"),
            *(f"{batch} prompts of 16 tokens", 2, language, sizes.widths),
        ),
    )
    for experiment, name, what, detail, group, make, widths in made:
        models = [make(width) for width in widths]
        yield Growth(
            variable="parameters",
            experiment=experiment,
            model=name,
            what=what,
            detail=detail,
            order=group,
            works={sum(p.numel() for p in model.parameters()): work for model, work in models},
        )
