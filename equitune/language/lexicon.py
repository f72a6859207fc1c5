"""Lexicons: demographic, equality and general words, read and checked.

A lexicon is what group-theoretic fairness starts from (Basu et al., 2023, arXiv 2210.06475): a
tuple of d demographic words, tuples of d equality words, and general words. The cyclic group of
order d shifts each tuple and fixes everything else; words.py has its action on tokens.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from equitune.io.names import nearest, show
from equitune.io.places import check_file
from equitune.io.resources import RESOURCES
from equitune.io.texts import parse_yaml, read_text

LEXICONS = RESOURCES / "lexicons"
KEYS = ("demographics", "equality", "general")
OPTIONAL = ("pronouns",)
EMPTY = ("equality", "general")  # lists that may be empty, but are named


@dataclass(frozen=True)
class Lexicon:
    """Words that a group moves, and words that the relaxed model treats apart.

    Attributes:
        name: what it is called.
        demographics: d words, such as ("man", "woman").
        equality: tuples of d words, the demographics first; each word becomes the next.
        general: words that are not moved, such as "his".
        pronouns: d lists, at each place the pronouns that agree with the words at that place of
            a tuple; none where the demographics have no pronouns of their own.

    Raises:
        ValueError: a tuple is not d ≥ 2 words long, a word is malformed or stands twice.
    """

    name: str
    demographics: tuple[str, ...]
    equality: tuple[tuple[str, ...], ...]
    general: tuple[str, ...] = ()
    pronouns: tuple[tuple[str, ...], ...] = ()

    def __post_init__(self) -> None:
        """Check the words; see the class."""
        if len(self.demographics) < 2:
            raise ValueError(
                f"demographics is {show(self.demographics)}: expected two words or more"
            )
        if self.equality[:1] != (self.demographics,):
            raise ValueError(
                f"the first equality tuple is {show(self.equality[:1])}: expected the demographics "
                f"{show(self.demographics)}"
            )
        for words in self.equality:
            if len(words) != self.order:
                raise ValueError(
                    f"the equality tuple {show(words)} has {len(words)} words: expected "
                    f"{self.order}, one for each of {show(self.demographics)}"
                )
        check_words([word for words in self.equality for word in words], "equality")
        check_words([word for words in (*self.equality, self.general) for word in words], "general")
        self._check_pronouns()

    @property
    def order(self) -> int:
        """The number d of demographics, which is the order of the group."""
        return len(self.demographics)

    def side(self, word: str) -> int:
        """Return the place of a word in its equality tuple, 0 … d - 1.

        Raises:
            ValueError: no tuple has it.
        """
        for words in self.equality:
            if word in words:
                return words.index(word)
        known = [known for words in self.equality for known in words]
        raise ValueError(f"lexicon {self.name}: no tuple has {show(word)}{nearest(word, known)}")

    def _check_pronouns(self) -> None:
        """Check that each demographic has pronouns, and no pronoun agrees with two."""
        if self.pronouns and len(self.pronouns) != self.order:
            raise ValueError(
                f"pronouns: {len(self.pronouns)} lists: expected {self.order}, one for each of "
                f"{show(self.demographics)}"
            )
        for demographic, words in zip(self.demographics, self.pronouns, strict=False):
            if not words:
                raise ValueError(
                    f"pronouns.{demographic} is empty: expected one pronoun or more, or no "
                    "pronouns at all"
                )
        listed = [word for words in self.pronouns for word in words]
        check_words(listed, "pronouns")
        check_words([word.casefold() for word in listed], "pronouns")  # in texts any case counts


def read_lexicon(name: str | os.PathLike[str]) -> Lexicon:
    """Read a lexicon.

    Args:
        name: that of a shipped lexicon, or the path of a YAML file with the keys demographics,
            equality (lists of words; the demographics need not be repeated), general and, if they
            have any, pronouns (a list for each of the demographics).

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: no shipped lexicon has that name, the file is not YAML, a key is missing or
            unknown, or as `Lexicon`; the file and the first thing that is wrong are named.
    """
    path = Path(name)
    if isinstance(name, str) and re.fullmatch(r"\w+", name):
        shipped = sorted(file.stem for file in LEXICONS.glob("*.yaml"))
        if name not in shipped:
            raise ValueError(
                f"unknown lexicon {show(name)} (a file is ./{name}.yaml){nearest(name, shipped)}"
            )
        path = LEXICONS / f"{name}.yaml"
    found = read_mapping(path, KEYS, OPTIONAL, EMPTY)
    try:
        demographics, general = (_words(found[key], key) for key in ("demographics", "general"))
        if not isinstance(found["equality"], list):
            raise ValueError(f"equality is {show(found['equality'])}: expected a list of lists")
        equality = [_words(words, "equality") for words in found["equality"]]
        # the paper's E holds the demographics too: they may be repeated, once
        if demographics in equality:
            equality.remove(demographics)
        pronouns = _pronouns(found["pronouns"], demographics) if "pronouns" in found else ()
        return Lexicon(path.stem, demographics, (demographics, *equality), general, pronouns)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def read_mapping(
    path: Path, keys: Sequence[str], optional: Sequence[str] = (), empty: Sequence[str] = ()
) -> dict[str, Any]:
    """Read a YAML file that is to have these keys, may have the optional ones, and no other.

    Args:
        path: the file.
        keys: that it is to have.
        optional: that it may have.
        empty: those of its keys whose lists may be empty, for the message.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not YAML, no mapping, or a key is missing or unknown.
    """
    check_file(path, f"pass a YAML file with {', '.join(keys)}")
    found = parse_yaml(read_text(path), str(path))
    if not isinstance(found, dict):
        raise ValueError(f"{path} is not a mapping: expected the keys {', '.join(keys)}")
    for key in found:
        if key not in (known := (*keys, *optional)):
            raise ValueError(f"{path}: unknown key {show(key)}{nearest(str(key), known)}")
    if missing := [key for key in keys if key not in found]:
        lists = [f"{key}: []" for key in missing if key in empty]
        hint = f"; with no words, {' and '.join(lists)}" if lists else ""
        raise ValueError(f"{path} lacks {', '.join(missing)}: expected {', '.join(keys)}{hint}")
    for key in empty:
        if found[key] is None:
            raise ValueError(f"{path}: {key} has no value: with no words, {key}: []")
    return found


def check_words(words: Sequence[Any], where: str) -> None:
    """Check that each is a single word and none stands twice; ValueError of one line."""
    seen = set()
    for word in words:
        if not isinstance(word, str):
            raise ValueError(
                f"{where}: {show(word)} is not a word: quote it, as YAML takes words such as no, "
                "yes and on for something else"
            )
        if word.split() != [word] or re.search("[\ud800-\udfff]", word):
            raise ValueError(
                f"{where}: {show(word)}: expected a single word without blanks; the leading space "
                "of its token is added"
            )
        if word in seen:
            raise ValueError(f"{where}: {show(word)} stands twice: name each word once")
        seen.add(word)


def _pronouns(found: Any, demographics: Sequence[Any]) -> tuple[tuple[Any, ...], ...]:
    """Return the pronouns of a file in the order of the demographics."""
    if not isinstance(found, dict):
        raise ValueError(
            f"pronouns is {show(found)}: expected a list for each demographic, such as "
            "{man: [he, his], woman: [she, her]}"
        )
    words = [word for word in demographics if isinstance(word, str)]  # the others are refused later
    for key in found:
        if key not in words:
            raise ValueError(f"pronouns: unknown demographic {show(key)}{nearest(str(key), words)}")
    for word in words:
        if word not in found:
            raise ValueError(f"pronouns: nothing for {show(word)}: expected a list of its pronouns")
    return tuple(_words(found[word], f"pronouns.{word}") for word in words)


def _words(words: Any, where: str) -> tuple[Any, ...]:
    """Return a list of a file as a tuple; what stands in it is not looked at."""
    if not isinstance(words, list):
        raise ValueError(f"{where}: {show(words)} is not a list of words, such as [man, woman]")
    return tuple(words)
