"""The SCAN models with torch's own recurrent layers, by which the project's are measured.

Each cell has the fastest way that torch's layers leave to compute the same model. Commands are
padded at the end, so an LSTM's encoder, whose last cell is needed of each command, takes packed
sequences; an RNN and a GRU hand on what they give out, and pass the padding as well.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from equitune.scan import recurrence
from equitune.scan.models import PADDING

LAYERS = {"RNN_TANH": torch.rnn_tanh, "GRU": torch.gru, "LSTM": torch.lstm}
NAMES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def run(
    cell: nn.RNNBase, words: Tensor, table: Tensor, state: Sequence[Tensor]
) -> tuple[Tensor, ...]:
    """Do what `equitune.scan.recurrence.run` does, with its arguments and results.

    Of an LSTM's cells every step has the last one, which is the one that is read.
    """
    if not cell.bidirectional:
        return _one_direction(cell, words, table, state, "")
    each = zip(("", "_reverse"), words, *state, strict=True)
    both = (_one_direction(cell, x, table, s, suffix) for suffix, x, *s in each)
    return tuple(torch.stack(x) for x in zip(*both, strict=True))


def _one_direction(
    cell: nn.RNNBase, words: Tensor, table: Tensor, state: Sequence[Tensor], suffix: str
) -> tuple[Tensor, ...]:
    """Run one direction over words (T, B, V) from the state, (B, H) each."""
    weights = [getattr(cell, f"{name}_l0{suffix}") for name in NAMES]
    options = True, 1, 0.0, cell.training, False  # biases, layers, dropout, directions
    layer, ids = LAYERS[cell.mode], words.argmax(-1)
    x, first = F.embedding(ids, table), [s[None] for s in state]
    if len(first) == 1:
        return (layer(x, first[0], weights, *options, False)[0],)
    if not cell.bidirectional:
        hidden, _, last = layer(x, first, weights, *options, False)
        return hidden, last.expand(hidden.shape)
    packed = pack_padded_sequence(x, (ids != PADDING).sum(0).cpu(), enforce_sorted=False)
    first = [s[:, packed.sorted_indices] for s in first]
    rows, _, last = layer(packed.data, packed.batch_sizes, first, weights, *options)
    hidden, _ = pad_packed_sequence(packed._replace(data=rows), total_length=len(ids))
    return hidden, last[:, packed.unsorted_indices].expand(hidden.shape)


@contextmanager
def torch_layers() -> Iterator[None]:
    """Let all SCAN models run on torch's layers: inside `with`, or in a function it decorates."""
    own = recurrence.run
    recurrence.run = run
    try:
        yield
    finally:
        recurrence.run = own
