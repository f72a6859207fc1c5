"""Ways to spend less on the copies of an orbit: equal rows once, memory; knows no group."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


def checkpointed(module: nn.Module, call: Callable[..., Tensor], *rows: Tensor) -> Tensor:
    """Return call(*rows), forgetting activations until the backward pass computes them again.

    Args:
        module: the module that call runs; its buffers (running statistics) change only once.
        call: a function of the rows that runs the module.
        rows: tensors (n, …).
    """
    output: Tensor = checkpoint(
        call,
        *rows,
        use_reentrant=False,  # needs no input that requires a gradient, and restores the dropout
        context_fn=lambda: (nullcontext(), _LentBuffers(module)),
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


class _LentBuffers(AbstractContextManager[None]):
    """Lends a module copies of its buffers as they stand now, and takes them back at the end.

    So a later recomputation sees what the first one saw and leaves the originals alone; without it
    BatchNorm would count every chunk twice in its running statistics.
    """

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.copies = self._buffers(copy=True)
        self.originals: list[dict[str, Tensor | None]] = []

    def __enter__(self) -> None:
        self.originals = self._buffers(copy=False)
        for m, copies in zip(self.module.modules(), self.copies, strict=True):
            # cloned once more, as the graph may be walked again (retain_graph=True)
            m._buffers.update({k: b if b is None else b.clone() for k, b in copies.items()})

    def __exit__(self, *_: object) -> None:
        for m, originals in zip(self.module.modules(), self.originals, strict=True):
            m._buffers.update(originals)

    def _buffers(self, *, copy: bool) -> list[dict[str, Tensor | None]]:
        return [
            {k: b.clone() if copy and b is not None else b for k, b in m._buffers.items()}
            for m in self.module.modules()
        ]
