"""Ways to spend less on the copies of an orbit: equal rows once, memory; knows no group."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


def checkpointed(module: nn.Module, call: Callable[..., Tensor], *inputs: Any) -> Tensor:
    """Return call(*inputs), forgetting activations until the backward pass computes them again.

    The recomputation sees the weights and buffers that the call saw, also those that
    `torch.func.functional_call` lent to the module. Where a call cannot be repeated faithfully, the
    activations are kept: in scripted and compiled modules, of which some backends forget dropout
    masks and buffers, and under the transforms of torch.func.

    Args:
        module: the module that call runs; its buffers (running statistics) change only once.
        call: a function of the inputs that runs the module.
        inputs: what call takes.

    Raises:
        RuntimeError: in the backward pass, if a weight was changed in place since the call.
    """
    traced = torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active()
    if traced or any(isinstance(m, torch.jit.ScriptModule) for m in module.modules()):
        return call(*inputs)
    output: Tensor = checkpoint(
        call,
        *inputs,
        use_reentrant=False,  # needs no input that requires a gradient, and restores the dropout
        context_fn=lambda: (nullcontext(), _AsItWas(module)),
    )
    return output


def unique_rows(copies: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Return where each different row first stands, in order, and for each row which one it is.

    Args:
        copies: one tensor of integers (n, …) for each input; rows are compared in all of them.

    Returns:
        The places of the different rows, (different,), and the number of each row's own, (n,).

    Raises:
        TypeError: a tensor is not of integers.
    """
    for place, rows in enumerate(copies):
        if rows.is_floating_point() or rows.is_complex():
            raise TypeError(
                f"dedupe=True, but input {place} is {rows.dtype}: expected integers, as token ids; "
                "pass dedupe=False"
            )
    keys = torch.cat([rows.reshape(rows.shape[0], -1).long() for rows in copies], dim=1)
    _, origin = torch.unique(keys, dim=0, return_inverse=True)
    places = torch.arange(len(keys), device=keys.device)
    first = places.new_full((len(keys),), len(keys)).scatter_reduce(0, origin, places, "amin")
    first = first[first < len(keys)]
    first, by_place = first.sort()  # order of appearance: without repeats the batch is unchanged
    return first, by_place.argsort()[origin]


class _AsItWas(AbstractContextManager[None]):
    """Gives a module the weights and buffers of now for a while, and takes them back at the end.

    Weights are those lent by functional_call where there are such; of buffers the module gets
    copies, so that BatchNorm counts no chunk twice in its running statistics.
    """

    def __init__(self, module: nn.Module) -> None:
        self.modules = list(module.modules())
        self.weights = [dict(m._parameters) for m in self.modules]
        self.versions = [_versions(weights) for weights in self.weights]
        self.buffers = [
            {k: b if b is None else b.detach().clone() for k, b in m._buffers.items()}
            for m in self.modules
        ]
        self.own: list[tuple[dict[str, Any], dict[str, Any]]] = []

    def __enter__(self) -> None:
        for m, weights, versions in zip(self.modules, self.weights, self.versions, strict=True):
            for name, version in _versions(weights).items():
                if version != versions[name]:
                    raise RuntimeError(
                        f"{name} of {type(m).__name__} was changed in place after the forward "
                        "pass: with chunk_size the backward pass computes copies again and needs "
                        "the weights as they were; call backward() before optimizer.step(), or "
                        "leave chunk_size out"
                    )
        self.own = [(dict(m._parameters), dict(m._buffers)) for m in self.modules]
        for m, weights, buffers in zip(self.modules, self.weights, self.buffers, strict=True):
            m._parameters.update({k: w for k, w in weights.items() if _plain(w)})
            # cloned once more, as the graph may be walked again (retain_graph=True)
            m._buffers.update({k: b if b is None else b.clone() for k, b in buffers.items()})

    def __exit__(self, *_: object) -> None:
        for m, (weights, buffers) in zip(self.modules, self.own, strict=True):
            m._parameters.update(weights)
            m._buffers.update(buffers)


def _versions(weights: Mapping[str, Tensor | None]) -> dict[str, int]:
    """Return how often each weight has been changed in place."""
    return {name: w._version for name, w in weights.items() if w is not None}


def _plain(weight: Tensor | None) -> bool:
    """Say whether a weight is whole: those that FSDP shards are gathered by its own hooks."""
    return type(weight) in (Tensor, nn.Parameter)
