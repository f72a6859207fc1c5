"""One training from inputs to files: resumed, saved whole, described."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn

from equitune.config import Training
from equitune.io.files import sha256
from equitune.run import interruption
from equitune.run.checkpoint import state_of
from equitune.run.loop import History, Objective, fit
from equitune.run.manifests import write_manifest
from equitune.run.ranks import connect


@dataclass(frozen=True, kw_only=True)
class Job:
    """Where a training writes and computes.

    Attributes:
        output: what it writes; manifest.json is written beside it.
        device: "auto" or a torch device.
        state_folder: where the checkpoint is kept while training; None: it cannot be resumed.
    """

    output: Path
    device: str = "auto"
    state_folder: Path | None = None


class Run(Protocol):
    """What a training needs to know of a run, which is a dataclass of an experiment."""

    @property
    def seed(self) -> int:
        """Seeds every random choice."""

    @property
    def training(self) -> Training:
        """Optimizer, schedule, number of steps and intervals."""


def train(
    model: nn.Module,
    run: Run,
    job: Job,
    objective: Objective,
    *,
    data: Mapping[str, Any],
    inputs: Sequence[Path],
    save: Callable[[], None],
    label: str,
    device: torch.device,
) -> None:
    """Train a model, save it, and write manifest.json beside it; of several ranks the first writes.

    Args:
        model: on its device, with its first weights.
        run: a dataclass with all settings that the result depends on.
        job: where to write, and where the checkpoint is kept.
        objective: as for `fit`.
        data: what the result depends on besides, as JSON.
        inputs: the files that were read; their checksums go into manifest and checkpoint.
        save: writes the trained model to the job's output.
        label: as for `fit`.
        device: where the model is, for the manifest.

    Raises:
        ValueError, MemoryError, Interrupted: as `fit`.
    """
    configuration = {**asdict(run), **data}  # type: ignore[call-overload]
    checksums = {path.name: sha256(path) for path in inputs}
    ranks = connect(device, run.training.shard)
    facts = {**configuration, "inputs": checksums}
    if ranks.count > 1:  # the state has a random generator for each rank
        facts["ranks"] = ranks.count
    state = state_of(job.state_folder, job.output, facts)

    def write(history: History) -> None:
        save()
        write_manifest(
            job.output.with_name("manifest.json"),
            configuration=configuration,
            inputs=checksums,
            device=str(device),
            ranks=ranks.count,
            train_seconds=history.seconds,
            state_seconds=history.state_seconds,
            validation=history.validation,
            loss=history.loss,
            kept=history.kept,
            resumed_at=history.resumed_at,
        )
        if state is not None:
            state.remove()

    with interruption.deferred():  # what is trained is written too
        history = fit(
            model,
            run.training,
            objective,
            seed=run.seed,
            label=label,
            state=state,
            ranks=ranks,
        )
        ranks.first(partial(write, history))
