"""A training step in float32, or by autocast in half precision."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}


def precise(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """Return the context of a forward pass in "float32", "bfloat16" or "float16"."""
    if precision == "float32":
        return nullcontext()
    return torch.autocast(device.type, dtype=DTYPES[precision])


class Updates:
    """How gradients are computed and weights updated in a precision.

    In float16 small gradients would be 0: the loss is multiplied by a scale, and a step whose
    gradients are not finite is left out and the scale lowered (`torch.amp.GradScaler`).

    Args:
        optimizer: of the weights.
        parameters: whose gradients are clipped.
        clip: the largest gradient norm; 0: no limit.
        device: where the model is.
        precision: "float32", "bfloat16" or "float16".
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        parameters: Sequence[nn.Parameter],
        clip: float,
        *,
        device: torch.device,
        precision: str,
    ) -> None:
        """Store them, and make the scaler that float16 needs."""
        self.optimizer, self.parameters, self.clip = optimizer, parameters, clip
        self.device, self.precision = device, precision
        self.scaler = torch.amp.GradScaler(device.type) if precision == "float16" else None

    def autocast(self) -> AbstractContextManager[object]:
        """Return the context of the loss."""
        return precise(self.device, self.precision)

    def backward(self, loss: Tensor) -> None:
        """Add a loss's gradients, scaled in float16, to those that are there."""
        scaled = loss if self.scaler is None else self.scaler.scale(loss)
        scaled.backward()  # type: ignore[no-untyped-call]

    def step(self) -> bool:
        """Clip the gradients and update the weights; say whether they were finite."""
        if self.scaler is not None:
            self.scaler.unscale_(self.optimizer)
        if self.clip:
            nn.utils.clip_grad_norm_(self.parameters, self.clip)
        if self.scaler is None:
            self.optimizer.step()
            return True
        before = self.scaler.get_scale()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return self.scaler.get_scale() >= before

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the optimizer and of the scaler, if there is one."""
        scaler = {} if self.scaler is None else self.scaler.state_dict()
        return {"optimizer": self.optimizer.state_dict(), "scaler": scaler}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what `state_dict` returned."""
        self.optimizer.load_state_dict(state["optimizer"])
        if self.scaler is not None:
            self.scaler.load_state_dict(state["scaler"])
