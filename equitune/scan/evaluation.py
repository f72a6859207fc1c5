"""How well models of SCAN do, and how equivariant they are: one row per model."""

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch

from equitune.compat import extra
from equitune.config import IDENTITY, Permutation
from equitune.equivariance import equivariance_error
from equitune.io.files import atomic_write
from equitune.results.tables import SCAN_COLUMNS
from equitune.run import devices
from equitune.run.manifests import describe
from equitune.scan.data import SCAN, START, Pairs, Sides, load_dataset, sides_of
from equitune.scan.decoding import next_actions
from equitune.scan.models import load
from equitune.scan.words import word_group
from equitune.symmetrize import EquiTuned

with extra("workflow"):
    import pandas as pd

logger = logging.getLogger(__name__)

EVALUATION_BATCH = 128  # commands; 1 024 leave a CPU's cache and halve its rate
ERROR_EXAMPLES = 512  # validation commands on which the equivariance error is measured


def evaluate(
    dataset: Path,
    models: Sequence[Path],
    permutation: Permutation,
    output: Path,
    device: str = "auto",
) -> None:
    """Score models on the validation and the test part; write one row per model.

    Args:
        dataset: the dataset the models were trained on.
        models: weights written by `pretrain` and `tune`, config.json and manifest.json beside each.
        permutation: the group against which models without one are measured.
        output: CSV with the columns of results/tables/scan.csv.
        device: where to compute.

    Raises:
        ValueError: a file that cannot be read.
    """
    chosen = devices.prepare(device)
    parts, about = load_dataset(dataset)
    rows = []
    for path in models:
        model, run = load(path)
        model.to(chosen).eval()
        reference = permutation if run.group == IDENTITY else run.permutation
        validation = parts["validation"].to(chosen)
        manifest = json.loads(path.with_name("manifest.json").read_text(encoding="utf-8"))
        rows.append(
            {
                "task": about["task"],
                "architecture": run.architecture,
                "method": run.method,
                "group": run.group,
                "seed": run.seed,
                "validation_accuracy": exact_match(model, validation),
                "test_accuracy": exact_match(model, parts["test"].to(chosen)),
                "equivariance_error": worst_error(
                    model, reference, validation, sides_of(run.words)
                ),
                "train_examples": len(parts["train"]),
                "train_seconds": round(manifest["train_seconds"], 1),
                "parameters": sum(p.numel() for p in model.parameters()),
                "test_size": len(parts["test"]),
            }
        )
        logger.info("%(task)s %(architecture)s %(method)s: test %(test_accuracy).4f", rows[-1])
    with atomic_write(output) as temporary:
        pd.DataFrame(rows, columns=list(SCAN_COLUMNS)).to_csv(temporary, index=False)
    settings = {"permutation": asdict(permutation), "seeds": [row["seed"] for row in rows]}
    describe(output, settings, [dataset, *models], chosen)


def exact_match(model: EquiTuned, pairs: Pairs, batch_size: int = EVALUATION_BATCH) -> float:
    """Share of commands whose greedily decoded actions are all right, the end token included.

    Greedy decoding gives the true sequence if and only if, after every true prefix, the most
    probable action is the true one. So one pass over all positions finds what decoding step by
    step would; the tests hold the two against each other.

    Args:
        model: in evaluation mode.
        pairs: commands with their true actions.
        batch_size: commands at once; it changes memory and speed only.
    """
    right = 0
    with torch.inference_mode():
        for rows in torch.split(pairs.lengths.argsort(stable=True), batch_size):
            batch = pairs[rows].trimmed()
            choices = next_actions(model, batch.commands, batch.prefixes())
            right += int(((choices == batch.actions) | (batch.actions == START)).all(1).sum())
    return right / len(pairs)


def worst_error(
    model: EquiTuned, permutation: Permutation, pairs: Pairs, sides: Sides = SCAN
) -> float:
    """Largest relative equivariance error of the log-probabilities, over group and examples."""
    words, actions = word_group(asdict(permutation), sides)
    part = pairs[torch.arange(min(ERROR_EXAMPLES, len(pairs)))].trimmed()
    errors = equivariance_error(
        model, (words, actions), actions.on_logits(), part.commands, part.prefixes()
    )
    return float(errors.max())
