"""The SCAN experiment: pretrain a model, and tune it by a method; what the rules call."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from equitune.methods import METHODS
from equitune.run import devices
from equitune.run.batches import length_buckets
from equitune.run.job import Job, train
from equitune.run.loop import Objective
from equitune.saving.trained import check_output, write_trained
from equitune.scan.data import START, Pairs, load_dataset
from equitune.scan.evaluation import exact_match
from equitune.scan.models import load, of_run
from equitune.scan.run import ScanRun
from equitune.symmetrize import EquiTuned


def pretrain(run: ScanRun, dataset: Path, job: Job) -> None:
    """Train a model from scratch on the training part.

    Args:
        run: of method "pretrained", without a group.
        dataset: what `equitune.scan.data.save_dataset` wrote.
        job: its output is model.safetensors; config.json and manifest.json are written beside it.

    Raises:
        ValueError: a bad argument or an unreadable dataset.
    """
    torch.manual_seed(run.seed)
    _train(of_run(run), run, dataset, job)


def tune(run: ScanRun, dataset: Path, pretrained: Path, job: Job) -> None:
    """Train a pretrained model further by a method.

    A method with equivariant layers takes none of the pretrained model's weights.

    Args:
        run: its architecture and widths are those of the pretrained model.
        dataset: the dataset it was pretrained on.
        pretrained: model.safetensors of `pretrain`.
        job: as for `pretrain`.

    Raises:
        ValueError: a bad argument, a pretrained model of another architecture, or a file that
            cannot be read.
    """
    torch.manual_seed(run.seed)
    base, before = load(pretrained)
    if (before.architecture, before.model) != (run.architecture, run.model):
        raise ValueError(
            f"{pretrained} is {before.architecture} with {before.model}, the run asks for "
            f"{run.architecture} with {run.model}: pretrain that one first"
        )
    model = of_run(run)
    if not METHODS[run.method].layers:
        model.module.load_state_dict(base.module.state_dict())
    _train(model, run, dataset, job, [pretrained])


def sequence_loss(model: nn.Module, pairs: Pairs) -> Tensor:
    """Mean negative log-probability of the true actions, teacher-forced, over all positions.

    The combined log-probabilities are not normalised again: their mean is what the published code
    trains, and with `Mean` every branch learns its own transformed target.
    """
    pairs = pairs.trimmed()
    log_probabilities = model(pairs.commands, pairs.prefixes())  # (batch, positions, V)
    return F.nll_loss(log_probabilities.flatten(0, 1), pairs.actions.flatten(), ignore_index=START)


def _train(
    model: EquiTuned, run: ScanRun, dataset: Path, job: Job, inputs: Sequence[Path] = ()
) -> None:
    """Train, and write the weights with the run to build them from."""
    check_output(job.output)
    device = devices.prepare(job.device)
    parts, about = load_dataset(dataset)
    if about.get("words") != run.words:
        raise ValueError(f"{dataset} has other words than the model: pretrain one on this dataset")
    examples, validation = parts["train"].to(device), parts["validation"].to(device)
    lengths = parts["train"].lengths  # the terms of each pair in the mean loss, too
    model.to(device)
    data = {"task": about["task"]}
    train(
        model,
        run,
        job,
        Objective(
            epoch=lambda generator: length_buckets(lengths, run.training.batch_size, generator),
            loss=lambda rows: sequence_loss(model, examples[rows.to(device)]),
            validate=lambda: exact_match(model, validation),
            terms=lambda rows: int(lengths[rows].sum()),
        ),
        data=data,
        inputs=[dataset, *inputs],
        save=lambda: write_trained(job.output, model.cpu(), run, data),
        label=f"{about['task']} {run.architecture} {run.method}",
        device=device,
    )
