"""The processes that train one model: one, or several ranks under a launcher.

Every rank draws the same batches and computes the loss of its own rows; gradients are summed over
the ranks, so that all take the step that one process would take on the whole batch. torchrun,
`accelerate launch` and `equitune --ranks` start the ranks; Hugging Face Accelerate connects them
and is imported where there are several.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from equitune.compat import extra
from equitune.config import Training
from equitune.run import world

logger = logging.getLogger(__name__)

T = TypeVar("T")
BATCH_NORM = nn.modules.batchnorm._BatchNorm


@dataclass(frozen=True)
class Part:
    """Rows that pass together.

    Attributes:
        rows: indices of examples.
        weight: of their mean loss in that of the whole batch.
    """

    rows: Tensor
    weight: float


def divide(batch: Tensor, pieces: int, terms: Callable[[Tensor], float]) -> list[Part]:
    """Divide a batch, so that the weighted losses of the parts add up to the loss of the batch.

    Args:
        batch: (rows,).
        pieces: how many parts; those that are left without rows get one of weight 0.
        terms: how many terms the mean loss of some rows is taken over.
    """
    if pieces == 1:
        return [Part(batch, 1.0)]
    whole = terms(batch)
    return [
        Part(rows, terms(rows) / whole) if len(rows) else Part(batch[:1], 0.0)
        for rows in torch.tensor_split(batch, pieces)
    ]


class Ranks:
    """One process, which has nobody to talk to."""

    count = 1
    place = 0

    def joined(self, model: nn.Module) -> Callable[[Callable[[], Tensor]], Tensor]:
        """Return what calls a loss of the model so that its gradients are summed over the ranks."""
        return lambda loss: loss()

    def alone(self, step: Any) -> AbstractContextManager[object]:
        """Return a context in which gradients are not summed yet, for parts before the last."""
        return nullcontext()

    def inside(self, step: Any, function: Callable[[], T]) -> T:
        """Return what a function returns that runs the model without gradients."""
        return function()

    def gathered(self, content: T) -> T:
        """Return a tree of dictionaries and lists with whole tensors in the place of parts."""
        return content

    def divided(self, state: T, optimizer: torch.optim.Optimizer) -> T:
        """Return the state of an optimizer as this rank keeps it."""
        return state

    def restore(self) -> None:
        """Leave the model as it was before `joined`, with the weights that it has now."""

    def total(self, value: Tensor) -> Tensor:
        """Return the sum of a number over the ranks."""
        return value

    def agree(self, stop: str | None, save: bool) -> tuple[str | None, bool]:
        """Return why to stop, if any rank is to, and whether to save, if any is to."""
        return stop, save

    def first(self, value: Callable[[], T]) -> T:
        """Return what the first rank computes."""
        return value()

    def all(self, value: T) -> list[T]:
        """Return the values of all ranks."""
        return [value]

    def align(self, model: nn.Module) -> None:
        """Give every rank the buffers of the first, as running statistics."""


class SeveralRanks(Ranks):
    """One of several processes, connected by Accelerate.

    Args:
        device: of this rank's model.

    Raises:
        ValueError: Accelerate was asked to shard the model, which the loop does itself.
    """

    def __init__(self, device: torch.device) -> None:
        """Connect to the other ranks."""
        if os.environ.get("ACCELERATE_USE_FSDP", "false").lower() == "true":
            raise ValueError(
                "ACCELERATE_USE_FSDP is set: launch without FSDP and set training.shard to true, "
                "and the training loop shards the model itself (docs/scale.md)"
            )
        with extra("scale"):
            from accelerate import Accelerator

        os.environ.setdefault("OMP_NUM_THREADS", "1")  # else Accelerate chooses the threads
        self._accelerator = Accelerator(cpu=device.type == "cpu", mixed_precision="no")
        self._device = device
        self.count = self._accelerator.num_processes
        self.place = self._accelerator.process_index
        # flags go over the CPU, as a GPU that is asked has to finish first
        self._flags = torch.distributed.new_group(backend="gloo")

    def joined(self, model: nn.Module) -> Callable[[Callable[[], Tensor]], Tensor]:
        """Return the model's losses as a module of DDP; see `Ranks.joined`."""
        self._note_batch_norm(model)
        step: Callable[[Callable[[], Tensor]], Tensor] = self._accelerator.prepare(_Losses(model))
        return step

    def alone(self, step: Any) -> AbstractContextManager[object]:
        """Return a context without communication; see `Ranks.alone`."""
        context: AbstractContextManager[object] = self._accelerator.no_sync(step)
        return context

    def total(self, value: Tensor) -> Tensor:
        """Return the sum over the ranks."""
        total: Tensor = self._accelerator.reduce(value, "sum")
        return total

    def agree(self, stop: str | None, save: bool) -> tuple[str | None, bool]:
        """Return what any rank says; see `Ranks.agree`."""
        flags = torch.tensor([stop is not None, save], dtype=torch.int32)
        torch.distributed.all_reduce(flags, torch.distributed.ReduceOp.MAX, self._flags)
        if flags[0] and stop is None:
            stop = "another rank is asked to stop"
        return stop, bool(flags[1])

    def first(self, value: Callable[[], T]) -> T:
        """Return what the first rank computes; the others do not compute it."""
        box = [value() if self.place == 0 else None]
        torch.distributed.broadcast_object_list(box, 0, self._flags)
        return box[0]  # type: ignore[return-value]

    def all(self, value: T) -> list[T]:
        """Return the values of all ranks, in order."""
        values: list[Any] = [None] * self.count
        torch.distributed.all_gather_object(values, value, self._flags)
        return values

    def align(self, model: nn.Module) -> None:
        """Send the buffers of the first rank to all."""
        for buffer in model.buffers():
            torch.distributed.broadcast(buffer, 0)

    def _note_batch_norm(self, model: nn.Module) -> None:
        if self.place == 0 and any(isinstance(m, BATCH_NORM) for m in model.modules()):
            logger.info(
                "BatchNorm normalises by the rows of each rank, and keeps the running statistics "
                "of rank 0"
            )


class ShardedRanks(SeveralRanks):
    """One of several processes, each of which keeps a part of the weights; see `sharding`."""

    def joined(self, model: nn.Module) -> Callable[[Callable[[], Tensor]], Tensor]:
        """Divide the model's weights; return what gathers them for a loss, see `Ranks.joined`."""
        from equitune.run import sharding

        self._note_batch_norm(model)
        step, self._sharding = _Losses(model), sharding
        self._restore = sharding.shard(step, self._device, self.count)
        return step

    @contextmanager
    def alone(self, step: Any) -> Iterator[None]:
        """Return a context in which gradients are not summed yet; see `Ranks.alone`."""
        step.set_requires_gradient_sync(False)
        try:
            yield
        finally:
            step.set_requires_gradient_sync(True)

    def inside(self, step: Any, function: Callable[[], T]) -> T:
        """Return what a function returns that runs the model, its weights gathered."""
        value: T = step(function)
        step.reshard()
        return value

    def gathered(self, content: T) -> T:
        """Return whole tensors in the place of parts, on every rank."""
        whole: T = self._sharding.gathered(content)
        return whole

    def divided(self, state: Any, optimizer: torch.optim.Optimizer) -> Any:
        """Return this rank's part of the state of an optimizer of whole weights."""
        return self._sharding.divided(state, optimizer)

    def restore(self) -> None:
        """Leave the model whole, on every rank."""
        self._restore()


class _Losses(nn.Module):
    """A model whose losses are functions without arguments: DDP and FSDP see weights, no inputs."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, loss: Callable[[], T]) -> T:
        """Return a loss of the model, or what else a function of it returns."""
        return loss()


def connect(device: torch.device, shard: bool = False) -> Ranks:
    """Return this process's rank among those that the launcher started.

    Args:
        device: of this rank's model.
        shard: several ranks keep a part of the weights each.
    """
    if world.count() == 1:
        return Ranks()
    return ShardedRanks(device) if shard else SeveralRanks(device)


def check_ranks(settings: Training, precision: str) -> None:
    """Refuse batches that leave a rank without rows, and what is not done on parts of weights.

    Raises:
        ValueError: the batch has fewer rows than there are parts, or float16 with `shard`.
    """
    ranks, each = world.count(), settings.accumulate
    if settings.batch_size < ranks * each:
        parts = f"{ranks} ranks" if ranks > 1 else ""
        parts += " of " * (ranks > 1 and each > 1) + (f"{each} parts" if each > 1 else "")
        raise ValueError(
            f"batch_size is {settings.batch_size} for {parts}: expected {ranks * each} or more, as "
            "each part of a step needs a row"
        )
    if settings.shard and ranks > 1 and precision == "float16":
        raise ValueError(
            "training.shard is true with precision float16: expected float32 or bfloat16, as the "
            "scale of float16 is not agreed on among ranks that each see a part of the gradients"
        )


def gradients(
    ranks: Ranks,
    step: Callable[[Callable[[], Tensor]], Tensor],
    parts: Sequence[Part],
    loss: Callable[[Tensor], Tensor],
    backward: Callable[[Tensor], None],
) -> Tensor:
    """Add the gradients of this rank's parts to those that are there.

    Args:
        ranks: of the training.
        step: what `joined` returned.
        parts: of this rank.
        loss: the mean loss of some rows.
        backward: adds the gradients of a value.

    Returns:
        This rank's share of the batch's loss, without its graph.
    """
    shares = []
    for number, part in enumerate(parts, 1):
        with ranks.alone(step) if number < len(parts) else nullcontext():
            value = step(partial(loss, part.rows))
            if part.weight == 1.0 and ranks.count == 1:
                shares.append(value.detach())
                backward(value)
                continue
            shares.append(value.detach() * part.weight)
            backward(value * (part.weight * ranks.count))  # DDP takes the mean over the ranks
    return shares[0] if len(shares) == 1 else torch.stack(shares).sum()
