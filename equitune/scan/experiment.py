"""The SCAN experiment: pretrain, tune by a method, evaluate; the functions the rules call.

It knows files and settings; what a group, a model or a training loop is stands elsewhere.
"""

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from equitune import devices, runs
from equitune.batches import length_buckets
from equitune.combine import Mean, Select, Weighted
from equitune.config import IDENTITY, Permutation, Seq2SeqModel, Training
from equitune.equivariance import equivariance_error
from equitune.extras import extra
from equitune.files import atomic_write
from equitune.manifests import describe
from equitune.names import nearest
from equitune.results.tables import SCAN_COLUMNS
from equitune.scan.data import (
    ACTIONS,
    COMMANDS,
    START,
    Pairs,
    load_dataset,
)
from equitune.scan.decoding import next_actions
from equitune.scan.models import Seq2Seq
from equitune.scan.words import word_group
from equitune.symmetrize import EquiTuned

with extra("workflow"):
    import pandas as pd

logger = logging.getLogger(__name__)

EVALUATION_BATCH = 128  # commands; 1 024 leave a CPU's cache and halve its rate
ERROR_EXAMPLES = 512  # validation commands on which the equivariance error is measured


def entropy(log_probabilities: Tensor) -> Tensor:
    """Entropy in nats of each position's distribution: (batch, positions, V) to (…, 1)."""
    return -(log_probabilities.exp() * log_probabilities).sum(-1, keepdim=True)


def importance() -> nn.Module:
    """λ of λ-equitune: a positive weight from each position's log-probabilities."""
    return nn.Sequential(nn.Linear(len(ACTIONS), 16), nn.Tanh(), nn.Linear(16, 1), nn.Softplus())


COMBINE: dict[str, Callable[[], nn.Module]] = {
    "pretrained": Mean,
    "finetune": Mean,
    "equitune": Mean,
    "lambda_equitune": lambda: Weighted(importance()),
    "equizero": lambda: Select(entropy),
}


def build(
    architecture: str, settings: Seq2SeqModel, method: str, permutation: Permutation
) -> EquiTuned:
    """Build an untrained model; a method that uses no group has the identity for one.

    Args:
        architecture: "RNN", "GRU" or "LSTM".
        settings: widths and dropout.
        method: a key of `COMBINE`.
        permutation: the cycles of words that generate the group; none of them: the identity.

    Raises:
        ValueError: unknown method or architecture, or cycles that are no permutation.
    """
    if method not in COMBINE:
        raise ValueError(f"unknown method {method!r}{nearest(method, COMBINE)}")
    words, actions = word_group(asdict(permutation))
    seq2seq = Seq2Seq(architecture, len(COMMANDS), len(ACTIONS), **asdict(settings))
    return EquiTuned(
        seq2seq,
        (words, actions),
        actions.on_logits(),
        COMBINE[method](),
        dedupe=words.group.order > 1,
    )


def pretrain(
    dataset: Path,
    architecture: str,
    seed: int,
    model: Seq2SeqModel,
    training: Training,
    output: Path,
    device: str = "auto",
    state_folder: Path | None = None,
) -> None:
    """Train a model from scratch on the training part.

    Args:
        dataset: what `equitune.scan.data.save_dataset` wrote.
        architecture: "RNN", "GRU" or "LSTM".
        seed: seeds the weights, the order of the data and dropout.
        model: widths and dropout.
        training: optimizer, schedule and number of steps.
        output: model.safetensors; config.json and manifest.json are written beside it.
        device: "auto" or a torch device.
        state_folder: where the state is kept while training, for resuming.

    Raises:
        ValueError: a bad argument or an unreadable dataset.
    """
    torch.manual_seed(seed)
    untrained = build(architecture, model, "pretrained", Permutation())
    facts = _facts(architecture, "pretrained", IDENTITY, seed, model, Permutation())
    _train(untrained, facts, dataset, training, output, device, state_folder)


def tune(
    dataset: Path,
    pretrained: Path,
    method: str,
    group: str,
    permutation: Permutation,
    seed: int,
    training: Training,
    output: Path,
    device: str = "auto",
    state_folder: Path | None = None,
) -> None:
    """Train a pretrained model further by a method.

    Args:
        dataset: the dataset it was pretrained on.
        pretrained: model.safetensors of `pretrain`.
        method: "finetune", "equitune", "lambda_equitune" or "equizero".
        group: the name of the group, `IDENTITY` for finetune.
        permutation: the cycles of words that generate the group.
        seed: as for `pretrain`.
        training: as for `pretrain`.
        output: as for `pretrain`.
        device: as for `pretrain`.
        state_folder: as for `pretrain`.

    Raises:
        ValueError: a bad argument, or a dataset or pretrained model that cannot be read.
    """
    torch.manual_seed(seed)
    base, facts = load(pretrained)
    model = build(facts["architecture"], facts["model"], method, permutation)
    model.module.load_state_dict(base.module.state_dict())
    about = _facts(facts["architecture"], method, group, seed, facts["model"], permutation)
    _train(model, about, dataset, training, output, device, state_folder, [pretrained])


def evaluate(
    dataset: Path,
    models: Sequence[Path],
    permutation: Permutation,
    output: Path,
    device: str = "auto",
) -> None:
    """Score models on the validation and the test part; write one row a model.

    Args:
        dataset: the dataset the models were trained on.
        models: weights written by `pretrain` and `tune`, each with its manifest beside it.
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
        model, facts = load(path)
        model.to(chosen).eval()
        reference = permutation if facts["group"] == IDENTITY else facts["permutation"]
        validation = parts["validation"].to(chosen)
        manifest = json.loads(path.with_name("manifest.json").read_text(encoding="utf-8"))
        rows.append(
            {
                "task": about["task"],
                "architecture": facts["architecture"],
                "method": facts["method"],
                "group": facts["group"],
                "seed": facts["seed"],
                "validation_accuracy": exact_match(model, validation),
                "test_accuracy": exact_match(model, parts["test"].to(chosen)),
                "equivariance_error": worst_error(model, reference, validation),
                "train_examples": len(parts["train"]),
                "train_seconds": round(manifest["train_seconds"], 1),
                "parameters": sum(p.numel() for p in model.parameters()),
            }
        )
        logger.info("%(task)s %(architecture)s %(method)s: test %(test_accuracy).4f", rows[-1])
    with atomic_write(output) as temporary:
        pd.DataFrame(rows, columns=list(SCAN_COLUMNS)).to_csv(temporary, index=False)
    settings = {"permutation": asdict(permutation), "seeds": [row["seed"] for row in rows]}
    describe(output, settings, [dataset, *models], chosen)


def sequence_loss(model: nn.Module, pairs: Pairs) -> Tensor:
    """Mean negative log-probability of the true actions, teacher-forced, over all positions.

    The combined log-probabilities are not normalised again: their mean is what the published code
    trains, and with `Mean` every branch learns its own transformed target.
    """
    pairs = pairs.trimmed()
    log_probabilities = model(pairs.commands, pairs.prefixes())  # (batch, positions, V)
    return F.nll_loss(log_probabilities.flatten(0, 1), pairs.actions.flatten(), ignore_index=START)


def exact_match(model: EquiTuned, pairs: Pairs, batch_size: int = EVALUATION_BATCH) -> float:
    """Share of commands whose greedily decoded actions are all right, the end token included.

    Greedy decoding gives the true sequence if and only if, after every true prefix, the most
    probable action is the true one. So one pass over all positions tells what decoding step by
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


def worst_error(model: EquiTuned, permutation: Permutation, pairs: Pairs) -> float:
    """Largest relative equivariance error of the log-probabilities, over group and examples."""
    words, actions = word_group(asdict(permutation))
    part = pairs[torch.arange(min(ERROR_EXAMPLES, len(pairs)))].trimmed()
    errors = equivariance_error(
        model, (words, actions), actions.on_logits(), part.commands, part.prefixes()
    )
    return float(errors.max())


def load(path: Path) -> tuple[EquiTuned, dict[str, Any]]:
    """Read a model that `pretrain` or `tune` wrote, and the facts it was built from.

    Args:
        path: model.safetensors, with config.json and manifest.json beside it.

    Raises:
        ValueError: a file is missing or cannot be read, or holds no model of this experiment.
    """
    try:
        facts = json.loads(path.with_name("manifest.json").read_text(encoding="utf-8"))[
            "configuration"
        ]
        settings, permutation = Seq2SeqModel(**facts["model"]), Permutation(**facts["permutation"])
        blank = build(facts["architecture"], settings, facts["method"], permutation)
        combine = None if isinstance(blank.combine, Mean) else blank.combine
        model = EquiTuned.from_pretrained(path.parent, blank.module, combine)
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path} is no whole model of the SCAN experiment ({error}): "
            "remove its folder and run again"
        ) from error
    return model, facts | {"model": settings, "permutation": permutation}


def _facts(
    architecture: str,
    method: str,
    group: str,
    seed: int,
    model: Seq2SeqModel,
    permutation: Permutation,
) -> dict[str, Any]:
    """All that a model is built from, as JSON."""
    return {
        "architecture": architecture,
        "method": method,
        "group": group,
        "seed": seed,
        "model": asdict(model),
        "permutation": asdict(permutation),
    }


def _train(
    model: EquiTuned,
    facts: dict[str, Any],
    dataset: Path,
    settings: Training,
    output: Path,
    device: str,
    state_folder: Path | None,
    inputs: Sequence[Path] = (),
) -> None:
    """Train, write the weights with the facts to build them from, and the manifest."""
    chosen = devices.prepare(device)
    parts, about = load_dataset(dataset)
    train, validation = parts["train"].to(chosen), parts["validation"].to(chosen)
    lengths = parts["train"].lengths
    model.to(chosen)
    runs.train(
        model,
        settings,
        facts | {"task": about["task"]},
        [dataset, *inputs],
        output,
        epoch=lambda generator: length_buckets(lengths, settings.batch_size, generator),
        loss=lambda rows: sequence_loss(model, train[rows.to(chosen)]),
        validate=lambda: exact_match(model, validation),
        save=lambda: model.cpu().save_pretrained(output.parent),
        label=f"{about['task']} {facts['architecture']} {facts['method']}",
        device=chosen,
        state_folder=state_folder,
    )
