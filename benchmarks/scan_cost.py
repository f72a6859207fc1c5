"""What SCAN costs: against a loop written the published code's way, plain models, torch's layers.

All sides start from the same trained weights and run on sequences of the same mean length.
Evaluation is that of the equi-tuned model. The rule measure_scan_cost runs this; `--help` tells how
to run it by hand.
"""

import copy
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import cast

import torch
from measuring import Row, alternate, command_line, report, row
from scan_layers import torch_layers
from scan_loop import PaperLoop

from equitune.actions import Action
from equitune.config import Permutation, Training
from equitune.run.batches import length_buckets
from equitune.run.optimizers import make_optimizer
from equitune.scan.data import ACTIONS, COMMANDS, Pairs, load_dataset
from equitune.scan.evaluation import EVALUATION_BATCH, exact_match
from equitune.scan.experiment import sequence_loss
from equitune.scan.models import build, load
from equitune.symmetrize import EquiTuned

LARGE_BATCH = 128
LOOP_SEQUENCES = 48  # a round of the loop; of all lengths alike
AIMS = {"pretraining": 60, "equi-tuning": 60, "evaluation": 45}  # times the loop's rate


def sentences(pairs: Pairs) -> list[tuple[list[str], list[str]]]:
    """The pairs as words, ends and padding left out."""
    return [
        (COMMANDS.decode(command.tolist()), ACTIONS.decode(action.tolist()))
        for command, action in zip(pairs.commands, pairs.actions, strict=True)
    ]


def evenly(pairs: Pairs, count: int) -> Pairs:
    """As many pairs of evenly spaced ranks by length: the mean length of all, without its noise."""
    by_length = pairs.lengths.argsort(stable=True)
    ranks = (torch.arange(count) + 0.5) * len(pairs) / count
    return pairs[by_length[ranks.long()]]


def dictionaries(model: EquiTuned) -> list[tuple[dict[str, str], dict[str, str]]]:
    """What each element of the model's group makes of every word and of every action."""
    tables = []
    for action, vocabulary in zip(model.input_actions, (COMMANDS, ACTIONS), strict=True):
        images = action.orbit(torch.arange(len(vocabulary))).tolist()  # type: ignore[operator]
        tables.append(
            [
                {
                    word: vocabulary.words[image]
                    for word, image in zip(vocabulary.words, row, strict=True)
                }
                for row in images
            ]
        )
    return list(zip(*tables, strict=True))


def training_pass(
    model: EquiTuned, pairs: Pairs, training: Training, copies: int = 1
) -> Callable[[], None]:
    """One pass over pairs in batches of similar length, all of them this many times."""
    optimizer, _ = make_optimizer(list(model.parameters()), training)
    order, repeated = torch.Generator(), torch.arange(len(pairs)).repeat(copies)
    many, batch = pairs[repeated], training.batch_size * copies

    def train() -> None:
        model.train()
        for rows in length_buckets(many.lengths, batch, order.manual_seed(0)):
            optimizer.zero_grad(set_to_none=True)
            sequence_loss(model, many[rows]).backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(model.parameters(), training.gradient_clip)
            optimizer.step()

    return train


def measure(
    stage: str, path: Path, parts: dict[str, Pairs], training: Training, rounds: int, sequences: int
) -> Iterator[Row]:
    """Time one trained model in one stage: against the loop, torch's layers, the floor."""
    torch.manual_seed(0)
    tuned, run = load(path)
    plain = build(run.architecture, run.model, "pretrained", Permutation())
    plain.module.load_state_dict(tuned.module.state_dict())
    model = plain if stage == "pretraining" else tuned
    order = cast(Action, model.input_actions[0]).group.order
    part = parts["test" if stage == "evaluation" else "train"]
    many, few = evenly(part, min(sequences, len(part))), evenly(part, LOOP_SEQUENCES)
    loop = PaperLoop(copy.deepcopy(plain.module), dictionaries(model))  # type: ignore[arg-type]
    texts = sentences(few)
    named = "scan", run.architecture, f"batch {training.batch_size}", order
    if stage == "evaluation":
        model.eval()
        loop.model.eval()
        works: list[Callable[[], object]] = [
            lambda: exact_match(model, many, training.batch_size),
            lambda: [loop.evaluate(*text) for text in texts],
        ]
    else:
        works = [
            training_pass(model, many, training),
            lambda: [loop.train(*text) for text in texts],
        ]
    works.append(torch_layers()(works[0]))
    if stage == "equi-tuning":
        works.append(training_pass(plain, many, training, order))
    times = alternate(works, rounds)
    rates = [(len(many) / each[0], len(few) / each[1]) for each in times]
    sides = stage, f"{stage}, loop"
    yield row("loop", *named, sides, rates, "sequences/second", at_least=AIMS[stage])
    sides = f"{stage}, torch.nn", stage
    yield row("layers", *named, sides, [(each[2], each[0]) for each in times])
    if stage == "equi-tuning":
        sides = stage, "training, plain, |G| times the batch"
        yield row("floor", *named, sides, [(each[0], each[3]) for each in times])


def measure_all(
    paths: list[Path], dataset: Path, settings: dict[str, dict], rounds: int, sequences: int
) -> Iterator[Row]:
    """Every model in every stage, in batches of the configuration's size and in large ones."""
    parts, _ = load_dataset(dataset)
    for path in paths:
        training = Training(**settings[load(path)[1].architecture])
        for stage in AIMS:
            # the configuration's batches learn the most in a second
            sizes = (training.batch_size, LARGE_BATCH)
            for size in (EVALUATION_BATCH,) if stage == "evaluation" else sizes:
                resized = replace(training, batch_size=size)
                yield from measure(stage, path, parts, resized, rounds, sequences)


def main() -> None:
    """Read the arguments, take the measurements, write the rows."""
    parser = command_line(__doc__)
    parser.add_argument(
        "models", type=Path, nargs="+", help="model.safetensors of equi-tuned models"
    )
    parser.add_argument("--dataset", type=Path, required=True)
    parser.add_argument(
        "--training", type=json.loads, required=True, help="settings by architecture"
    )
    parser.add_argument("--sequences", type=int, default=2048, help="a batched round")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    report(
        measure_all(
            arguments.models,
            arguments.dataset,
            arguments.training,
            arguments.rounds,
            arguments.sequences,
        ),
        arguments.output,
    )


if __name__ == "__main__":
    main()
