"""Sentences with a known bias, generated for the embedded default.

A sentence is a prompt and a continuation whose regard is drawn with stated probabilities that
depend on axis, task and demographic alone; given the regard, every phrase is as probable as the
next. So what a measurement of a model of these sentences ought to find is known: `Corpus.truth`.
"""

from __future__ import annotations

import csv
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, TypeVar

from equitune.compat import extra
from equitune.config import REGARD_LABELS, parse
from equitune.config.base import STRICT
from equitune.io.files import atomic_write
from equitune.io.names import nearest, show
from equitune.io.resources import RESOURCES
from equitune.language.lexicon import read_mapping
from equitune.language.prompts import read_prompts

with extra("workflow"):
    from pydantic.dataclasses import dataclass

if TYPE_CHECKING:
    from equitune.language.prompts import Prompt

T = TypeVar("T")

CORPUS = RESOURCES / "corpus.yaml"
*POLARITIES, MIXED = REGARD_LABELS
SIGNS = ("positive", "negative")
PRONOUNS = ("he", "him", "his")
MAX_TOKENS = 15  # words of a continuation and its full stop: as many as are sampled
WORD = rf"(?:[a-z]+|{{(?:{'|'.join(PRONOUNS)})}})"
PHRASE = re.compile(rf"{WORD}(?: {WORD})*")


@dataclass(config=STRICT, frozen=True)
class Corpus:
    """What resources/corpus.yaml states; `read_corpus` has checked it.

    Attributes:
        probabilities: of each label, by axis, task and demographic.
        pronouns: what stands for {he}, {him} and {his}, by demographic; one that is not among
            these has all of them in equal parts.
        mixed: how a positive and a negative phrase are joined to a continuation of label "other".
        phrases: by the last word of the context, then by polarity.
    """

    probabilities: dict[str, dict[str, dict[str, dict[str, float]]]]
    pronouns: dict[str, dict[str, str]]
    mixed: str
    phrases: dict[str, dict[str, list[str]]]

    def truth(self, axis: str, task: str, demographic: str) -> dict[str, float]:
        """Return the probability of each label, in the order of REGARD_LABELS.

        Raises:
            ValueError: none are stated there; the nearest names are given.
        """
        cell, where = self._cell(axis, task), f"probabilities.{axis}.{task}"
        shares = _entry(cell, demographic, "demographic", where)
        return {label: shares[label] for label in REGARD_LABELS}

    def true_gap(self, axis: str, task: str) -> float:
        """Return the mean regard of the first demographic minus that of the second.

        Regard counts as positive +1, neutral and other 0, negative −1. Of more than two
        demographics, those two, in the order of the file, that differ most.

        Raises:
            ValueError: no probabilities are stated there.
        """
        means = [share["positive"] - share["negative"] for share in self._cell(axis, task).values()]
        return max((a - b for a, b in itertools.combinations(means, 2)), key=abs)

    def markers(self) -> tuple[frozenset[str], frozenset[str]]:
        """Return the words of positive phrases only and those of negative phrases only.

        Every positive phrase has one of the first and none of the second, and the reverse;
        neutral phrases have none of either. Pronouns are no markers.
        """
        words: dict[str, set[str]] = {polarity: set() for polarity in POLARITIES}
        for by_polarity in self.phrases.values():
            for polarity, phrases in by_polarity.items():
                words[polarity].update(*map(_words, phrases))
        positive, neutral, negative = (words[polarity] for polarity in POLARITIES)
        return frozenset(positive - neutral - negative), frozenset(negative - neutral - positive)

    def words(self) -> frozenset[str]:
        """Return all words of its continuations, pronouns included."""
        phrases = [p for by in self.phrases.values() for several in by.values() for p in several]
        own = {word for forms in self.pronouns.values() for word in forms.values()}
        return frozenset(own.union(_words(self.mixed), *map(_words, phrases)))

    def check(self, prompts: Iterable[Prompt]) -> None:
        """Check that sentences can be made of prompts.

        Raises:
            ValueError: nothing is stated for one, or it holds a marker, which would decide the
                regard of all its sentences.
        """
        marked = frozenset.union(*self.markers())
        for prompt in prompts:
            self.truth(prompt.axis, prompt.task, prompt.demographic)
            self.phrases_of(prompt)
            if found := sorted(marked & set(prompt.text.lower().split())):
                words = ", ".join(map(repr, found))
                raise ValueError(
                    f"prompt {show(prompt.text)} holds {words}, which marks phrases of one polarity"
                    f": choose other words there, or in phrases of {CORPUS}"
                )

    def generate(self, prompts: Iterable[Prompt], per_prompt: int, seed: int) -> list[str]:
        """Return sentences in random order, with as little sampling noise as their number allows.

        Of each prompt's sentences the labels have the shares that `truth` states, rounded by the
        largest remainder; phrases and pronouns take turns. For a validation text, pass another
        seed.

        Args:
            prompts: what sentences begin with.
            per_prompt: sentences of each.
            seed: with the same one, the same sentences.

        Raises:
            ValueError: no prompts, per_prompt below 1, or as `check`.
        """
        prompts, random = list(prompts), Random(seed)
        if not prompts:
            raise ValueError("no prompts: pass at least one to generate sentences for")
        if per_prompt < 1:
            raise ValueError(f"per_prompt is {per_prompt}: expected 1 or more")
        self.check(prompts)
        sentences = [
            f"{prompt.text} {continuation}."
            for prompt in prompts
            for continuation in self._continuations(prompt, per_prompt, random)
        ]
        random.shuffle(sentences)
        return sentences

    def _cell(self, axis: str, task: str) -> dict[str, dict[str, float]]:
        tasks = _entry(self.probabilities, axis, "axis", "probabilities")
        return _entry(tasks, task, "task", f"probabilities.{axis}")

    def phrases_of(self, prompt: Prompt) -> dict[str, list[str]]:
        """Return the phrases that continue a prompt, by polarity; errors as `check`."""
        return _entry(self.phrases, prompt.context.split()[-1], "last word of a context", "phrases")

    def _continuations(self, prompt: Prompt, count: int, random: Random) -> Iterator[str]:
        phrases = self.phrases_of(prompt)
        own = self.pronouns.get(prompt.demographic)
        pronouns = [own] if own else list(self.pronouns.values())
        shares = self.truth(prompt.axis, prompt.task, prompt.demographic)
        turns: dict[str, int] = {}
        for label, number in _apportion(shares, count).items():
            if label == MIXED:
                both = [_in_turns(phrases[sign], number, random) for sign in SIGNS]
                chosen = list(map(self._mix, *both))
            else:
                chosen = _in_turns(phrases[label], number, random)
            for phrase in chosen:
                turn = turns.get(phrase, random.randrange(len(pronouns)))
                turns[phrase] = turn + 1
                yield phrase.format(**pronouns[turn % len(pronouns)])

    def _mix(self, positive: str, negative: str) -> str:
        return self.mixed.format(positive=positive, negative=negative)


def read_corpus(path: Path = CORPUS) -> Corpus:
    """Read what is stated of a corpus.

    Args:
        path: YAML with the keys of `Corpus`.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not YAML, a key is missing, unknown or of the wrong kind, probabilities do
            not sum to 1, or phrases are malformed, too long or without a marker of their polarity.
    """
    corpus: Corpus = parse(Corpus, read_mapping(path, tuple(Corpus.__annotations__)), str(path))
    try:
        _check_probabilities(corpus)
        _check_pronouns(corpus)
        _check_form(corpus)
        _check_markers(corpus)
        _check_length(corpus)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return corpus


def write_corpus(
    per_prompt: int, seed: int, prompts: Path | None, train: Path, validation: Path
) -> None:
    """Write sentences, a line each: a training text and a tenth as much for validation.

    Args:
        per_prompt: training sentences for each prompt.
        seed: decides their order and phrases; the two texts are drawn apart.
        prompts: file of prompts; None: those shipped.
        train: file to write.
        validation: file to write.

    Raises:
        ValueError: as `Corpus.generate`, or prompts that cannot be read.
    """
    corpus, known = read_corpus(), list(read_prompts(prompts))
    held = corpus.generate(known, max(per_prompt // 10, 1), 2 * seed + 1)
    for path, lines in ((train, corpus.generate(known, per_prompt, 2 * seed)), (validation, held)):
        with atomic_write(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in lines)


def write_truth(prompts: Path | None, output: Path) -> None:
    """Write the probability of each regard for all demographics, as a table (truth.csv).

    Raises:
        ValueError: a demographic without probabilities, or prompts that cannot be read.
    """
    corpus = read_corpus()
    cells = dict.fromkeys((p.axis, p.task, p.demographic) for p in read_prompts(prompts))
    rows = [[*cell, *corpus.truth(*cell).values()] for cell in cells]
    with (
        atomic_write(output) as temporary,
        open(temporary, "w", newline="", encoding="utf-8") as file,
    ):
        lines = csv.writer(file, lineterminator="\n")
        lines.writerows([["axis", "task", "demographic", *REGARD_LABELS], *rows])


def _check_keys(found: Iterable[str], expected: Iterable[str], where: str) -> None:
    """Check that a mapping inside the file has these keys and no other."""
    found, expected = list(found), list(expected)
    for key in found:
        if key not in expected:
            raise ValueError(f"unknown key {show(key)} in {where}{nearest(key, expected)}")
    if missing := [key for key in expected if key not in found]:
        raise ValueError(f"{where} lacks {', '.join(missing)}: expected {', '.join(expected)}")


def _check_probabilities(corpus: Corpus) -> None:
    for axis, tasks in corpus.probabilities.items():
        for task, cell in tasks.items():
            if len(cell) < 2:
                raise ValueError(
                    f"probabilities.{axis}.{task} has {len(cell)} demographics: expected 2 or more"
                )
            for demographic, shares in cell.items():
                where = f"probabilities.{axis}.{task}.{demographic}"
                _check_keys(shares, REGARD_LABELS, where)
                total = sum(shares.values())
                if abs(total - 1) > 1e-9 or min(shares.values()) < 0:
                    raise ValueError(
                        f"{where} is {shares}, in sum {total:g}: expected shares of 0 or more "
                        "that sum to 1"
                    )


def _check_pronouns(corpus: Corpus) -> None:
    if not corpus.pronouns:
        raise ValueError("pronouns is empty: expected those of at least one demographic")
    for demographic, forms in corpus.pronouns.items():
        _check_keys(forms, PRONOUNS, f"pronouns.{demographic}")


def _check_form(corpus: Corpus) -> None:
    fields = sorted(re.findall(r"{(.*?)}", corpus.mixed))
    if fields != sorted(SIGNS) or not PHRASE.fullmatch(re.sub(r"[{}]", "", corpus.mixed)):
        raise ValueError(
            f"mixed is {corpus.mixed!r}: expected lower-case words with {{positive}} and "
            "{negative} once each"
        )
    for kind, by_polarity in corpus.phrases.items():
        _check_keys(by_polarity, POLARITIES, f"phrases.{kind}")
        for polarity, phrases in by_polarity.items():
            if not phrases:
                raise ValueError(f"phrases.{kind}.{polarity} is empty: expected phrases")
            for phrase in phrases:
                if not PHRASE.fullmatch(phrase):
                    raise ValueError(
                        f"phrases.{kind}.{polarity}: {phrase!r}: expected lower-case words, "
                        "{he}, {him} or {his}, with one blank between"
                    )


def _check_markers(corpus: Corpus) -> None:
    for sign, marked in zip(SIGNS, corpus.markers(), strict=True):
        for kind, by_polarity in corpus.phrases.items():
            for phrase in by_polarity[sign]:
                if not marked & _words(phrase):
                    raise ValueError(
                        f"phrases.{kind}.{sign}: {phrase!r} has no marker: expected a word that "
                        f"occurs in no phrase that is not {sign}"
                    )


def _check_length(corpus: Corpus) -> None:
    for kind, by_polarity in corpus.phrases.items():
        positive, neutral, negative = (
            max(by_polarity[polarity], key=lambda phrase: len(phrase.split()))
            for polarity in POLARITIES
        )
        for text in (neutral, corpus._mix(positive, negative)):  # a part is shorter than both
            if len(text.split()) >= MAX_TOKENS:
                raise ValueError(
                    f"phrases.{kind}: {text!r} has {len(text.split())} words: expected at most "
                    f"{MAX_TOKENS - 1}, so that it ends within {MAX_TOKENS} tokens"
                )


def _words(phrase: str) -> set[str]:
    """Return the words of a phrase without its pronouns."""
    return {word for word in phrase.split() if not word.startswith("{")}


def _entry(known: Mapping[str, T], name: str, what: str, where: str) -> T:
    """Return what stands under a name; the nearest names are given where nothing does."""
    if name not in known:
        what += f" {show(name)} under {where}{nearest(name, known)}"
        raise ValueError(f"{CORPUS} has no {what}; add it, or leave its prompts out")
    return known[name]


def _apportion(shares: Mapping[str, float], count: int) -> dict[str, int]:
    """Divide a count by shares that sum to 1: the method of the largest remainder."""
    quotas = {label: Fraction(repr(share)) * count for label, share in shares.items()}
    numbers = {label: int(quota) for label, quota in quotas.items()}
    # a stable sort: of equal remainders the first label wins
    order = sorted(quotas, key=lambda label: numbers[label] - quotas[label])
    for label in order[: count - sum(numbers.values())]:
        numbers[label] += 1
    return numbers


def _in_turns(phrases: list[str], count: int, random: Random) -> list[str]:
    """Return this many phrases, each as often as the next or once more, in random order."""
    chosen: list[str] = []
    while len(chosen) < count:
        chosen += random.sample(phrases, len(phrases))
    return chosen[:count]
