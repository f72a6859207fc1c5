"""Tensors written as safetensors, from where they stand or while they are made: never copied whole.

The head is safetensors' own, of tensors without values, into which the sizes are put.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import torch
from safetensors.torch import save
from torch import Tensor

LENGTH = 8  # bytes, the first of a file, that say how long the head is


@dataclass(frozen=True)
class Parts:
    """A tensor that is made while it is written.

    Attributes:
        shape: of the whole.
        dtype: of the whole.
        parts: along the first dimension, in order; they are read once.
    """

    shape: Sequence[int]
    dtype: torch.dtype
    parts: Iterable[Tensor]


def write(
    file: BinaryIO, tensors: Mapping[str, Tensor | Parts], metadata: Mapping[str, str]
) -> None:
    """Write tensors to a file, the bytes that safetensors itself would write.

    Args:
        file: open for writing, at its beginning.
        tensors: by name, of any device, dense and of dtypes that safetensors has.
        metadata: texts by name.
    """
    head = _head(tensors, metadata)
    text = json.dumps(head, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % LENGTH)  # values begin at a multiple
    file.write(len(text).to_bytes(LENGTH, "little") + text)
    for tensor in (tensors[name] for name in head if name in tensors):
        for part in tensor.parts if isinstance(tensor, Parts) else (tensor,):
            file.write(_bytes(part))


def _head(tensors: Mapping[str, Tensor | Parts], metadata: Mapping[str, str]) -> dict[str, Any]:
    """Return what a file says of its tensors: dtype, shape and place by name, in their order."""
    empty = {
        name: torch.empty((0, 1), dtype=tensor.dtype, device="cpu")
        for name, tensor in tensors.items()
    }
    data = save(empty, dict(metadata))
    head: dict[str, Any] = json.loads(data[LENGTH:])
    end = 0
    for name, entry in head.items():
        if (tensor := tensors.get(name)) is None:
            continue
        shape, begin = [*tensor.shape], end
        if shape:
            shape[-1] *= entry["shape"][-1]  # two values to an element, of those of four bits
        end += math.prod(tensor.shape) * tensor.dtype.itemsize
        entry |= {"shape": shape, "data_offsets": [begin, end]}
    return head


def _bytes(tensor: Tensor) -> memoryview:
    """Return a tensor's values as they read, row by row; a copy only where they stand otherwise."""
    values = tensor.detach().resolve_conj().resolve_neg().cpu().contiguous()
    return values.reshape(-1).view(torch.uint8).numpy().data
