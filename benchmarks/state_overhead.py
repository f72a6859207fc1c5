"""What writing the state costs training: seconds of one write, as a share of save_seconds.

The training loop itself trains each model for a few steps and writes its state after every one. The
loss is the sum of the weights: what is written, weights, the optimizer's moments and the best
weights, is as large as in real training, and no data are needed. Seconds are the clock's, as a disk
is waited for. Beside them stands what trained models report of their own training. The rule
measure_checkpoint_cost runs this; `--help` tells how to run it by hand.
"""

import json
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from measuring import Row, command_line, report, row, seconds
from torch import nn

from equitune import config as configuration
from equitune.config import Config, Training
from equitune.image import models as image
from equitune.image.data import image_action
from equitune.io.resources import DEFAULTS
from equitune.io.texts import parse_yaml, read_text
from equitune.language.corpus import write_corpus
from equitune.language.tokenizer import build_tokenizer
from equitune.run.checkpoint import State
from equitune.run.loop import Objective, fit
from equitune.scan import models as scan
from equitune.scan.words import word_group

from transformers import GPT2Config, GPT2LMHeadModel  # isort: skip  equitune prepares its import

AIM = 0.03  # of training time
SIDES = "one write of the state", "save_seconds"
CLASSES = 10


@dataclass(frozen=True)
class TimedState(State):
    """A state that keeps seconds and bytes of every write."""

    written: list[tuple[float, int]] = field(default_factory=list)

    def save(self, content: Mapping[str, Any]) -> None:
        taken = seconds(lambda: super(TimedState, self).save(content), time.monotonic)
        self.written.append((taken, self.path.stat().st_size))


def writes(model: nn.Module, training: Training, rounds: int) -> list[tuple[float, int]]:
    """Seconds and bytes of each write while a model is trained, after one that is not counted."""
    trained = [p for p in model.parameters() if p.requires_grad]
    every = 1 if training.patience else 0  # the best weights are kept too
    settings = replace(
        training, steps=rounds + 1, schedule="constant", save_seconds=0, validate_every=every
    )
    with tempfile.TemporaryDirectory(dir=".") as folder:  # on the disk of the results
        state = TimedState(Path(folder) / "state.pt", "benchmark")
        fit(
            model,
            settings,
            Objective(
                epoch=lambda _: [torch.arange(1)],
                loss=lambda _: torch.stack([p.sum() for p in trained]).sum(),
                validate=lambda: 0.0,
            ),
            seed=0,
            state=state,
        )
    return state.written[1:]


Candidate = tuple[str, str, nn.Module, int, Training]  # experiment, name, model, |G|, its training


def candidates(config: Config) -> Iterator[Candidate]:
    """The models that a configuration trains, as large as it makes them."""
    task = config.scan.tasks[0]
    group = config.scan.groups[task][0]
    for name in config.scan.architectures:
        sizes, moved = config.scan.model, config.scan.permutations[group]
        model = scan.build(name, sizes, "equitune", moved)
        yield "scan", name, model, model.group.order, config.scan.tuning[name]
    source = config.image.sources[config.image.datasets[0]]
    for name in config.image.architectures:
        builder = config.image.builder(name)
        classifier = image.build(
            config.image.network(name),
            "equitune",
            image_action(config.image.groups[0]),
            source.size,
            classes=CLASSES,
            head=config.image.settings(name).head,
            options=builder.options,
            upsample=builder.upsample * source.upsample,
        )
        order = classifier.features.group.order
        yield "image", name, classifier, order, config.image.tuning[name]
    if any(config.language.sources[name].kind == "corpus" for name in config.language.models):
        yield "language", "small GPT-2", small_gpt2(config), 1, config.language.pretraining


def small_gpt2(config: Config) -> nn.Module:
    """The model that learns the generated sentences, with a word for each of theirs."""
    with tempfile.TemporaryDirectory() as folder:
        texts = [Path(folder) / name for name in ("train.txt", "validation.txt")]
        write_corpus(config.language.per_prompt, 0, None, *texts)
        words = len(build_tokenizer(map(read_text, texts)))
    network = config.language.network
    return GPT2LMHeadModel(
        GPT2Config(
            vocab_size=words,
            n_positions=network.context,
            n_embd=network.width,
            n_layer=network.layers,
            n_head=network.heads,
            bos_token_id=0,
            eos_token_id=0,
        )
    )


def parameters(candidate: Candidate) -> int:
    """Number of trained weights."""
    return sum(p.numel() for p in candidate[2].parameters() if p.requires_grad)


def measure(candidate: Candidate, what: str, rounds: int) -> Row:
    """Write a model's state several times: a row of the table."""
    experiment, name, model, order, training = candidate
    written = writes(model, training, rounds)
    return row(
        "state",
        experiment,
        name,
        f"{what}, {training.optimizer}",
        order,
        SIDES,
        [(taken, training.save_seconds) for taken, _ in written],
        at_most=AIM,
        note=f"{written[-1][1] / 1e6:.3g} MB",
    )


def reported(path: Path) -> Row:
    """What a trained model's manifest says of its own training: a row of the table."""
    facts = json.loads(path.with_name("manifest.json").read_text(encoding="utf-8"))
    about = facts["configuration"]
    return row(
        "state_run",
        "scan",
        about["architecture"],
        about["method"],
        word_group(about["permutation"])[0].group.order,
        ("writing the state", "training steps"),
        [(facts["state_seconds"], facts["train_seconds"])],
        at_most=AIM,
    )


def rows(config: Config, larger: Config, trained: list[Path], rounds: int) -> Iterator[Row]:
    """Every model of one configuration, the largest of another, and what trained models report."""
    for candidate in candidates(config):
        yield measure(candidate, "this run", rounds)
    yield measure(max(candidates(larger), key=parameters), "largest of paper.yaml", rounds)
    yield from map(reported, trained)


def _read(file: Path) -> Any:
    return parse_yaml(read_text(file), str(file))


def main() -> None:
    """Read the arguments, take the measurements, write the rows."""
    parser = command_line(__doc__)
    parser.add_argument("trained", type=Path, nargs="*", help="model.safetensors of trained models")
    changed = "JSON: what the run changes of the default run"
    parser.add_argument("--configuration", type=json.loads, required=True, help=changed)
    parser.add_argument("--larger", type=Path, required=True, help="YAML laid over it")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    ours, larger = (_read(DEFAULTS) for _ in range(2))
    for whole in (ours, larger):
        configuration.merge(whole, arguments.configuration)
    configuration.merge(larger, _read(arguments.larger))
    both = map(configuration.load, (ours, larger))
    report(rows(*both, arguments.trained, arguments.rounds), arguments.output)


if __name__ == "__main__":
    main()
