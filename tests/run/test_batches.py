"""Batches of similar length."""

from itertools import pairwise

import pytest
import torch

from equitune.run.batches import length_buckets


def test_buckets_hold_every_example_once_and_little_padding():
    generator = torch.Generator().manual_seed(0)
    lengths = torch.randint(2, 50, (1000,), generator=generator)
    batches = length_buckets(lengths, 64, generator)
    assert torch.cat(batches).sort().values.tolist() == list(range(1000))
    assert sorted(map(len, batches)) == [1000 % 64] + [64] * (1000 // 64)

    def padded(batches):
        return sum(len(rows) * int(lengths[rows].max()) for rows in batches)

    ideal = int(lengths.sum())
    unsorted = torch.randperm(1000, generator=generator).split(64)
    assert padded(batches) < 1.25 * ideal < padded(unsorted)


def test_a_pool_is_sorted_and_pools_are_not():
    lengths = torch.arange(60) % 10
    batches = length_buckets(lengths, 5, torch.Generator().manual_seed(0), pool=4)
    assert [len(rows) for rows in batches] == [5] * 12
    for pool in (batches[:4], batches[4:8], batches[8:]):
        ranges = sorted((int(lengths[rows].min()), int(lengths[rows].max())) for rows in pool)
        for (_, high), (low, _) in pairwise(ranges):
            assert high <= low


def test_buckets_are_random_and_the_generator_decides():
    lengths = torch.tensor([1] * 50 + [2] * 50)

    def draw(seed):
        batches = length_buckets(lengths, 10, torch.Generator().manual_seed(seed))
        return [rows.tolist() for rows in batches]

    assert draw(0) == draw(0)
    assert len({tuple(draw(seed)[0]) for seed in range(5)}) == 5
    orders = {tuple(int(lengths[rows[0]]) for rows in draw(seed)) for seed in range(5)}
    assert len(orders) > 1
    assert {order[0] for order in orders} == {1, 2}  # the shortest do not always come first


def test_buckets_of_nothing_and_of_no_size():
    generator = torch.Generator()
    assert length_buckets(torch.zeros(0, dtype=torch.long), 4, generator) == []
    with pytest.raises(ValueError, match="batch_size is 0"):
        length_buckets(torch.ones(3, dtype=torch.long), 0, generator)
