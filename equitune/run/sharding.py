"""Weights of which each rank keeps a part while it trains: FSDP2, and the way back.

`torch.distributed.fsdp.fully_shard` makes each weight a DTensor, whose part on a rank is gathered
before it is used and given up afterwards; gradients and the optimizer's state are parts likewise.
It changes the model in place and has no way back, so `shard` notes how the model was.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor


def shard(root: nn.Module, device: torch.device, ranks: int) -> Callable[[], None]:
    """Divide a module's weights among the ranks; its forward gathers them.

    The modules of an `nn.ModuleList`, as the blocks of a transformer, are gathered one by one, all
    other weights together at the start of the forward of `root`.

    Args:
        root: whose forward, and nothing else, runs what is inside.
        device: of this rank.
        ranks: how many there are.

    Returns:
        What makes all weights whole again, on every rank, in the parameters that they had before.

    Raises:
        ValueError: the weights of a module inside were divided before in this process.
    """
    before = [_Before(module) for module in root.modules()]
    mesh = init_device_mesh(device.type, (ranks,))
    try:
        for module in (*_blocks(root), root):
            fully_shard(module, mesh=mesh)
    except AssertionError as error:  # torch does not forget what it has divided
        raise ValueError(
            "the weights of this model were divided among the ranks before: build it anew to "
            "train it again with training.shard"
        ) from error
    for each in before:
        each.give_up()

    def restore() -> None:
        for each in before:
            each.gather()
        for each in before:
            each.restore()

    return restore


class _Before:
    """A module as it was before its weights were divided."""

    def __init__(self, module: nn.Module) -> None:
        """Note its class, its parameters, its other attributes and what is hooked to it."""
        self.module, self.kind = module, type(module)
        self.weights, self.known = dict(module._parameters), set(vars(module))
        self.hooks = {
            name: value.copy()
            for name, value in vars(module).items()
            if name.endswith("hooks") and isinstance(value, dict)
        }

    def give_up(self) -> None:
        """Free the whole weights, of which each rank has its part now."""
        self.added = vars(self.module).keys() - self.known
        for weight in self.weights.values():
            if weight is not None:
                weight.data = weight.data.new_empty(0)

    def gather(self) -> None:
        """Put the whole weights of now into the parameters; one of two modules has it once."""
        for name, weight in self.weights.items():
            part = self.module._parameters[name]
            if weight is not None and part is not None and not weight.numel():
                weight.data = gathered(part.detach())

    def restore(self) -> None:
        """Make the module what it was, with these parameters."""
        self.module.__class__ = self.kind
        self.module._parameters.update(self.weights)
        for name in self.added:
            vars(self.module).pop(name, None)
        for name, registered in self.hooks.items():
            vars(self.module)[name].clear()
            vars(self.module)[name].update(registered)


def _blocks(root: nn.Module) -> Iterator[nn.Module]:
    """Yield the modules of lists, those inside another one left out."""
    for child in root.children():
        yield from child if isinstance(child, nn.ModuleList) else _blocks(child)


def gathered(content: Any) -> Any:
    """Return a tree of dictionaries, lists and tuples with whole tensors on every rank."""
    if isinstance(content, DTensor):
        return content.full_tensor()
    if isinstance(content, dict):
        return {key: gathered(value) for key, value in content.items()}
    if isinstance(content, (list, tuple)):
        return type(content)(gathered(value) for value in content)
    return content


def divided(state: dict[str, Any], optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Return an optimizer's state of whole tensors as this rank's parts.

    Args:
        state: what `state_dict` of an optimizer of whole weights returns.
        optimizer: of weights that are divided.
    """
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]

    def part(value: Any, weight: Tensor) -> Any:
        if isinstance(value, Tensor) and isinstance(weight, DTensor) and value.ndim:
            value = value.to(weight.device, weight.dtype)
            return distribute_tensor(value, weight.device_mesh, weight.placements)
        return value

    each = {
        place: {name: part(value, weights[place]) for name, value in own.items()}
        for place, own in state["state"].items()
    }
    return {**state, "state": each}
