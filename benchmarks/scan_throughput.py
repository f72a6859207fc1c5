"""Sequences per second of the SCAN experiment against a loop written the published code's way.

Both sides start from the same trained weights and run in one process on one thread, in turns, on
sequences of the same mean length. What is reported is the median over the rounds of the ratio
within a round, so that a noisy machine does not decide it. Evaluation is that of the equi-tuned
model. The rule scan_throughput runs this; `--help` tells how to run it by hand.
"""

import argparse
import copy
import json
import statistics
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch
from scan_loop import PaperLoop
from timing import processor, seconds

from equitune.batches import length_buckets
from equitune.config import Permutation, Training
from equitune.files import atomic_write
from equitune.scan.data import ACTIONS, COMMANDS, Pairs, load_dataset
from equitune.scan.experiment import EVALUATION_BATCH, build, exact_match, load, sequence_loss
from equitune.symmetrize import EquiTuned
from equitune.training import make_optimizer

LARGE_BATCH = 128
LOOP_SEQUENCES = 48  # a round of the loop; of all lengths alike
STAGES = ("pretraining", "equi-tuning", "evaluation")


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


def contestants(
    stage: str, path: Path, parts: dict[str, Pairs], training: Training, sequences: int
) -> tuple[Callable[[], None], int, Callable[[], None], int]:
    """Both sides of one stage: the work of a round, and how many sequences it is, for each."""
    tuned, facts = load(path)
    plain = build(facts["architecture"], facts["model"], "pretrained", Permutation())
    plain.module.load_state_dict(tuned.module.state_dict())
    model = plain if stage == "pretraining" else tuned
    part = parts["test" if stage == "evaluation" else "train"]
    many, few = evenly(part, min(sequences, len(part))), evenly(part, LOOP_SEQUENCES)
    loop = PaperLoop(copy.deepcopy(plain.module), dictionaries(model))  # type: ignore[arg-type]
    texts = sentences(few)
    if stage == "evaluation":
        model.eval()
        loop.model.eval()
        return (
            lambda: void(exact_match(model, many, training.batch_size)),
            len(many),
            lambda: void([loop.evaluate(*text) for text in texts]),
            len(texts),
        )
    optimizer, _ = make_optimizer(list(model.parameters()), training)
    order = torch.Generator()

    def train() -> None:
        model.train()
        for rows in length_buckets(many.lengths, training.batch_size, order.manual_seed(0)):
            optimizer.zero_grad(set_to_none=True)
            sequence_loss(model, many[rows]).backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(model.parameters(), training.gradient_clip)
            optimizer.step()

    return train, len(many), lambda: void([loop.train(*text) for text in texts]), len(texts)


def measure(
    stage: str, path: Path, parts: dict[str, Pairs], training: Training, rounds: int, sequences: int
) -> dict[str, object]:
    """Time one trained model in one stage: a row of the table."""
    torch.manual_seed(0)
    batched, many, looped, few = contestants(stage, path, parts, training, sequences)
    rates = [(many / seconds(batched), few / seconds(looped)) for _ in range(rounds + 1)][1:]
    ratios = [fast / slow for fast, slow in rates]
    return {
        "architecture": load(path)[1]["architecture"],
        "stage": stage,
        "batch_size": training.batch_size,
        "sequences_per_second": round(statistics.median(fast for fast, _ in rates), 1),
        "loop_sequences_per_second": round(statistics.median(slow for _, slow in rates), 2),
        "ratio": round(statistics.median(ratios), 1),
        "ratio_low": round(min(ratios), 1),
        "ratio_high": round(max(ratios), 1),
        "rounds": rounds,
        "threads": torch.get_num_threads(),
        "machine": processor(),
    }


def void(_: object) -> None:
    """Forget a value."""


def main() -> None:
    """Read the arguments, time every model in every stage, write the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "models", type=Path, nargs="+", help="model.safetensors of equi-tuned models"
    )
    parser.add_argument("--dataset", type=Path, required=True)
    parser.add_argument(
        "--training", type=json.loads, required=True, help="settings by architecture"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sequences", type=int, default=2048, help="a batched round")
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    parts, _ = load_dataset(arguments.dataset)
    rows = []
    for path in arguments.models:
        training = Training(**arguments.training[load(path)[1]["architecture"]])
        for stage in STAGES:
            # the configuration's batches, which learn the most in a second, and large ones
            training_sizes = (training.batch_size, LARGE_BATCH)
            for size in (EVALUATION_BATCH,) if stage == "evaluation" else training_sizes:
                settings = replace(training, batch_size=size)
                row = measure(stage, path, parts, settings, arguments.rounds, arguments.sequences)
                sys.stderr.write(
                    f"{row['architecture']} {stage}, batches of {size}: "
                    f"{row['ratio']} times the loop\n"
                )
                rows.append(row)
    with atomic_write(arguments.output) as temporary:
        pd.DataFrame(rows).to_csv(temporary, index=False)


if __name__ == "__main__":
    main()
