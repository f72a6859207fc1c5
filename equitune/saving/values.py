"""Python values as JSON and back, exactly."""

from __future__ import annotations

import base64
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from equitune import groups
from equitune.groups import FiniteGroup
from equitune.io.storable import unstorable

MODEST = 2**20  # bytes of a tensor that a file of settings may hold
WRITABLE = "numbers, texts, lists, tuples, dictionaries, groups, actions, tensors of up to 1 MiB"

# kinds with a `config` of their own, by a key that it has; actions, which have groups, add theirs
CONFIGURED: dict[str, tuple[type, Callable[[dict[str, Any]], Any]]] = {
    "group": (FiniteGroup, groups.from_config)
}


def encode(value: Any) -> Any:
    """Return a value as JSON, from which `decode` makes an equal one of the same type.

    Raises:
        ValueError: the value is not one of `WRITABLE`; the message names it.
    """
    kind = type(value)
    if value is None or kind in (bool, int, str):
        return value
    if kind is float:
        return value if math.isfinite(value) else {"float": repr(value)}
    if kind is list:
        return [encode(x) for x in value]
    if kind is tuple:
        return {"tuple": [encode(x) for x in value]}
    if kind is dict and all(type(key) is str for key in value):
        return {"dict": {key: encode(x) for key, x in value.items()}}
    if isinstance(value, Tensor):
        return {"tensor": _encode_tensor(value)}
    if kind is np.ndarray or isinstance(value, np.generic):
        tag = "array" if kind is np.ndarray else "scalar"
        if value.dtype.kind in "biufc":
            return {tag: _encode_array(value)}
    if any(isinstance(value, configured) for configured, _ in CONFIGURED.values()):
        return value.config()
    raise ValueError(f"of type {kind.__name__}")


class Unwritable(str):
    """Stands for a value that cannot be written, and says why."""


def encode_or_why(value: Any) -> Any:
    """Return what `encode` gives, or an `Unwritable` where it raises."""
    try:
        return encode(value)
    except Exception as error:  # of tensors of other kinds too, such as those of a trace
        return Unwritable(error)


def decode(value: Any) -> Any:
    """Return the value that `encode` wrote.

    Raises:
        ValueError: a tag is unknown.
    """
    if isinstance(value, list):
        return [decode(x) for x in value]
    if not isinstance(value, dict):
        return value
    for key, (_, read) in reversed(CONFIGURED.items()):
        if key in value:
            return read(value)
    tag: str = next(iter(value), "{}")
    content: Any = value.get(tag)
    match tag:
        case "float":
            return float(content)
        case "tuple":
            return tuple(decode(x) for x in content)
        case "dict":
            return {key: decode(x) for key, x in content.items()}
        case "tensor":
            return _decode_tensor(content)
        case "array":
            return _decode_array(content)
        case "scalar":
            return _decode_array(content)[()]
    raise ValueError(f"unknown kind of value {tag!r}: write it again with this version")


def _encode_tensor(x: Tensor) -> dict[str, Any]:
    if why := unstorable(x):
        raise ValueError(f"a tensor that {why}")
    if x.requires_grad:
        raise ValueError("a tensor that is trained")
    _check_size(x.nbytes)
    x = x.cpu().resolve_conj().resolve_neg().contiguous()
    data = _text(x.reshape(-1).view(torch.uint8).numpy())
    return {"dtype": str(x.dtype).removeprefix("torch."), "shape": list(x.shape), "data": data}


def _decode_tensor(content: dict[str, Any]) -> Tensor:
    dtype: torch.dtype = getattr(torch, content["dtype"])
    array = np.frombuffer(bytearray(base64.b64decode(content["data"])), np.uint8)
    return torch.from_numpy(array).view(dtype).reshape(content["shape"])


def _encode_array(x: NDArray[Any] | np.generic) -> dict[str, Any]:
    _check_size(x.nbytes)
    return {"dtype": x.dtype.str, "shape": list(x.shape), "data": _text(x)}


def _decode_array(content: dict[str, Any]) -> NDArray[Any]:
    data = bytearray(base64.b64decode(content["data"]))
    return np.frombuffer(data, content["dtype"]).reshape(content["shape"])


def _text(x: NDArray[Any] | np.generic) -> str:
    return base64.b64encode(x.tobytes()).decode()


def _check_size(size: int) -> None:
    if size > MODEST:
        raise ValueError(f"an array of {size / 2**20:.1f} MiB")
