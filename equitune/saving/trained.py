"""The folder of a trained model: its run in config.json, its weights beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from torch import nn

from equitune.config.parse import parse
from equitune.saving.pretrained import (
    WEIGHTS,
    load_state,
    read_config,
    read_folder,
    saved_state,
    write_folder,
)

KEYS = ("run", "data")

Run = TypeVar("Run")
Model = TypeVar("Model", bound=nn.Module)


def check_output(output: Path) -> None:
    """Check what a trained model is to be called, before it is trained.

    Raises:
        ValueError: the file has another name than the one it is read by.
    """
    if output.name != WEIGHTS:
        raise ValueError(f"output is {output}: expected a file called {WEIGHTS}")


def write_trained(output: Path, model: nn.Module, run: Any, data: Mapping[str, Any]) -> None:
    """Write a model's weights, and config.json with the run it comes from.

    Args:
        output: model.safetensors.
        model: on any device.
        run: a dataclass: all settings that the model is built from.
        data: what the dataset adds to them, JSON-able.
    """
    config = {"run": asdict(run), "data": dict(data)}
    write_folder(output.parent, config, saved_state(model))


def read_run(path: Path, kind: type[Run]) -> tuple[Run, dict[str, Any]]:
    """Return the run that a model comes from, and what the dataset added.

    Args:
        path: model.safetensors, with config.json beside it.
        kind: the dataclass of the run.

    Raises:
        ValueError: a file is missing or damaged, or holds no such run.
    """
    try:
        config = read_config(path.parent, KEYS)
        return parse(kind, config["run"], "run"), dict(config["data"])
    except (OSError, TypeError, ValueError) as error:
        raise _fault(path, kind, error) from error


def read_trained(
    path: Path, kind: type[Run], build: Callable[[Run, Mapping[str, Any]], Model]
) -> tuple[Model, Run, dict[str, Any]]:
    """Return a model that `write_trained` wrote, its run, and what the dataset added.

    Args:
        path: model.safetensors, with config.json beside it.
        kind: the dataclass of the run.
        build: makes the untrained model of a run and its data.

    Raises:
        ValueError: a file is missing or damaged, or holds a model of another experiment.
    """
    run, data = read_run(path, kind)
    try:
        model = build(run, data)
        load_state(model, read_folder(path.parent, KEYS)[1], path.parent)
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise _fault(path, kind, error) from error
    return model, run, data


def _fault(path: Path, kind: type, error: Exception) -> ValueError:
    return ValueError(
        f"{path} is not a complete {kind.__name__.removesuffix('Run')} model ({error}): "
        "remove its folder and run again"
    )
