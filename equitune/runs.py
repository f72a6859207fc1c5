"""One training run from inputs to files: resumed, saved whole, described; knows no experiment."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from equitune import interruption
from equitune.config import Training
from equitune.files import sha256
from equitune.manifests import write_manifest
from equitune.states import state_of
from equitune.training import fit


def train(
    model: nn.Module,
    training: Training,
    facts: Mapping[str, Any],
    inputs: Sequence[Path],
    output: Path,
    *,
    epoch: Callable[[torch.Generator], Sequence[Tensor]],
    loss: Callable[[Tensor], Tensor],
    validate: Callable[[], float],
    save: Callable[[], None],
    label: str,
    device: torch.device,
    state_folder: Path | None = None,
) -> None:
    """Train a model, save it, and write manifest.json beside it.

    Args:
        model: on its device, with its first weights.
        training: optimizer, schedule, number of steps and intervals.
        facts: all that the result depends on besides, as JSON; "seed" among them.
        inputs: the files that were read; their checksums go into manifest and state.
        output: what `save` writes.
        epoch: as for `fit`.
        loss: as for `fit`.
        validate: as for `fit`.
        save: writes the trained model.
        label: as for `fit`.
        device: where the model is, for the manifest.
        state_folder: where the state is kept while training, for resuming.

    Raises:
        ValueError, MemoryError, Interrupted: as `fit`.
    """
    checksums = {path.name: sha256(path) for path in inputs}
    state = state_of(
        state_folder, output, {"training": asdict(training), **facts, "inputs": checksums}
    )
    with interruption.deferred():  # what is trained is written too
        history = fit(
            model,
            training,
            epoch=epoch,
            loss=loss,
            validate=validate,
            seed=facts["seed"],
            label=label,
            state=state,
        )
        save()
        write_manifest(
            output.with_name("manifest.json"),
            configuration={**facts, "training": asdict(training)},
            inputs=checksums,
            device=str(device),
            train_seconds=history.seconds,
            state_seconds=history.state_seconds,
            validation=history.validation,
            kept=history.kept,
            resumed_at=history.resumed_at,
        )
        if state is not None:
            state.remove()
