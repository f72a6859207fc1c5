"""The sequence-to-sequence models of the SCAN experiment; they know no group, no file and no task.

The architecture is that of Gordon et al. (2020, "Permutation equivariant models for compositional
generalization in language") as used for equi-tuning by Basu et al. (2023): a bidirectional
recurrent encoder over the command, a recurrent decoder over the actions, dot-product attention.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from equitune.names import nearest
from equitune.scan.recurrence import run

CELLS: dict[str, Callable[..., nn.RNNBase]] = {"RNN": nn.RNN, "GRU": nn.GRU, "LSTM": nn.LSTM}

PADDING = 0  # also the decoder's start token, which never stands inside a sequence


class Memory(NamedTuple):
    """What the decoder sees of the commands: all that decoding in steps has to carry along."""

    keys: Tensor  # (batch, length, 2 * hidden) encoder outputs
    mask: Tensor  # (batch, length) True where a command has a word
    state: tuple[Tensor, ...]  # each (batch, 2 * hidden); LSTM: hidden and cell, else hidden

    def select(self, rows: Tensor) -> "Memory":
        """Keep the given rows, in the given order: rows (n,) integer indices."""
        return Memory(self.keys[rows], self.mask[rows], tuple(s[rows] for s in self.state))


class Dropout(nn.Dropout):
    """`torch.nn.Dropout` from 16 random bits an entry, in a fifth of its time on a CPU.

    The probability is rounded to a multiple of 2⁻¹⁶.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return x (any shape), in training with entries zeroed and the others scaled up."""
        if not self.training or self.p == 0 or x.device.type != "cpu":
            return super().forward(x)
        # one 64-bit number holds four entries; from the lowest to None: all 64 bits
        bits = torch.empty(-(-x.numel() // 4), dtype=torch.int64)
        bits.random_(torch.iinfo(torch.int64).min, None)
        dropped = round(self.p * 2**16) - 2**15  # of numbers from -2¹⁵ on
        kept = bits.view(torch.int16)[: x.numel()].view(x.shape) >= dropped
        return x * (kept.to(x.dtype) / (1 - self.p))


class Seq2Seq(nn.Module):
    """Next-action model P(action_t | command, actions before t), for RNN, GRU or LSTM cells.

    Args:
        architecture: one of "RNN", "GRU", "LSTM".
        commands: size of the command vocabulary; id 0 is padding.
        actions: size of the action vocabulary; id 0 is the start token.
        embedding: width of the command embedding; the action embedding is 2 * hidden wide.
        hidden: width of each encoder direction; the decoder is 2 * hidden wide.
        dropout: probability of dropout on what the encoder gives for each word, and on what the
            decoder and its attention give for each action.

    Raises:
        ValueError: if the architecture is not one of the three.
    """

    def __init__(
        self,
        architecture: str,
        commands: int,
        actions: int,
        embedding: int = 64,
        hidden: int = 64,
        dropout: float = 0.1,
    ) -> None:
        """Make the layers and their first weights; see the class."""
        super().__init__()
        if architecture not in CELLS:
            raise ValueError(f"unknown architecture {architecture!r}{nearest(architecture, CELLS)}")
        cell, width = CELLS[architecture], 2 * hidden
        self.command_embedding = nn.Embedding(commands, embedding)
        self.encoder = cell(embedding, hidden, batch_first=True, bidirectional=True)
        self.action_embedding = nn.Embedding(actions, width)
        self.decoder = cell(width, width, batch_first=True)
        self.mix = nn.Linear(2 * width, width)
        self.output = nn.Linear(width, actions)
        self.dropout = Dropout(dropout)
        self._initialize()

    def _initialize(self) -> None:
        """Small embeddings and orthogonal recurrent weights: docs/scan.md has what each brought."""
        for embedding in (self.command_embedding, self.action_embedding):
            nn.init.normal_(embedding.weight, std=0.1)
        for cell in (self.encoder, self.decoder):
            for name, parameter in cell.named_parameters():
                if name.startswith("weight_hh"):
                    for gate in parameter.detach().chunk(len(parameter) // cell.hidden_size):
                        nn.init.orthogonal_(gate)

    def forward(self, commands: Tensor, prefixes: Tensor) -> Tensor:
        """Log-probabilities of every next action, all positions at once (teacher forcing).

        Args:
            commands: (batch, length) ids, padded at the end with 0.
            prefixes: (batch, positions) ids of the actions before each position: the start
                token, then the actions.

        Returns:
            (batch, positions, actions) log-probabilities.
        """
        log_probabilities, _ = self.decode(prefixes, self.encode(commands))
        return log_probabilities

    def encode(self, commands: Tensor) -> Memory:
        """Read the commands, (batch, length) ids padded at the end with 0."""
        mask = commands != PADDING
        last = mask.sum(1) - 1
        steps = torch.arange(commands.shape[1], device=commands.device)
        # each command reversed within its own length, so that the padding stays at the end
        backwards = torch.where(mask, last[:, None] - steps, steps)
        table = self.command_embedding.weight
        states = []
        for order in (None, backwards):
            ids = commands if order is None else commands.gather(1, order)
            words = F.one_hot(ids.t(), len(table)).to(table.dtype)  # (length, batch, vocabulary)
            start = table.new_zeros(len(commands), self.encoder.hidden_size)
            zeros = [start] * (2 if self.encoder.mode == "LSTM" else 1)
            states.append(run(self.encoder, words, table, zeros, reverse=order is not None))
        rows = torch.arange(len(commands), device=commands.device)
        forward, backward = (s[0].transpose(0, 1) for s in states)  # (batch, length, hidden)
        keys = torch.cat([forward, backward[rows[:, None], backwards]], -1)
        final = tuple(
            torch.cat([s[last, rows] for s in pair], -1) for pair in zip(*states, strict=True)
        )
        return Memory(self.dropout(keys), mask, final)

    def decode(self, tokens: Tensor, memory: Memory) -> tuple[Tensor, Memory]:
        """Feed tokens to the decoder and give the log-probabilities of what follows each.

        Args:
            tokens: (batch, positions) action ids; one position when decoding in steps.
            memory: the encoded commands with the decoder's state before the first token.

        Returns:
            (batch, positions, actions) log-probabilities, and the memory after the last token.
        """
        table = self.action_embedding.weight
        words = F.one_hot(tokens.t(), len(table)).to(table.dtype)  # (positions, batch, vocabulary)
        states = run(self.decoder, words, table, memory.state)
        h = states[0].transpose(0, 1)  # (batch, positions, width)
        scores = h @ memory.keys.transpose(1, 2)  # (batch, positions, length)
        scores = scores.masked_fill(~memory.mask[:, None, :], -torch.inf)
        context = scores.softmax(-1) @ memory.keys  # (batch, positions, width)
        mixed = self.mix(self.dropout(torch.cat([context, h], -1)))
        mixed = 2 * torch.sigmoid(2 * mixed) - 1  # tanh, in half its time on a CPU
        log_probabilities = self.output(mixed).log_softmax(-1)
        return log_probabilities, memory._replace(state=tuple(s[-1] for s in states))
