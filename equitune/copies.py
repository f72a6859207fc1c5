"""The copies of an orbit: made, moved back, and computed with less time or memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from equitune.actions import Action

T = TypeVar("T")


class Parts(NamedTuple):
    """Outputs of copies of several shapes, those of one shape together.

    Attributes:
        outputs: for each shape what the model returned, (elements, batch, …), nested as it does.
        elements: for each shape those of the group that gave it.
    """

    outputs: tuple[Any, ...]
    elements: tuple[Sequence[int], ...]


def of_one_shape(
    pairs: Sequence[tuple[Action, Tensor]], elements: Sequence[int] | Tensor
) -> list[Any]:
    """Return the elements in lists, of each of which the copies of all inputs have one shape.

    Args:
        pairs: each input that has an action, (batch, …), with it.
        elements: of which copies are to be made; drawn ones while compiling are a tensor, and are
            not told apart.
    """
    changing = [(action, x[:0]) for action, x in pairs if not action.keeps_shape]
    if not changing or isinstance(elements, Tensor):
        return [elements]
    alike: dict[Any, list[int]] = {}
    for g in elements:
        alike.setdefault(tuple(action(g, x).shape for action, x in changing), []).append(g)
    return list(alike.values())


def drawn(order: int, count: int) -> Sequence[int] | Tensor:
    """Return some different elements of a group, drawn at random; while compiling as a tensor."""
    elements = torch.randperm(order, device="cpu")[:count]
    return elements if torch.compiler.is_compiling() else elements.tolist()


def moved(action: Action, elements: Sequence[int] | Tensor, x: Tensor) -> Tensor:
    """Return x moved by some elements, along the batch, in the memory format of x."""
    if isinstance(elements, Tensor):
        each = elements.to(x.device).repeat_interleave(x.shape[0])
        copies = action(each, x.repeat(len(elements), *[1] * (x.ndim - 1)))
    elif len(elements) == action.group.order:
        copies = action.orbit(x).flatten(0, 1)
    else:
        copies = torch.cat([action(g, x) for g in elements])
    if x.is_contiguous():
        return copies.contiguous()  # views that are turned stay so when they are joined
    for dimensions, layout in ((4, torch.channels_last), (5, torch.channels_last_3d)):
        if x.ndim == dimensions and x.is_contiguous(memory_format=layout):
            return copies.contiguous(memory_format=layout)
    return copies


def moved_back(action: Action, elements: Sequence[int] | Tensor | None, ys: Tensor) -> Tensor:
    """Return g⁻¹ys[i] for the element g at each place i; None for all of the group.

    Args:
        action: how the group moves an output.
        elements: of which there are outputs.
        ys: (elements, batch, …).

    Returns:
        In the shape of ys.
    """
    if elements is None:
        return action.unorbit(ys)
    if isinstance(elements, Tensor):
        each = elements.to(ys.device).repeat_interleave(ys.shape[1])
        return action.inverse(each, ys.flatten(0, 1)).reshape(ys.shape)
    return torch.stack([action.inverse(g, y) for g, y in zip(elements, ys, strict=True)])


def checkpointed(module: nn.Module, call: Callable[..., T], *inputs: Any) -> T:
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
    output: T = checkpoint(
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
    # a dictionary of bytes: sorting the rows took two to six times as long
    places: dict[bytes, int] = {}
    own = [places.setdefault(row, i) for i, row in enumerate(map(bytes, keys.cpu().numpy()))]
    first = torch.tensor(list(places.values()), dtype=torch.long, device=keys.device)
    return first, torch.searchsorted(first, torch.tensor(own, device=keys.device, dtype=torch.long))


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
