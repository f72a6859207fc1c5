"""Where a GPU's memory is full a step is done again with fewer copies at once.

The full memory is pretended: a module that refuses more rows than it has room for.
"""

import logging

import pytest
import torch
from torch import nn

from equitune import EquiTuned, actions
from equitune.run import memory

BATCH = 3


class Room(nn.Module):
    """Takes this many rows, and raises what CUDA raises for more."""

    def __init__(self, rows):
        super().__init__()
        self.rows, self.refused = rows, 0
        self.layer = nn.Linear(16, 2)

    def forward(self, x):
        if len(x) > self.rows:
            self.refused += 1
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 TiB. More.")
        return self.layer(x.flatten(1))


def model(copies):
    rotate = actions.Rotate90()
    torch.manual_seed(0)
    return EquiTuned(Room(copies * BATCH), rotate, actions.Trivial(rotate.group))


IMAGES = torch.arange(BATCH * 16.0).reshape(BATCH, 4, 4) / 48


@pytest.mark.parametrize(("copies", "refused", "chunk"), [(4, 0, None), (3, 1, 2), (1, 2, 1)])
def test_chunks_are_halved_until_they_fit_and_stay_so(copies, refused, chunk):
    tight = model(copies)
    output = memory.relieved(tight, lambda: tight(IMAGES))
    assert torch.allclose(output, model(4)(IMAGES))
    assert (tight.module.refused, tight.chunk_size) == (refused, chunk)
    tight(IMAGES)  # the next step fits at once
    assert tight.module.refused == refused


def test_the_log_says_what_to_set(caplog):
    tight = model(2)
    with caplog.at_level(logging.WARNING):
        memory.relieved(tight, lambda: tight(IMAGES))
    assert "CUDA out of memory: chunk_size is 2 from here on; set it to begin so" in caplog.text


def test_memory_for_less_than_one_copy_is_an_error_that_says_what_to_set():
    tight = model(0.5)
    with pytest.raises(MemoryError, match="with one copy of the orbit at a time: lower batch_size"):
        memory.relieved(tight, lambda: tight(IMAGES))


def test_a_model_without_a_group_has_nothing_to_halve():
    plain = Room(1)
    with pytest.raises(MemoryError, match="lower batch_size"):
        memory.relieved(plain, lambda: plain(IMAGES))
    assert plain.refused == 1


def test_sizes_come_back():
    both = nn.ModuleList([model(1), nn.Linear(1, 1), model(4)])
    memory.relieved(both[0], lambda: both[0](IMAGES))
    assert memory.chunk_sizes(both) == [1, None]
    other = nn.ModuleList([model(1), model(4)])
    memory.set_chunk_sizes(other, memory.chunk_sizes(both))
    assert memory.chunk_sizes(other) == [1, None]
