"""What a wrapped model takes and does, found by looking at it; knows no group."""

import inspect
from typing import Any

import torch
from torch import Tensor, nn


def takes(model: nn.Module, name: str) -> bool:
    """Say whether a model's forward has an argument of that name."""
    return name in inspect.signature(model.forward).parameters


def ends_with_head(model: Any, token: Tensor) -> bool:
    """Say whether the logits are a linear layer of the base model's last hidden state, no more.

    Some models scale or cap their logits afterwards; then the head cannot be taken alone.
    """
    head, base = model.get_output_embeddings(), model.base_model
    if not isinstance(head, nn.Linear) or base is model:
        return False
    seen: list[Tensor] = []
    hooks = [
        base.register_forward_hook(lambda _m, _i, output: seen.append(output[0])),
        head.register_forward_hook(lambda _m, inputs, output: seen.extend((inputs[0], output))),
    ]
    try:
        with torch.no_grad():
            logits = model(token, use_cache=False).logits
    finally:
        for hook in hooks:
            hook.remove()
    return len(seen) == 3 and torch.equal(seen[0], seen[1]) and torch.equal(seen[2], logits)
