"""Weights and settings of a model in a folder, read and written whole; knows no group."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from equitune.files import atomic_write, misfits

CONFIG, WEIGHTS = "config.json", "model.safetensors"


def write_folder(folder: Path, config: Mapping[str, Any], weights: Mapping[str, Tensor]) -> None:
    """Write config.json and model.safetensors; each appears complete or not at all.

    Args:
        folder: made if it does not exist.
        config: JSON-able settings.
        weights: tensors by key, none sharing memory with another.
    """
    tensors = {key: x.detach().cpu().contiguous() for key, x in weights.items()}
    with atomic_write(folder / WEIGHTS) as path:
        path.touch()
        mode = path.stat().st_mode  # as the umask says; safetensors makes files for the owner only
        save_file(tensors, path)
        path.chmod(mode)
    with atomic_write(folder / CONFIG) as path:
        path.write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")


def read_folder(folder: Path, keys: Sequence[str]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return what `write_folder` wrote: settings and weights.

    Args:
        folder: where config.json and model.safetensors stand.
        keys: the settings that must be there.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: a file is damaged or a setting is missing.
    """
    for name in (CONFIG, WEIGHTS):
        if not (folder / name).is_file():
            raise FileNotFoundError(
                f"{folder / name} does not exist: expected a folder from save_pretrained(folder)"
            )
    name = CONFIG
    try:
        config: dict[str, Any] = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        name = WEIGHTS
        weights = load_file(folder / WEIGHTS)
    except (ValueError, SafetensorError) as error:
        raise ValueError(f"{folder / name} is damaged ({error}): save the model again") from error
    if missing := [key for key in keys if key not in config]:
        raise ValueError(
            f"{folder / CONFIG} lacks {', '.join(missing)}: expected a file from save_pretrained"
        )
    return config, weights


def without_ties(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of a state, those that are one in memory once, under the first name."""
    first: dict[tuple[object, ...], str] = {}
    for key, x in state.items():
        memory = (x.data_ptr(), x.shape, x.stride(), x.dtype) if x.numel() else (key,)
        first.setdefault(memory, key)
    return {key: state[key] for key in first.values()}


def check_keys(expected: Mapping[str, Tensor], found: Mapping[str, Tensor], folder: Path) -> None:
    """Check that weights found in a folder are those expected, by key and shape.

    Raises:
        ValueError: every missing, unexpected and misshapen key is named.
    """
    if text := misfits(expected, found):
        raise ValueError(f"{folder} does not fit the module: {text}; pass the saved architecture")
