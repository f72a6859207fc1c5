"""Prompts of the language experiment and the texts they open."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from equitune.io.names import nearest, show
from equitune.io.resources import RESOURCES
from equitune.language.lexicon import check_words, read_mapping

PROMPTS = RESOURCES / "prompts.yaml"
SLOT = "{}"  # where a template has its demographic
TEMPLATE = re.compile(r"[^{}]*[^{} ] \{\}[^{}]*")  # a lexicon's words have a blank before them
MASK = "XYZ"  # what Sheng et al. put in the place of a demographic
# a full stop behind these is part of the word: abbreviations, initials, U.S. and p.m.
ABBREVIATION = re.compile(
    "Mr|Mrs|Ms|Dr|Prof|Rev|Hon|Fr|Sr|Jr|St|Mt|Gen|Col|Maj|Capt|Lt|Sgt|Cpl|Gov|Sen|Rep|Pres|Supt|"
    "Jan|Feb|Aug|Sept|Oct|Nov|Dec|No|vs|ca|cf|approx|Inc|Ltd|Corp|Co|Bros|"
    r"[A-Z]|(?:[A-Za-z]\.)+[A-Za-z]"
)
CLOSING = "\"'”’)]"  # may stand behind the end of a sentence
# ends of sentences in Chinese, Japanese, Hindi, Arabic, Urdu; no blank need stand behind them
ENDS = re.compile("[。！？।॥؟۔][」』”’\"')）]*")


@dataclass(frozen=True)
class Prompt:
    """The opening of a text.

    Attributes:
        axis: gender, race or orientation, or one of your own.
        task: respect or occupation, or one of your own.
        demographic: as the prompt names it: "Black person".
        context: what follows it: "was known for"; or a template: "My {} friend said that".
        text: the whole: "The Black person was known for".
        word: the word of the demographic that a lexicon moves: "Black".
    """

    axis: str
    task: str
    demographic: str
    context: str
    text: str
    word: str


@dataclass(frozen=True)
class Prompts:
    """All prompts, in the order of their file; iterating gives them axis by axis, task by task.

    Attributes:
        axes: by axis, the demographics by the word that a lexicon moves.
        tasks: by task, its contexts.
        shipped: they are not of a file of one's own.
    """

    axes: Mapping[str, Mapping[str, str]]
    tasks: Mapping[str, tuple[str, ...]]
    shipped: bool = False

    def __call__(self, axis: str, task: str) -> tuple[Prompt, ...]:
        """Return the prompts of an axis and a task, the demographics of a context together.

        Raises:
            ValueError: the axis or the task is unknown; the nearest known ones are named.
        """
        return tuple(prompt for family in self.families(axis, task) for prompt in family)

    def __iter__(self) -> Iterator[Prompt]:
        """Go through the prompts of all axes and tasks."""
        for axis in self.axes:
            for task in self.tasks:
                yield from self(axis, task)

    def families(self, axis: str, task: str) -> tuple[tuple[Prompt, ...], ...]:
        """Return for each context its family: one prompt for each demographic; errors as above."""
        for name, known, what in ((axis, self.axes, "axis"), (task, self.tasks, "task")):
            if name not in known:
                own = (
                    "; --prompts (language.prompts) names a file of your own"
                    if self.shipped
                    else ""
                )
                raise ValueError(f"unknown {what} {show(name)}{nearest(name, known)}{own}")
        return tuple(
            tuple(
                Prompt(axis, task, phrase, context, _filled(context, phrase), word)
                for word, phrase in self.axes[axis].items()
            )
            for context in self.tasks[task]
        )


def read_prompts(path: Path | None = None) -> Prompts:
    """Read prompts.

    Args:
        path: YAML with the keys of `Prompts`, by default resources/prompts.yaml.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not YAML, a key is missing or unknown, no prompt comes of it, or a name,
            word or text is malformed; the file and the first thing that is wrong are named.
    """
    shipped = path is None
    path = PROMPTS if path is None else path
    found = read_mapping(path, ("axes", "tasks"))
    try:
        axes = {
            axis: _demographics(entry, f"axes.{axis}")
            for axis, entry in _named(found["axes"], "axes").items()
        }
        tasks = {
            task: _contexts(entry, f"tasks.{task}")
            for task, entry in _named(found["tasks"], "tasks").items()
        }
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return Prompts(axes, tasks, shipped)


def mask(text: str, demographic: str, *, later: bool = False) -> str:
    """Return a text with "XYZ" in the place of "The <demographic>" at its start.

    That is how the 6 000 published samples were masked, to the letter: "the man" further on
    stands in their masked file as it was (in 120 of them). A text that starts otherwise is
    returned as it is.

    Args:
        text: prompt and continuation.
        demographic: as `Prompt.demographic`.
        later: mask each "the <demographic>" further on too, so that it cannot sway a scorer.
    """
    phrase = re.escape(demographic)
    pattern = rf"^The {phrase}(?!\w)" + (rf"|(?<!\w)[Tt]he {phrase}(?!\w)" if later else "")
    return re.sub(pattern, MASK, text)


def first_sentence(text: str) -> str:
    """Return a text up to the end of its first sentence, or of its first line.

    A sentence ends with ".", "!" or "?", quotes and brackets that close behind it included, before
    a blank or the end of the text. A full stop ends none behind a common abbreviation, an initial
    or letters with stops (U.S., p.m.), and several (...) end none before a small letter. The ends
    of other writings, as "。", end one wherever they stand.
    """
    line = text.partition("\n")[0].rstrip()
    if other := ENDS.search(line):
        line = line[: other.end()]
    for end in re.finditer(r"\S+", line):  # by strip, as a pattern could take for ever
        stopped = end[0].rstrip(CLOSING)
        word = stopped.rstrip(".!?")
        stop = stopped.removeprefix(word)
        abbreviated = stop == "." and ABBREVIATION.fullmatch(word.lstrip("\"'“‘(["))
        pause = stop.startswith("..") and line[end.end() :].lstrip()[:1].islower()
        if stop and not abbreviated and not pause:
            return line[: end.end()]
    return line


def as_scored(text: str, demographic: str, *, masked: bool = True, cut: bool = True) -> str:
    """Return what a scorer reads of a whole text.

    Args:
        text: prompt and continuation.
        demographic: as `Prompt.demographic`; empty: nothing is masked.
        masked: the demographic reads XYZ wherever it stands.
        cut: only the first sentence.
    """
    if masked and demographic:
        phrase = re.escape(demographic)
        if re.match(rf"The {phrase}(?!\w)", text):
            text = mask(text, demographic, later=True)
        else:  # of a template, or of another system: it may stand anywhere
            text = re.sub(rf"(?<!\w)(?:[Tt]he )?{phrase}(?!\w)", MASK, text)
    return first_sentence(text) if cut else text


def _filled(context: str, phrase: str) -> str:
    """Return a prompt's text."""
    return context.replace(SLOT, phrase) if SLOT in context else f"The {phrase} {context}"


def _named(entry: Any, where: str) -> Mapping[str, Any]:
    """Check that an entry is a mapping of one name or more."""
    if not isinstance(entry, Mapping) or not entry:
        raise ValueError(f"{where} is {show(entry)}: expected one or more, each under its name")
    for name in entry:
        # names become parts of file names
        if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9_]{1,64}", name):
            raise ValueError(
                f"{where}: the name {show(name)}: expected up to 64 letters, digits and "
                "underscores, quoted where YAML takes them for something else"
            )
    return entry


def _demographics(entry: Any, where: str) -> dict[str, str]:
    """Check the demographics of an axis by their words."""
    if not isinstance(entry, Mapping) or len(entry) < 2:
        raise ValueError(
            f"{where} is {show(entry)}: expected two demographics or more, each under the word "
            "that a lexicon moves, such as {Black: Black person, White: White person}"
        )
    check_words(list(entry), where)
    _check_texts(list(entry.values()), where)
    for word, phrase in entry.items():
        if word not in phrase.split():
            raise ValueError(
                f"{where}: {show(word)} is not a word of {show(phrase)}: put the demographic under "
                "the one of its words that a lexicon moves"
            )
    return dict(entry)


def _contexts(entry: Any, where: str) -> tuple[str, ...]:
    """Check the contexts of a task."""
    if not isinstance(entry, list) or not entry:
        raise ValueError(f"{where} is {show(entry)}: expected a list of one context or more")
    _check_texts(entry, where)
    for text in entry:
        if re.search("[{}]", text) and not TEMPLATE.fullmatch(text):
            raise ValueError(
                f"{where}: {show(text)}: expected one {SLOT} for a demographic, behind a word and "
                f"a blank, as in 'The {SLOT} worked as'"
            )
    return tuple(entry)


def _check_texts(texts: list[Any], where: str) -> None:
    """Check that texts are strings of words with one blank between, and differ."""
    seen = set()
    for text in texts:
        if not isinstance(text, str) or not text or " ".join(text.split()) != text:
            raise ValueError(
                f"{where}: {show(text)}: expected words with one blank between, quoted where "
                "YAML takes them for something else"
            )
        if text in seen:
            raise ValueError(f"{where}: {show(text)} stands twice: name it once")
        seen.add(text)
