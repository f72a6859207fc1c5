"""Groups that permute the words of SCAN, and their actions on ids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import lcm

import torch
from torch import Tensor

from equitune.actions import TokenPermutation
from equitune.io.names import nearest
from equitune.scan.data import SCAN, SIDES, Sides, Vocabulary


def word_group(
    spec: Mapping[str, Sequence[Sequence[str]]], vocabularies: Sides = SCAN
) -> tuple[TokenPermutation, TokenPermutation]:
    """Build a cyclic group that permutes words, and its actions on command and on action ids.

    Args:
        spec: disjoint cycles of words, {"commands": [["jump", "run"]], "actions": [["I_JUMP",
            "I_RUN"]]}: each word of a cycle becomes the next, the last becomes the first, and
            words in no cycle stay. A side that is left out or empty does not move.
        vocabularies: of commands and of actions.

    Returns:
        The two actions of one group, whose order is the least common multiple of the lengths of
        all cycles.

    Raises:
        ValueError: a key or a word is unknown, a word stands twice, or a cycle is empty.
    """
    sides = dict(zip(SIDES, vocabularies, strict=True))
    for key in spec:
        if key not in sides:
            raise ValueError(f"unknown key {key!r} of a permutation{nearest(key, sides)}")
    images = {key: _image(spec.get(key, ()), key, words) for key, words in sides.items()}
    order = lcm(*(len(cycle) for key in sides for cycle in spec.get(key, ())))
    commands, actions = (TokenPermutation.generated_by(images[key], order) for key in SIDES)
    return commands, actions


def _image(cycles: Sequence[Sequence[str]], key: str, vocabulary: Vocabulary) -> Tensor:
    """Return the permutation (vocabulary,) that disjoint cycles of words describe."""
    image, seen = torch.arange(len(vocabulary)), set[str]()
    for cycle in cycles:
        if isinstance(cycle, str) or not cycle:
            raise ValueError(
                f"{key}: the cycle {cycle!r} is not a list of words: expected cycles such as "
                f"{[list(vocabulary.words[2:4])]}"
            )
        for word in cycle:
            if word in vocabulary.words[:2]:
                raise ValueError(f"{key}: {word!r} is not a word: it stays where it is")
            if word in seen:
                raise ValueError(
                    f"{key}: {word!r} stands twice, so the cycles are not a permutation: name each "
                    "word once"
                )
            seen.add(word)
        try:
            ids = torch.tensor(vocabulary.encode(cycle))
        except ValueError as error:
            raise ValueError(f"{key}: {error}") from None
        image[ids] = ids.roll(-1)
    return image
