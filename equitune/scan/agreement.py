"""Permutations of words compared with the pairs of a split's files."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence

from equitune.io.names import shorten
from equitune.scan.data import SIDES, Sides
from equitune.scan.words import word_group

LINE = 60  # letters of a line in a message
# a wrong permutation fits some pairs by luck: a smaller share than this is refused
AGREEING = 0.05

logger = logging.getLogger(__name__)

Cycles = Mapping[str, Sequence[Sequence[str]]]


def check_permutation(
    key: str, cycles: Cycles, pairs: Iterable[tuple[str, str]], sides: Sides, files: str
) -> None:
    """Check that a permutation takes the pairs of some files to pairs of these files.

    Equivariant methods give a moved command the moved actions. Where the files have the moved
    command with other actions, the permutation is not a symmetry of the task. Commands whose moved
    form is not in the files say nothing, and neither do pairs that do not move.

    Args:
        key: of the permutation, with which a message opens.
        cycles: as `word_group` takes them.
        pairs: commands and actions, of training and of testing.
        sides: the vocabularies of the files.
        files: what the message calls them.

    Raises:
        ValueError: a word is in none of the files, the cycles are no permutation, or next to no
            moved command has the moved actions.
    """
    for side, known in zip(SIDES, sides, strict=True):
        for word in (word for cycle in cycles.get(side, ()) for word in cycle):
            if word not in known.words:
                # the message has the nearest words of the files
                _group(key, cycles, sides, f": not a word of {files}")
    _group(key, cycles, sides)
    compared, contradictions = _compare(cycles, pairs)
    if not contradictions:
        return
    agreeing = compared - len(contradictions)
    shown = tuple(shorten(line, LINE) for line in contradictions[0])
    numbers = f"{agreeing} of {compared} moved commands in {files} have the moved actions"
    example = f"{shown[0]!r} is moved to {shown[1]!r}, but the file has {shown[2]!r}"
    if agreeing < AGREEING * compared:
        raise ValueError(
            f"{key} does not fit the lines: {example} ({numbers}): give the cycles of actions that "
            "belong to those of commands, or leave the permutation out"
        )
    logger.warning("%s does not fit all lines: %s; for one, %s", key, numbers, example)


def _group(key: str, cycles: Cycles, sides: Sides, more: str = "") -> None:
    """Build the group; what is wrong is said with the key and `more`."""
    try:
        word_group(cycles, sides)
    except ValueError as error:
        raise ValueError(f"{key}.{error}{more}") from None


def _compare(
    cycles: Cycles, pairs: Iterable[tuple[str, str]]
) -> tuple[int, list[tuple[str, str, str]]]:
    """Return how many moved commands were found, and the lines of those with other actions.

    Each contradiction is a line, what it is moved to, and the line that the files have instead.
    """
    images = [
        {a: b for cycle in cycles.get(side, ()) for a, b in zip(cycle, _next(cycle), strict=True)}
        for side in SIDES
    ]
    found = dict.fromkeys(pairs)  # each once, in the files' order
    known = dict(reversed(found))  # of each command its first actions
    compared, contradictions = 0, []
    for command, actions in found:
        moved, expected = _moved(command, images[0]), _moved(actions, images[1])
        if moved not in known or (moved, expected) == (command, actions):
            continue
        compared += 1
        if (moved, expected) not in found:
            pair = (command, actions), (moved, expected), (moved, known[moved])
            lines = [f"IN: {one} OUT: {other}" for one, other in pair]
            contradictions.append((lines[0], lines[1], lines[2]))
    # the shortest lines show best what is wrong
    return compared, sorted(contradictions, key=lambda lines: len(lines[0]))


def _next(cycle: Sequence[str]) -> list[str]:
    return [*cycle[1:], *cycle[:1]]


def _moved(text: str, image: Mapping[str, str]) -> str:
    return " ".join(image.get(word, word) for word in text.split())
