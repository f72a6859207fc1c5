"""Tensors that belong to the code of an action, and whether values can be looked at."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor


class Constant:
    """A tensor that belongs to the code of an action, not to the state of a model.

    No state dict holds it, and no cast, move or average of a model changes it.

    Args:
        values: copied, so that later changes to them have no effect.
    """

    def __init__(self, values: Any) -> None:
        """Copy the values to the CPU."""
        values = values.detach().cpu().numpy() if isinstance(values, Tensor) else values
        self.array = np.array(values)  # NumPy's: real under any default device, in fake-tensor mode
        self.__setstate__({})

    def on(self, like: Tensor) -> Tensor:
        """Return the values on the device of a tensor; they must not be changed in place."""
        if like.device in self._tensors and (torch.compiler.is_compiling() or not _fake(like)):
            return self._tensors[like.device]
        if torch.compiler.is_compiling():
            return torch.from_numpy(self.array).to(like.device)
        with torch.inference_mode(False):  # a tensor made in it could not be used in training
            values = torch.from_numpy(self.array)
            if _fake(like) and not _fake(values):
                values = like.fake_mode.from_tensor(values)  # type: ignore[attr-defined]
            values = values.to(like.device)
        if not _fake(values):
            self._tensors[like.device] = values
        return values

    def __getstate__(self) -> dict[str, Any]:
        """Leave the tensors of each device out of copies and pickles."""
        return {"array": self.array}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Make the tensor on the CPU, so that a compiler finds it."""
        self.__dict__.update(state)
        self._tensors: dict[torch.device, Tensor] = {}
        self.on(torch.empty(0, device="cpu"))


def _fake(x: Tensor) -> bool:
    return hasattr(x, "fake_mode")


def readable(x: Tensor) -> bool:
    """Say whether the values of x can be looked at: not while tracing, under vmap or on meta."""
    if torch.compiler.is_compiling() or x.is_meta or x.numel() == 0:
        return False
    try:
        x.flatten()[0].item()
    except RuntimeError:  # vmap and fake tensors
        return False
    return True
