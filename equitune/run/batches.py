"""Batches of examples of similar length."""

import torch
from torch import Tensor


def length_buckets(
    lengths: Tensor, batch_size: int, generator: torch.Generator, pool: int = 8
) -> list[Tensor]:
    """Divide one epoch into batches of similar length, so that little is padding.

    The epoch is shuffled and cut into pools of a few batches; only within a pool are examples
    sorted. Sorting the whole epoch saves a little more padding, but then every batch has one
    length, and training is slower to converge (docs/scan.md has the measurement).

    Args:
        lengths: (n,).
        batch_size: examples in a batch; the last one of the last pool has the rest.
        generator: decides which examples share a pool, and the order of the batches in it.
        pool: batches in a pool.

    Returns:
        Index tensors, each (batch_size,) or the rest; every index 0 … n - 1 stands in one.

    Raises:
        ValueError: the batch size is not positive.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}: expected 1 or more")
    lengths, batches = lengths.cpu(), []
    shuffled = torch.randperm(len(lengths), generator=generator)
    for rows in torch.split(shuffled, batch_size * pool):
        sorted_rows = torch.split(rows[lengths[rows].argsort(stable=True)], batch_size)
        order = torch.randperm(len(sorted_rows), generator=generator).tolist()
        batches += [sorted_rows[place] for place in order if len(rows)]
    return batches
