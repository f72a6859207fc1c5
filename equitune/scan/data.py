"""SCAN as tensors: vocabularies, pairs, datasets, batches.

Ids: 0 opens a sequence of actions and pads every sequence, 1 ends it, words follow.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from equitune.io.files import load_tensors, save_tensors
from equitune.io.names import nearest, show
from equitune.io.places import check_file
from equitune.io.texts import lines_of, read_text
from equitune.scan.grammar import ACTION_WORDS, COMMAND_WORDS

START = PADDING = 0
END = 1
PARTS = ("train", "validation", "test")
SIDES = ("commands", "actions")
KIND = "SCAN dataset"
BYTE = 256  # ids that fit into one
CHUNK = 4096  # pairs

logger = logging.getLogger(__name__)


class Vocabulary:
    """The words of one side, with their ids.

    Args:
        words: the words, which take the ids from 2 on.
    """

    def __init__(self, words: Iterable[str]) -> None:
        """Number the words."""
        self.words = ("<start>", "<end>", *words)
        self._ids = {word: index for index, word in enumerate(self.words)}

    def __len__(self) -> int:
        """Return the number of ids, the two special ones included."""
        return len(self.words)

    def __repr__(self) -> str:
        """List the words."""
        return f"Vocabulary({', '.join(self.words)})"

    def index(self, word: str) -> int:
        """Return the id of a word.

        Raises:
            ValueError: the word is unknown; the nearest known ones are named.
        """
        try:
            return self._ids[word]
        except KeyError:
            raise ValueError(f"unknown word {show(word)}{nearest(word, self.words[2:])}") from None

    def encode(self, words: Iterable[str]) -> list[int]:
        """Return the ids of the words, without an end; errors as `index`."""
        return [self.index(word) for word in words]

    def decode(self, ids: Iterable[int] | Tensor) -> list[str]:
        """Return the words of ids (length,) before the first end token, or all if there is none.

        Raises:
            ValueError: an id is outside the vocabulary.
        """
        words = []
        for index in ids.tolist() if isinstance(ids, Tensor) else ids:
            if not 0 <= index < len(self):
                raise ValueError(f"id {index} is outside the vocabulary 0 … {len(self) - 1}")
            if index == END:
                break
            words.append(self.words[index])
        return words


COMMANDS = Vocabulary(COMMAND_WORDS)
ACTIONS = Vocabulary(ACTION_WORDS)
Sides = tuple[Vocabulary, Vocabulary]  # of commands, and of actions
SCAN: Sides = (COMMANDS, ACTIONS)


def vocabularies(train: Sequence[tuple[str, str]], test: Sequence[tuple[str, str]]) -> Sides:
    """Return the vocabularies of some pairs: SCAN's, where they have no other word.

    A word that the test pairs alone have is warned of: nothing can be learned of it.
    """
    found = []
    for place, known in enumerate(SCAN):
        learned, tested = (
            {w for pair in part for w in pair[place].split()} for part in (train, test)
        )
        if unseen := sorted(tested - learned):
            logger.warning("words that no training pair has: %s", ", ".join(unseen[:5]))
        words = learned | tested
        found.append(known if words <= {*known.words} else Vocabulary(sorted(words)))
    return found[0], found[1]


def words_of(sides: Sides) -> dict[str, list[str]] | None:
    """Return the words of vocabularies as plain data; None for SCAN's own."""
    if sides[0].words == COMMANDS.words and sides[1].words == ACTIONS.words:
        return None
    return {name: [*side.words[2:]] for name, side in zip(SIDES, sides, strict=True)}


def sides_of(words: Mapping[str, Sequence[str]] | None) -> Sides:
    """Return the vocabularies that `words_of` gave."""
    return SCAN if words is None else (Vocabulary(words[SIDES[0]]), Vocabulary(words[SIDES[1]]))


@dataclass(frozen=True)
class Pairs:
    """Commands and their actions, row by row.

    Attributes:
        commands: (n, longest command + 1) ids, each row ended by 1 and padded with 0; of any type
            of integers, a byte each for SCAN's words.
        actions: (n, longest sequence of actions + 1) ids, likewise.
    """

    commands: Tensor
    actions: Tensor

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self.commands)

    def __getitem__(self, rows: Tensor | slice | Sequence[int]) -> Pairs:
        """Return the pairs at the rows: indices (m,), a mask (n,) or a slice; widths are kept."""
        return Pairs(self.commands[rows], self.actions[rows])

    def to(self, device: torch.device | str) -> Pairs:
        """Return the pairs on a device."""
        return Pairs(self.commands.to(device), self.actions.to(device))

    def trimmed(self) -> Pairs:
        """Return the pairs without the columns that hold padding only, as int64: a batch."""
        commands, actions = (side[:, (side != PADDING).any(0)].long() for side in self.sides)
        return Pairs(commands, actions)

    def prefixes(self) -> Tensor:
        """Return the actions before each position, the start in front: (n, positions) ids."""
        return torch.nn.functional.pad(self.actions, (1, -1), value=START)

    @property
    def sides(self) -> tuple[Tensor, Tensor]:
        """Commands and actions."""
        return self.commands, self.actions

    @property
    def lengths(self) -> Tensor:
        """The number of actions before the padding, the end included: (n,), for buckets."""
        # in parts: a sum is taken of eight bytes for each id
        return torch.cat([(part != PADDING).sum(1) for part in torch.split(self.actions, CHUNK)])

    @classmethod
    def encode(cls, pairs: Sequence[tuple[str, str]], sides: Sides = SCAN) -> Pairs:
        """Encode pairs of texts, by default in SCAN's own words.

        Raises:
            ValueError: there are none, or a word is unknown (the pair is shown).
        """
        if not pairs:
            raise ValueError("there are no pairs to encode: expected at least one")
        tables = tuple(
            np.full(
                (len(pairs), 1 + max(len(pair[place].split()) for pair in pairs)),
                PADDING,
                np.uint8 if len(vocabulary) <= BYTE else np.int32,
            )
            for place, vocabulary in enumerate(sides)
        )
        for row, pair in enumerate(pairs):
            try:
                for table, vocabulary, text in zip(tables, sides, pair, strict=True):
                    ids = [*vocabulary.encode(text.split()), END]
                    table[row, : len(ids)] = ids
            except ValueError as error:
                raise ValueError(f"pair {show(pair)}: {error}") from None
        return cls(*map(torch.from_numpy, tables))


LINE = re.compile(r"\s*IN:((?:\s+\S+)+?)\s+OUT:((?:\s+\S+)+)\s*")
COLUMNS = re.compile(r"([^\t]*[^\t\s][^\t]*)\t([^\t]*[^\t\s][^\t]*)")


def read_pairs(path: Path) -> list[tuple[str, str]]:
    """Read pairs of command and actions: lines in the published format, or two columns and a tab.

    Blank lines are passed over, and lines may end as on Windows.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is empty, is not UTF-8, or a line is neither "IN: … OUT: …" nor
            two columns; the file, the line and what is wrong are named.
    """
    check_file(path, "expected a file of lines IN: … OUT: …, as equitune scan split writes them")
    pairs = []
    lines = (line for piece in lines_of(read_text(path)) for line in piece.splitlines())
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        match = LINE.fullmatch(line) or COLUMNS.fullmatch(line)
        if not match:
            shown = line if len(line) < 60 else f"{line[:57]}..."
            raise ValueError(
                f"{path}:{number}: {shown!r}: expected a line such as 'IN: walk left OUT: "
                "I_TURN_LEFT I_WALK'"
            )
        pairs.append((" ".join(match[1].split()), " ".join(match[2].split())))
    if not pairs:
        raise ValueError(f"{path} is empty: expected lines such as 'IN: walk OUT: I_WALK'")
    return pairs


def build_dataset(
    train: Sequence[tuple[str, str]],
    test: Sequence[tuple[str, str]],
    seed: int,
    validation_fraction: float,
    subset: int | None = None,
    sides: Sides = SCAN,
) -> dict[str, Pairs]:
    """Split a validation part off the training pairs and encode all three parts.

    The validation part is drawn from the commands that stand in one line only; a command of
    several lines, as the bare "jump" of add_jump, keeps them all in the training part. The order
    of the pairs does not matter: the same pairs and seed give the same dataset.

    Args:
        train: pairs of command and actions, repetitions included.
        test: likewise.
        seed: decides what is drawn.
        validation_fraction: share of the commands of one line, between 0 and 1.
        subset: for trial runs, at most that many random pairs of each part.
        sides: the vocabularies of commands and actions.

    Returns:
        "train", "validation" and "test".

    Raises:
        ValueError: the fraction or the subset is out of range, or a part would be empty.
    """
    if not 0 < validation_fraction < 1:
        raise ValueError(f"validation_fraction is {validation_fraction}: expected 0 < it < 1")
    if subset is not None and subset < 1:
        raise ValueError(f"subset is {subset}: expected a positive number of pairs, or none")
    generator = torch.Generator().manual_seed(seed)
    train, test = sorted(train), sorted(test)
    lines = Counter(command for command, _ in train)
    single = [row for row, (command, _) in enumerate(train) if lines[command] == 1]
    number = round(validation_fraction * len(single))
    drawn = torch.randperm(len(single), generator=generator)[:number].tolist()
    held_out = {single[place] for place in drawn}
    parts = {
        "train": [pair for row, pair in enumerate(train) if row not in held_out],
        "validation": [pair for row, pair in enumerate(train) if row in held_out],
        "test": test,
    }
    for name, pairs in parts.items():
        if not pairs:
            raise ValueError(
                f"the {name} part is empty: {len(train)} training pairs, {len(single)} of them "
                f"with a command of their own, at validation_fraction {validation_fraction}"
            )
        if subset is not None:
            rows = torch.randperm(len(pairs), generator=generator)[:subset].sort().values
            parts[name] = [pairs[row] for row in rows.tolist()]
    return {name: Pairs.encode(pairs, sides) for name, pairs in parts.items()}


def save_dataset(path: Path, dataset: Mapping[str, Pairs], **facts: Any) -> None:
    """Write a dataset as safetensors, the same bytes every time.

    Args:
        path: the file to write.
        dataset: what `build_dataset` returned.
        **facts: JSON-able; task=, seed= and validation_fraction= at least. The counts are added.
    """
    tensors = {
        f"{name}.{side}": _small(getattr(pairs, side))
        for name, pairs in dataset.items()
        for side in SIDES
    }
    counts = {name: len(pairs) for name, pairs in dataset.items()}
    save_tensors(path, tensors, {"kind": KIND, **facts, "counts": counts})


def load_dataset(path: Path) -> tuple[dict[str, Pairs], dict[str, Any]]:
    """Return a dataset and the facts that `save_dataset` wrote, "counts" among them.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is truncated or no dataset of this experiment.
    """
    tensors, facts = load_tensors(path)
    expected = {f"{name}.{side}" for name in PARTS for side in SIDES}
    if facts.pop("kind", None) != KIND or tensors.keys() != expected:
        raise ValueError(f"{path} is not of kind {KIND}: make one with equitune scan dataset")
    dataset = {name: Pairs(*(tensors[f"{name}.{side}"] for side in SIDES)) for name in PARTS}
    return dataset, facts


def _small(ids: Tensor) -> Tensor:
    """Return ids in a byte each where they fit, as those of SCAN's vocabularies do."""
    return ids.to(torch.uint8 if int(ids.max()) < BYTE else torch.int32)
