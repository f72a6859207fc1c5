"""Python values as JSON and back, exactly; knows no action and no model."""

from __future__ import annotations

import base64
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from equitune import groups
from equitune.files import unstorable
from equitune.groups import FiniteGroup
from equitune.names import show

MODEST = 2**20  # bytes of a tensor that a file of settings may hold
WRITABLE = "numbers, texts, lists, tuples, dictionaries, groups, actions, tensors of up to 1 MiB"

# kinds with a `config` of their own, by the tag that stands before it; actions add theirs
CONFIGURED: dict[str, tuple[type, Callable[[dict[str, Any]], Any]]] = {
    "group": (FiniteGroup, groups.from_config)
}


def encode(value: Any) -> Any:
    """Return a value as JSON, from which `decode` makes an equal one of the same type.

    Raises:
        ValueError: the value is none of `WRITABLE`; the message names it.
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
            return {tag: {"dtype": value.dtype.str, **_encode_bytes(value.shape, value.tobytes())}}
    for tag, (configured, _) in CONFIGURED.items():
        if isinstance(value, configured):
            return {tag: value.config()}  # type: ignore[attr-defined]
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
        case "array" | "scalar":
            data = bytearray(base64.b64decode(content["data"]))
            array = np.frombuffer(data, content["dtype"]).reshape(content["shape"])
            return array if tag == "array" else array[()]
        case _ if tag in CONFIGURED:
            return CONFIGURED[tag][1](content)
    raise ValueError(f"unknown kind of value {show(tag)}: write it again with this version")


def _encode_tensor(x: Tensor) -> dict[str, Any]:
    if why := unstorable(x):
        raise ValueError(f"a tensor that {why}")
    if x.requires_grad:
        raise ValueError("a tensor that is trained")
    x = x.detach().cpu().resolve_conj().resolve_neg().contiguous()
    data = x.reshape(-1).view(torch.uint8).numpy().tobytes()
    return {"dtype": str(x.dtype).removeprefix("torch."), **_encode_bytes(tuple(x.shape), data)}


def _decode_tensor(content: dict[str, Any]) -> Tensor:
    dtype: torch.dtype = getattr(torch, content["dtype"])
    array = np.frombuffer(bytearray(base64.b64decode(content["data"])), np.uint8)
    with torch.device("cpu"):
        return torch.from_numpy(array).view(dtype).reshape(content["shape"])


def _encode_bytes(shape: tuple[int, ...], data: bytes) -> dict[str, Any]:
    if len(data) > MODEST:
        raise ValueError(f"an array of {len(data) / 2**20:.1f} MiB")
    return {"shape": list(shape), "data": base64.b64encode(data).decode()}
