"""Weights and settings of a model in a folder, read and written whole."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from equitune.io.files import atomic_write, misfits
from equitune.io.places import check_file
from equitune.io.storable import check_storable, not_dense
from equitune.saving.values import WRITABLE, decode, encode

CONFIG, WEIGHTS = "config.json", "model.safetensors"
COMPLEX, EXTRA = "complex", "extra_state"  # keys of config.json, for what safetensors cannot hold
_WRAPPERS = {  # classes that put their one child's keys behind a name, by that name
    "_orig_mod": ("OptimizedModule",),  # torch.compile
    "module": ("DataParallel", "DistributedDataParallel"),
}
# where version 0.1.0 kept what the actions of a model inside a model do; that model checks them
_ROWS = re.compile(r"\.(input_actions\.\d+|output_action)\.permutations$")


def write_folder(folder: Path, config: Mapping[str, Any], state: Mapping[str, Any]) -> None:
    """Write config.json and model.safetensors, once both read back as they are in memory.

    Each file appears complete or not at all. Complex tensors are written as pairs of real numbers,
    extra state that is not a tensor as JSON.

    Args:
        folder: made if it does not exist.
        config: JSON-able settings.
        state: tensors and extra state by key, as `saved_state` gives them.

    Raises:
        ValueError: something cannot be written, or does not read back as it is; no file has been
            changed.
    """
    extra = {k: x for k, x in state.items() if _is_extra(k) and not isinstance(x, Tensor)}
    tensors = {key: x for key, x in state.items() if key not in extra}
    pairs = sorted(k for k, x in tensors.items() if isinstance(x, Tensor) and x.is_complex())
    config = {**config, **({COMPLEX: pairs} if pairs else {})}
    if extra:
        config[EXTRA] = {key: _encoded(key, x, folder) for key, x in extra.items()}
    _check_loadable(tensors, folder)
    tensors = _contiguous(tensors)
    text = json.dumps(config, indent=1, default=_number) + "\n"
    with atomic_write(folder / WEIGHTS) as weights, atomic_write(folder / CONFIG) as settings:
        weights.touch()
        mode = weights.stat().st_mode  # as the umask says; safetensors hides files from others
        save_file(tensors, weights)
        weights.chmod(mode)
        settings.write_text(text, encoding="utf-8")
        _compare(tensors, weights, folder)


def read_folder(folder: Path, keys: Sequence[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what `write_folder` wrote: settings and state.

    Args:
        folder: where config.json and model.safetensors stand.
        keys: the settings that must be there.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: a file is damaged or a setting is missing.
    """
    config = read_config(folder, keys)
    name = CONFIG
    try:
        extra = {key: decode(x) for key, x in config.get(EXTRA, {}).items()}
        name = WEIGHTS
        state: dict[str, Any] = load_file(folder / WEIGHTS)
        state |= {key: torch.view_as_complex(state[key]) for key in config.get(COMPLEX, ())}
    except (ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise ValueError(f"{folder / name} is damaged ({error}): save the model again") from error
    return config, state | extra


def read_config(folder: Path, keys: Sequence[str]) -> dict[str, Any]:
    """Return the settings alone that `write_folder` wrote; all else as `read_folder`."""
    for name in (CONFIG, WEIGHTS):
        check_file(folder / name, "expected a folder from save_pretrained(folder)")
    path = folder / CONFIG
    try:
        config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is damaged ({error}): save the model again") from error
    if missing := [key for key in keys if key not in config]:
        raise ValueError(f"{path} lacks {', '.join(missing)}: expected a file from save_pretrained")
    return config


def plain(module: nn.Module) -> nn.Module:
    """Return the module that is compiled or in parallel, or the module itself."""
    while (child := _wrapped(module)) is not None:
        module = module.get_submodule(child)
    return module


def kind_of(module: nn.Module) -> str:
    """Return the name of a module's class, or of the class that is compiled or in parallel."""
    return type(plain(module)).__name__


def check_kind(combine: nn.Module, saved: str, folder: Path) -> None:
    """Check that a way to combine is of the class with which a model was saved.

    Raises:
        ValueError: it is of another.
    """
    if (kind := kind_of(combine)) != saved:
        raise ValueError(
            f"{folder} was saved with {saved}, not {kind}: pass combine={saved}(…) to "
            "from_pretrained"
        )


def saved_state(model: nn.Module) -> dict[str, Any]:
    """Return a model's state dict as it is saved, without the model's own extra state.

    Keys are those of the plain module, without what `torch.compile`, DataParallel and
    DistributedDataParallel put before them; tensors that are one in memory stand once, under the
    first name.

    Raises:
        ValueError: a module has extra state that it could not take back.
    """
    for path, module in model.named_modules():
        kind, plain = type(module), nn.Module
        gets = kind.get_extra_state is not plain.get_extra_state
        if gets and kind.set_extra_state is plain.set_extra_state:
            raise ValueError(
                f"{path} ({kind.__name__}) has extra state that cannot be loaded: define "
                "set_extra_state beside get_extra_state"
            )
    state, names = model.state_dict(), _plain_names(model)
    first: dict[tuple[object, ...], str] = {}
    for key, x in state.items():
        memory: tuple[object, ...] = (key,)
        if not not_dense(x) and x.numel():
            memory = (x.data_ptr(), x.shape, x.stride(), x.dtype, x.is_conj(), x.is_neg())
        first.setdefault(memory, key)
    return {names[key]: state[key] for key in first.values() if key in names}


def load_state(model: nn.Module, found: Mapping[str, Any], folder: Path) -> None:
    """Load what `saved_state` gave into a model, which may be compiled or wrapped, or not.

    Args:
        model: keeps its device and dtypes.
        found: tensors and extra state by key.
        folder: where they come from, for messages.

    Raises:
        ValueError: the model is on the meta device, keys or shapes do not fit, which are named, or
            the model does not hold what was saved.
    """
    for name, x in [*model.named_parameters(), *model.named_buffers()]:
        if not is_lazy(x) and x.is_meta:
            raise ValueError(
                f"{name} is on the meta device, where nothing can be loaded: build the module on "
                "the CPU, or on the device where it is to run"
            )
    names, expected = _plain_names(model), saved_state(model)
    state = dict(found)
    if not expected.keys() <= state.keys():  # as earlier versions wrote compiled and wrapped models
        state = {names.get(key, key).replace("._orig_mod.", "."): x for key, x in found.items()}
    if text := misfits(expected, {k: x for k, x in state.items() if not _ROWS.search(k)}):
        raise ValueError(f"{folder} does not fit the module: {text}; pass the saved architecture")
    keys = {name: key for key, name in names.items()}
    state = {keys.get(name, name): x for name, x in state.items()}
    try:
        odd = model.load_state_dict(state, strict=False)  # tied tensors are there once
    except RuntimeError as error:
        raise ValueError(f"{folder} cannot be loaded: {' '.join(str(error).split())}") from error
    if unknown := [key for key in (*odd.missing_keys, *odd.unexpected_keys) if _is_extra(key)]:
        raise ValueError(
            f"{folder} does not fit the module: extra state {', '.join(unknown)} is in one of them "
            "alone; pass the saved architecture"
        )
    now = model.state_dict()
    if lost := [key for key, x in state.items() if key in now and not _arrived(x, now[key])]:
        raise ValueError(
            f"{lost[0]} is not what {folder} holds after loading: the module shares its memory "
            "or changes it; pass the saved architecture"
        )


def _plain_names(model: nn.Module) -> dict[str, str]:
    """Return a model's keys, but for its own extra state, with those of the plain module."""
    shorter = []
    for path, module in model.named_modules(remove_duplicate=False):
        if (child := _wrapped(module)) is not None:
            prefix = f"{path}." if path else ""
            shorter.append((f"{prefix}{child}.", prefix))
    names = {}
    for key in model.state_dict():
        name = key
        for long, short in sorted(shorter, key=lambda pair: -len(pair[0])):  # the innermost first
            if key.startswith(long):
                name = short + name.removeprefix(long)
        names[key] = name
    names.pop("_extra_state", None)
    return names


def _wrapped(module: nn.Module) -> str | None:
    """Return the name of the one child of a wrapper; None for other modules."""
    kinds = {kind.__name__ for kind in type(module).__mro__ if kind.__module__[:6] == "torch."}
    for child, wrappers in _WRAPPERS.items():
        if kinds.intersection(wrappers):
            return child
    return None


def _number(x: Any) -> Any:
    """Return a number of NumPy as one of Python."""
    return x.item()


def _is_extra(key: str) -> bool:
    return key.rpartition(".")[2] == "_extra_state"


def _encoded(key: str, x: Any, folder: Path) -> Any:
    """Return extra state as JSON."""
    try:
        return encode(x)
    except ValueError as error:
        raise ValueError(
            f"{folder} is not written: {key} is {error}: let get_extra_state return a tensor, or "
            f"{WRITABLE}"
        ) from error


def _check_loadable(tensors: Mapping[str, Any], folder: Path) -> None:
    """Check that tensors can be written, and loaded again."""
    pairs = {
        key: torch.empty(0, dtype=x.dtype.to_real(), device="cpu")
        for key, x in tensors.items()
        if not not_dense(x) and x.is_complex()
    }
    check_storable({**tensors, **pairs}, str(folder))
    for key, x in tensors.items():
        steps = zip(x.stride(), x.shape, strict=True)
        repeats = any(step == 0 and size > 1 for step, size in steps)
        if repeats and x.numel() and not _is_extra(key):
            raise ValueError(
                f"{folder} is not written: {key} repeats its values in memory, as after expand(), "
                "and could not be loaded: register x.clone()"
            )


def _contiguous(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors on the CPU, complex ones as pairs, each alone in its memory.

    Only those that share memory, or are a part of it, are copied.
    """
    result, taken = {}, set()
    for key, x in tensors.items():
        x = x.detach().cpu().resolve_conj().resolve_neg()
        x = (torch.view_as_real(x) if x.is_complex() else x).contiguous()
        memory = x.untyped_storage()
        if memory.nbytes() != x.nbytes or memory.data_ptr() in taken:
            x = x.clone()
        taken.add(x.untyped_storage().data_ptr())
        result[key] = x
    return result


def _compare(tensors: Mapping[str, Tensor], path: Path, folder: Path) -> None:
    """Check that a file holds tensors bit for bit."""
    with safe_open(path, framework="pt") as file:
        wrong = [key for key, x in tensors.items() if not _same_bits(file.get_tensor(key), x)]
    if wrong:
        raise ValueError(
            f"{folder} is left as it was: {', '.join(wrong)} read back differently from what is in "
            "memory; save again while nothing changes the weights, and check the disk"
        )


def _arrived(saved: Any, loaded: Any) -> bool:
    """Say whether a module holds what was saved, in its own dtype."""
    if isinstance(saved, Tensor) and isinstance(loaded, Tensor):
        return _same_bits(saved.to(loaded.dtype), loaded)
    return bool(encode(saved) == encode(loaded))


def _same_bits(a: Tensor, b: Tensor) -> bool:
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    a, b = (x.detach().cpu().contiguous().reshape(-1).view(torch.uint8) for x in (a, b))
    return torch.equal(a, b)
