"""What to do when a GPU's memory is full: fewer copies of an orbit at once."""

import logging
from collections.abc import Callable
from typing import Any, Protocol, TypeVar, runtime_checkable

import torch
from torch import nn

logger = logging.getLogger(__name__)

T = TypeVar("T")


@runtime_checkable
class Chunked(Protocol):
    """What can pass the copies of an orbit in chunks, as `EquiTuned` does."""

    group: Any  # FiniteGroup
    chunk_size: int | None


def relieved(model: nn.Module, compute: Callable[[], T], *, again: bool = True) -> T:
    """Return compute(); where memory runs out, again with half as many copies at once.

    The smaller `chunk_size` stays. What the failed try drew from random generators is drawn anew.

    Args:
        model: the model that compute runs; every `Chunked` module in it is made smaller.
        compute: a step, forward and backward, that can be done again.
        again: False for a step of several ranks, which no rank can do again by itself.

    Raises:
        MemoryError: it runs out with one copy at a time too, or is not done again; says what to
            set.
    """
    while True:
        try:
            return compute()
        except torch.OutOfMemoryError as error:
            reason = str(error).partition(". ")[0]
        if not again:
            raise MemoryError(
                f"{reason}: a step of several ranks is not done again with fewer copies; set "
                "chunk_size, accumulate or a smaller batch_size"
            )
        # outside the except, where the error no longer keeps the step's tensors alive
        if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
            torch.cuda.empty_cache()
        at_once = halve_chunks(model)
        if at_once is None:
            raise MemoryError(
                f"{reason}, with one copy of the orbit at a time: lower batch_size, or set "
                "precision: bfloat16 where there is one to set"
            )
        logger.warning("%s: chunk_size is %d from here on; set it to begin so", reason, at_once)


def halve_chunks(model: nn.Module) -> int | None:
    """Halve the copies at once of every `Chunked` module; return the most, None if all have one."""
    changed = []
    for module in model.modules():
        if isinstance(module, Chunked):
            order = module.group.order
            at_once = min(module.chunk_size or order, order)
            if at_once > 1:
                module.chunk_size = at_once // 2
                changed.append(module.chunk_size)
    return max(changed, default=None)


def chunk_sizes(model: nn.Module) -> list[int | None]:
    """Return the `chunk_size` of every `Chunked` module, in order."""
    return [m.chunk_size for m in model.modules() if isinstance(m, Chunked)]


def set_chunk_sizes(model: nn.Module, sizes: list[int | None]) -> None:
    """Set what `chunk_sizes` returned."""
    modules = (m for m in model.modules() if isinstance(m, Chunked))
    for module, size in zip(modules, sizes, strict=True):
        module.chunk_size = size
