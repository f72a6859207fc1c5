"""The sequence-to-sequence models of the SCAN experiment.

The architecture is that of Gordon et al. (2020, "Permutation equivariant models for compositional
generalization in language") as used for equi-tuning by Basu et al. (2023): a bidirectional
recurrent encoder over the command, a recurrent decoder over the actions, dot-product attention.
"""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from equitune.actions import TokenPermutation
from equitune.combine import Mean, Select, Weighted
from equitune.config import SCAN_METHODS, Permutation, Seq2SeqModel
from equitune.io.names import nearest
from equitune.methods import METHODS
from equitune.saving.trained import read_trained
from equitune.scan import recurrence
from equitune.scan.data import SCAN, Sides, sides_of
from equitune.scan.equivariant import make_equivariant
from equitune.scan.recurrence import CELLS
from equitune.scan.run import ScanRun
from equitune.scan.words import word_group
from equitune.symmetrize import EquiTuned

PADDING = 0  # also the decoder's start token, which never stands inside a sequence


class Memory(NamedTuple):
    """What the decoder sees of the commands: all that decoding in steps has to carry along."""

    keys: Tensor  # (batch, length, 2 * hidden) encoder outputs
    mask: Tensor  # (batch, length) True where a command has a word
    state: tuple[Tensor, ...]  # each (batch, 2 * hidden): hidden; for an LSTM also the cell

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
    """Next-action model P(action_t | command, actions before t), for any recurrent cell.

    Args:
        architecture: the name of a cell in `recurrence.CELLS`.
        commands: size of the command vocabulary; id 0 is padding.
        actions: size of the action vocabulary; id 0 is the start token.
        embedding: width of the command embedding; the action embedding is 2 * hidden wide.
        hidden: width of each encoder direction; the decoder is 2 * hidden wide.
        dropout: probability of dropout on what the encoder gives for each word, and on what the
            decoder and its attention give for each action.

    Raises:
        ValueError: if there is no such cell.
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
        cell, width = CELLS[architecture].layer, 2 * hidden
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
        ids = torch.stack([commands, commands.gather(1, backwards)]).mT  # (2, length, batch)
        words = F.one_hot(ids, len(table)).to(table.dtype)
        start = table.new_zeros(2, len(commands), self.encoder.hidden_size)
        zeros = [start] * recurrence.cell_of(self.encoder).states
        states = recurrence.run(self.encoder, words, table, zeros)
        rows = torch.arange(len(commands), device=commands.device)
        forward, backward = states[0].transpose(1, 2)  # (batch, length, hidden)
        keys = torch.cat([forward, backward[rows[:, None], backwards]], -1)
        final = tuple(torch.cat([*s[:, last, rows]], -1) for s in states)
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
        states = recurrence.run(self.decoder, words, table, memory.state)
        h = states[0].transpose(0, 1)  # (batch, positions, width)
        scores = h @ memory.keys.transpose(1, 2)  # (batch, positions, length)
        scores = scores.masked_fill(~memory.mask[:, None, :], -torch.inf)
        context = scores.softmax(-1) @ memory.keys  # (batch, positions, width)
        mixed = self.mix(self.dropout(torch.cat([context, h], -1)))
        mixed = 2 * torch.sigmoid(2 * mixed) - 1  # tanh, in half its time on a CPU
        log_probabilities = self.output(mixed).log_softmax(-1)
        return log_probabilities, memory._replace(state=tuple(s[-1] for s in states))


def entropy(log_probabilities: Tensor) -> Tensor:
    """Entropy in nats of each position's distribution: (batch, positions, V) to (…, 1)."""
    return -(log_probabilities.exp() * log_probabilities).sum(-1, keepdim=True)


def importance(actions: int) -> nn.Module:
    """λ of λ-equitune: a positive weight from each position's log-probabilities."""
    return nn.Sequential(nn.Linear(actions, 16), nn.Tanh(), nn.Linear(16, 1), nn.Softplus())


# by `Method.combine`, of the number of actions; the mean of one copy is that copy
COMBINE: dict[str | None, Callable[[int], nn.Module]] = {
    None: lambda _: Mean(),
    "mean": lambda _: Mean(),
    "weighted": lambda actions: Weighted(importance(actions)),
    "select": lambda _: Select(entropy),
}


def build(
    architecture: str,
    settings: Seq2SeqModel,
    method: str,
    permutation: Permutation,
    vocabularies: Sides = SCAN,
) -> EquiTuned:
    """Build an untrained model; a method that uses no group has the identity for one.

    Args:
        architecture: the name of a cell in `recurrence.CELLS`.
        settings: widths and dropout.
        method: one of `SCAN_METHODS`.
        permutation: the cycles of words that generate the group; none of them: the identity.
        vocabularies: of commands and of actions.

    Raises:
        ValueError: unknown method or architecture, or cycles that are not a permutation.
    """
    if method not in SCAN_METHODS:
        raise ValueError(f"unknown method {method!r}{nearest(method, SCAN_METHODS)}")
    words, actions = word_group(asdict(permutation), vocabularies)
    sizes = [len(side) for side in vocabularies]
    if METHODS[method].layers:
        return _of_layers(architecture, settings, words, actions, vocabularies)
    seq2seq = Seq2Seq(architecture, *sizes, **asdict(settings))
    return EquiTuned(
        seq2seq,
        (words, actions),
        actions.on_logits(),
        COMBINE[METHODS[method].combine](sizes[1]),
        dedupe=words.group.order > 1,
    )


def _of_layers(
    architecture: str,
    settings: Seq2SeqModel,
    words: TokenPermutation,
    actions: TokenPermutation,
    vocabularies: Sides,
) -> EquiTuned:
    """Build a model whose layers are equivariant, so that it has one copy of its input."""
    order = words.group.order
    wide = order * settings.embedding, order * settings.hidden
    sizes = len(vocabularies[0]), len(vocabularies[1])
    seq2seq = Seq2Seq(architecture, *sizes, *wide, settings.dropout)
    make_equivariant(seq2seq, words, actions)
    stay, still = word_group({}, vocabularies)
    return EquiTuned(seq2seq, (stay, still), still.on_logits())


def of_run(run: ScanRun) -> EquiTuned:
    """Build the untrained model of a run."""
    sides = sides_of(run.words)
    return build(run.architecture, run.model, run.method, run.permutation, sides)


def load(path: Path) -> tuple[EquiTuned, ScanRun]:
    """Read a model that `pretrain` or `tune` wrote, and its run.

    Args:
        path: model.safetensors, with config.json beside it.

    Raises:
        ValueError: a file is missing or cannot be read, or holds no model of this experiment.
    """
    model, run, _ = read_trained(path, ScanRun, lambda run, data: of_run(run))
    return model, run
