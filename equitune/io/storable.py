"""What can be written to a file as a tensor, and why the rest cannot."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save
from torch.nn.parameter import is_lazy


def unstorable(x: Any) -> str:
    """Say why a value cannot be written to a file, for a message; "" where it can."""
    if (why := not_dense(x)) or _has_format(x.dtype):
        return why
    return f"is {x.dtype}, for which safetensors has no format"


def not_dense(x: Any) -> str:
    """Say why a value is not a dense tensor with values, for a message; "" where it is one."""
    if not isinstance(x, torch.Tensor):
        return f"is {type(x).__name__}, no tensor: a quantized module is saved before quantizing"
    if is_lazy(x):
        return "has no shape yet: run the module once before saving"
    if type(x).__torch_dispatch__ is not torch.Tensor.__torch_dispatch__:
        return f"is {type(x).__name__}, no plain tensor: turn it into one before saving"
    if x.is_meta:
        return "is on the meta device, without values: load the weights before saving"
    if x.is_quantized:
        return f"is {x.dtype}, quantized: save before quantizing, or x.dequantize()"
    if x.layout != torch.strided or x.is_nested:
        kind = "nested" if x.is_nested else str(x.layout)
        return f"is {kind}: make it dense before saving, as x.to_dense()"
    return ""


def check_storable(tensors: Mapping[str, Any], what: str) -> None:
    """Check that everything can be written as a tensor, before a file is touched.

    Raises:
        ValueError: something cannot; the first is named, and the others are counted.
    """
    faults = [f"{name} {why}" for name, x in tensors.items() if (why := unstorable(x))]
    if faults:
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        raise ValueError(f"{what} is not written: {faults[0]}{more}")


@cache
def _has_format(dtype: torch.dtype) -> bool:
    """Say whether the installed safetensors writes a dtype, by trying."""
    try:
        save({"x": torch.empty(0, dtype=dtype, device="cpu")})
    except (KeyError, ValueError, RuntimeError, SafetensorError):
        return False
    return True
