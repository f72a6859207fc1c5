"""All that is measured on a GPU, in one call; on a machine without one at sizes that only try it.

Images, tokens and sequences a second, peak memory, and whether resuming, locks and the halving of
copies hold on real CUDA. Ratios are of one process, in turns. The rule gpu_benchmarks runs this;
docs/gpu.md says what is measured.
"""

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import gpu_checks
import image_cost
import torch
from measuring import Row, alternate, command_line, processor, report, row
from scan_cost import training_pass
from torch import Tensor, nn

from equitune.actions import Rotate90, TokenPermutation
from equitune.config import Permutation, Seq2SeqModel, Training
from equitune.image.data import Images
from equitune.image.features import as_input, from_orbits, precise
from equitune.language.methods import load
from equitune.language.models import EquiCausalLM
from equitune.run import devices
from equitune.scan.data import Pairs
from equitune.scan.models import build

from transformers import GPT2Config, GPT2LMHeadModel  # isort: skip


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How much is measured.

    Attributes:
        networks: of torchvision.
        side: of the images in pixels.
        batch: images in a step; a quarter of those of the plain model.
        prompts: sequences that are continued at once.
        new_tokens: of each.
        gpt2: settings of the random language model, by default those of GPT-2 small.
        sequences: of SCAN's lengths, 128 in a step.
        compiler: the backend of torch.compile.
    """

    networks: tuple[str, ...] = ("resnet18", "alexnet", "vgg11_bn", "densenet121")
    side: int = 224
    batch: int = 64
    prompts: tuple[int, ...] = (32, 512)
    new_tokens: int = 32
    gpt2: tuple[tuple[str, int], ...] = ()
    sequences: int = 4096
    compiler: str = "inductor"


SIZES = {
    "full": Sizes(),
    "small": Sizes(
        networks=("resnet18",),
        side=32,
        batch=2,
        prompts=(2,),
        new_tokens=2,
        gpt2=(("n_embd", 16), ("n_layer", 1), ("n_head", 2), ("vocab_size", 64)),
        sequences=8,
        compiler="eager",
    ),
}
PRECISIONS = ("float32", "bfloat16")
SCAN = Seq2SeqModel(embedding=200, hidden=200)
JUMP = Permutation(commands=[["jump", "run"]], actions=[["I_JUMP", "I_RUN"]])


class Place:
    """Where it is measured, and how: a GPU answers before it is done."""

    def __init__(self, device: torch.device, sizes: Sizes, rounds: int, model: Path | None) -> None:
        self.device, self.sizes, self.rounds, self.model = device, sizes, rounds, model
        self.cuda = device.type == "cuda"
        self.facts = {"machine": self._machine()}

    def _machine(self) -> str:
        if not self.cuda:
            return f"{processor()} (no GPU: sizes that only try the script)"
        name, versions = torch.cuda.get_device_name(self.device), torch.version.cuda
        return f"{name} (CUDA {versions}, cuDNN {torch.backends.cudnn.version()})"

    def done(self) -> None:
        """Wait for all that was asked of the device."""
        if self.cuda:
            torch.cuda.synchronize(self.device)

    def times(self, works: Sequence[Callable[[], object]]) -> list[tuple[float, ...]]:
        """Seconds of the clock of every work in every round, waited for."""

        def waited(work: Callable[[], object]) -> None:
            work()
            self.done()

        return alternate([partial(waited, work) for work in works], self.rounds, time.perf_counter)

    def rates(self, works: Sequence[Callable[[], object]], counts: Sequence[int]) -> Any:
        """Examples a second of two works, for each round."""
        return [
            tuple(n / seconds for n, seconds in zip(counts, each, strict=True))
            for each in self.times(works)
        ]

    def peak(self, work: Callable[[], object]) -> int:
        """Most bytes that a work takes, of two calls; of a GPU's own count."""
        torch.cuda.reset_peak_memory_stats(self.device)
        work()
        work()
        self.done()
        return torch.cuda.max_memory_allocated(self.device)


def step_of(place: Place, model: nn.Module, images: Images, precision: str) -> Callable[[], None]:
    """A training step of a model, compiled or not, on all of the images."""

    def logits(rows: Tensor) -> Tensor:
        with precise(place.device, precision):
            given = as_input(images.pixels[rows], channels_last=True)
            output: Tensor = model(given)
        return output.float()

    return image_cost.training(model, images, logits, len(images))


def images(place: Place) -> Iterator[Row]:
    """(1) A training step: against a plain model on as many images, in both precisions."""
    sizes, rotate = place.sizes, Rotate90()
    few = image_cost.digits(sizes.side)[: sizes.batch].to(place.device)
    copies = Images(rotate.orbit(few.pixels).flatten(0, 1), few.labels.repeat(4))

    def made(name: str, group: str, compiled: bool) -> nn.Module:
        model = image_cost.classifier(name, sizes.side, group).to(place.device)
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        whole = torch.compile(model, backend=sizes.compiler) if compiled else model
        return whole  # type: ignore[return-value]

    for name in sizes.networks:
        for precision in PRECISIONS:
            setting = {"batch": sizes.batch, **place.facts}
            model = name, sizes.side, 4
            for compiled in (False, True):
                kind = f"{precision}, channels last, {'compiled' if compiled else 'eager'}"
                ours = step_of(place, made(name, "rotate90", compiled), few, precision)
                plain = step_of(place, made(name, "identity", compiled), copies, precision)
                sides = f"training step, {kind}", f"training step, plain, 4 times the batch, {kind}"
                samples = place.times([ours, plain])
                aim = {} if compiled else {"at_most": 1.05}
                yield image_cost.image_row("gpu_floor", model, sides, samples, **setting, **aim)
                counts = len(few), len(copies)
                rates = [
                    tuple(n / t for n, t in zip(counts, each, strict=True)) for each in samples
                ]
                yield image_cost.image_row(
                    "gpu_rate", model, sides, rates, "images/second", **setting
                )
                if compiled:
                    eager = step_of(place, made(name, "rotate90", False), few, precision)
                    rates = place.rates([ours, eager], [sizes.batch] * 2)
                    sides = f"training step, {kind}", "training step, eager"
                    yield image_cost.image_row(
                        "gpu_compiled", model, sides, rates, "images/second", **setting
                    )


def frozen(place: Place) -> Iterator[Row]:
    """(1) An epoch of the head on features computed once, against every time anew."""
    sizes, rotate = place.sizes, Rotate90()
    few = image_cost.digits(sizes.side)[: 4 * sizes.batch].to(place.device)
    for name in sizes.networks:
        anew, once = (
            image_cost.classifier(name, sizes.side, "rotate90", frozen=True).to(place.device)
            for _ in range(2)
        )
        slow = step_of(place, anew, few, "float32")
        cached = from_orbits(once.eval(), few, rotate, augment=False)
        fast = image_cost.training(once, few, cached, len(few))
        samples = place.times([slow, fast])
        sides = "epoch, features recomputed", "epoch, features cached"
        model = name, sizes.side, 4
        yield image_cost.image_row(
            "gpu_frozen", model, sides, samples, batch=len(few), **place.facts
        )


def memory(place: Place) -> Iterator[Row]:
    """(4) Peak memory of a training step with chunk_size, against a plain one of the same batch."""
    sizes = place.sizes
    few = image_cost.digits(sizes.side)[: sizes.batch].to(place.device)
    for name in sizes.networks:
        for chunk, what in ((None, "all copies at once"), (1, "chunk_size 1")):
            sides = f"training step, {what}", "training step, |G| = 1"
            samples, note = [], {"note": "bytes are those of a GPU: not measured"}
            if place.cuda:
                peaks = []
                for group, size in (("rotate90", chunk), ("identity", None)):
                    model = image_cost.classifier(name, sizes.side, group, chunk_size=size)
                    peaks.append(place.peak(step_of(place, model.to(place.device), few, "float32")))
                samples, note = [(float(peaks[0]), float(peaks[1]))], {}
            model_of = name, sizes.side, 4
            yield image_cost.image_row(
                "gpu_memory", model_of, sides, samples, "bytes", sizes.batch, **note, **place.facts
            )


def language(place: Place) -> Iterator[Row]:
    """(2) Tokens a second of mean and frame, against plain generation, in bfloat16."""
    models = {"GPT-2 small's size": GPT2LMHeadModel(GPT2Config(**dict(place.sizes.gpt2)))}
    if place.model is not None:
        models[place.model.name], _ = load(place.model, "cpu")
    for name, plain in models.items():
        plain = plain.to(place.device, torch.bfloat16).eval()
        image = torch.arange(plain.config.vocab_size)
        image[[10, 11]] = torch.tensor([11, 10])  # they stand in every prompt
        action = TokenPermutation.generated_by(image)
        fair = {kind: EquiCausalLM.wrap(plain, action, combine=kind) for kind in ("mean", "frame")}
        for count in place.sizes.prompts:
            ids = torch.randint(12, 60, (count, 8)).index_fill_(1, torch.tensor([2]), 10)
            ids, tokens = ids.to(place.device), count * place.sizes.new_tokens
            settings: dict[str, Any] = {
                "attention_mask": torch.ones_like(ids),
                "do_sample": True,
                "max_new_tokens": place.sizes.new_tokens,
                "min_new_tokens": place.sizes.new_tokens,
                "pad_token_id": 0,
            }
            for kind, model in fair.items():
                works = [partial(each.generate, ids, **settings) for each in (model, plain)]
                sides = f"generate, {kind}", "generate, plain"
                which = "language", name, f"{count} prompts, bfloat16", action.group.order
                yield row(
                    "gpu_language",
                    *which,
                    sides,
                    place.rates(works, [tokens] * 2),
                    "tokens/second",
                    **place.facts,
                )


def scan(place: Place) -> Iterator[Row]:
    """(3) Sequences a second of SCAN's networks in training, against plain ones on all copies."""
    count, draw = place.sizes.sequences, torch.Generator().manual_seed(0)
    sides = [torch.randint(2, top, (count, n), generator=draw) for top, n in ((15, 9), (8, 24))]
    pairs = Pairs(*sides).to(place.device)
    training = Training(steps=1, batch_size=128, learning_rate=1e-4)
    for name in ("RNN", "GRU", "LSTM"):
        model, plain = (
            build(name, SCAN, method, JUMP if method == "equitune" else Permutation([], []))
            for method in ("equitune", "pretrained")
        )
        works = [
            training_pass(model.to(place.device), pairs, training),
            training_pass(plain.to(place.device), pairs, training, copies=2),
        ]
        setting = f"{count} sequences, batch 128"
        labels = "training, equi-tuned", "training, plain, twice as many"
        yield row(
            "gpu_scan",
            "scan",
            name,
            setting,
            2,
            labels,
            place.rates(works, [count, 2 * count]),
            "sequences/second",
            **place.facts,
        )


def checks(place: Place) -> Iterator[Row]:
    """(5) Whether resuming, the locks of GPUs, and the halving of copies hold: 1 if so."""
    for name, check in gpu_checks.CHECKS.items():
        with tempfile.TemporaryDirectory() as folder:
            held = check(place.device, Path(folder)) if place.cuda or name == "resume" else None
        samples = [] if held is None else [(float(held), 1.0)]
        note = {"note": "needs a GPU: not measured"} if held is None else {}
        yield row(
            "gpu_checks",
            "image",
            "all",
            name,
            4,
            ("holds", "expected"),
            samples,
            "checks",
            at_least=1,
            **note,
            **place.facts,
        )


MEASUREMENTS = {each.__name__: each for each in (images, frozen, memory, language, scan, checks)}


def main() -> None:
    """Read the arguments, take the measurements, write the rows."""
    parser = command_line(__doc__)
    parser.add_argument("--only", nargs="+", choices=MEASUREMENTS, default=list(MEASUREMENTS))
    parser.add_argument("--sizes", choices=SIZES, help="full on a GPU, else small")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--language-model", type=Path, help="a folder of transformers")
    arguments = parser.parse_args()
    device = devices.prepare(arguments.device)
    sizes = SIZES[arguments.sizes or ("full" if device.type == "cuda" else "small")]
    place = Place(device, sizes, arguments.rounds, arguments.language_model)
    taken = (MEASUREMENTS[name](place) for name in arguments.only)
    report(chain.from_iterable(taken), arguments.output)


if __name__ == "__main__":
    main()
