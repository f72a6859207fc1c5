"""Texts of language models as files, a JSON object a line."""

from __future__ import annotations

import json
import logging
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from equitune.io.files import atomic_write, sha256
from equitune.io.names import RENAMED, nearest, show
from equitune.io.texts import read_text
from equitune.methods import PLAIN

if TYPE_CHECKING:
    from equitune.language.prompts import Prompt

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sample:
    """A text: a prompt and how a model continued it.

    Attributes:
        model: name in the configuration.
        method: one of `LANGUAGE_METHODS`.
        axis: of the prompt.
        task: of the prompt.
        demographic: as the prompt names it.
        context: what follows it in the prompt.
        prompt: the prompt.
        continuation: what the model wrote.
        seed: of this text's random numbers.
        sample: number of the text among those of its prompt, from 0.
        model_hash: of weights, method and group.
        pieces: the continuation cut where the lexicon's tokens stand: what stays, a word that
            moves, what stays, and so on; None where the tokens are not known.
    """

    model: str
    method: str
    axis: str
    task: str
    demographic: str
    context: str
    prompt: str
    continuation: str
    seed: int
    sample: int
    model_hash: str
    pieces: tuple[str, ...] | None = None

    @property
    def text(self) -> str:
        """The whole text."""
        return self.prompt + self.continuation


PIECES = "pieces"  # the one entry that may be missing: earlier files and published texts have none
KEYS = {
    field.name: int if field.type == "int" else str
    for field in fields(Sample)
    if field.name != PIECES
}


def write_samples(path: Path, samples: Iterable[Sample]) -> None:
    """Write samples, one JSON object a line; the file appears complete or not at all."""
    with atomic_write(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        for sample in samples:
            entry = asdict(sample)
            if sample.pieces is None:
                del entry[PIECES]
            file.write(json.dumps(entry, ensure_ascii=False) + "\n")


def read_samples(path: Path) -> list[Sample]:
    """Read samples.

    Raises:
        ValueError: broken UTF-8 or JSON, a missing, unknown or misshapen entry, or no sample at
            all; file and line are named.
    """
    samples = []
    for where, entry in objects(path, f"an object with {', '.join(KEYS)}"):
        pieces = _pieces(entry.pop(PIECES, None), entry.get("continuation"), where)
        for key, value in entry.items():
            if key not in KEYS:
                raise ValueError(f"{where}: unknown entry {show(key)}{nearest(key, KEYS)}")
            if type(value) is not KEYS[key]:  # True is not a number here
                raise ValueError(f"{where}: {key} is {show(value)}: expected {KEYS[key].__name__}")
            if type(value) is str and re.search("[\ud800-\udfff]", value):
                raise ValueError(f"{where}: {key} holds half a character, {show(value)}: remove it")
        if missing := [key for key in KEYS if key not in entry]:
            raise ValueError(f"{where}: {', '.join(missing)} missing; expected {', '.join(KEYS)}")
        samples.append(Sample(**entry, pieces=pieces))
    if old := sorted(RENAMED.keys() & {sample.method for sample in samples}):
        logger.warning("%s: method %s is read as %s", path, old[0], RENAMED[old[0]])
        names = [RENAMED.get(sample.method, sample.method) for sample in samples]
        samples = [replace(x, method=name) for x, name in zip(samples, names, strict=True)]
    if not samples:
        raise ValueError(f"{path} holds no samples: expected one JSON object a line")
    return samples


def restore(row: Mapping[str, Any]) -> Sample:
    """Return a sample from its entries, as `asdict` gives them and JSON gives them back."""
    pieces = row.get(PIECES)  # a state of an earlier version has none
    return Sample(**{**row, PIECES: None if pieces is None else tuple(pieces)})


def read_published(path: Path, prompts: Iterable[Prompt], model: str) -> list[Sample]:
    """Read texts that somebody published, one per line, each opening with a prompt.

    Made for the 6 000 samples of GPT-2 small by Sheng et al. (2019), 100 for each prompt.

    Args:
        path: the texts.
        prompts: what they may open with; of several the longest counts.
        model: what to call their model.

    Raises:
        ValueError: broken UTF-8, no text, or one that opens with no known prompt.
    """
    known = sorted(prompts, key=lambda prompt: -len(prompt.text))
    origin, counts = sha256(path)[:16], Counter[str]()
    samples = []
    for number, line in numbered_lines(path):
        found = next((prompt for prompt in known if _opens(line, prompt.text)), None)
        if found is None:
            raise ValueError(f"{path}, line {number}: {line[:60]!r} opens with no known prompt")
        samples.append(
            Sample(
                model=model,
                method=PLAIN,
                axis=found.axis,
                task=found.task,
                demographic=found.demographic,
                context=found.context,
                prompt=found.text,
                continuation=line[len(found.text) :],
                seed=0,
                sample=counts[found.text],
                model_hash=origin,
            )
        )
        counts[found.text] += 1
    if not samples:
        raise ValueError(f"{path} holds no texts: expected one a line")
    return samples


def _pieces(value: Any, continuation: Any, where: str) -> tuple[str, ...] | None:
    """Check the pieces of a continuation; the continuation is checked elsewhere."""
    if value is None:
        return None
    fits = isinstance(value, list) and len(value) % 2 and all(type(x) is str for x in value)
    if not fits or "".join(value) != continuation:
        raise ValueError(
            f"{where}: {PIECES} is {show(value)}: expected the continuation in an odd number of "
            "parts"
        )
    return tuple(value)


def _opens(text: str, prompt: str) -> bool:
    """Whether a text opens with a prompt, whole words of it."""
    return text.startswith(prompt) and not text[len(prompt) :][:1].isalnum()


def objects(path: Path, expected: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield a file's JSON objects, one on each line, with the place that an error names.

    Args:
        path: the file.
        expected: what each line holds, for the message.

    Raises:
        ValueError: broken UTF-8 or JSON, or another value than an object; the line is named.
    """
    for number, line in numbered_lines(path):
        where = f"{path}, line {number}"
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{where}: no JSON ({error})") from error
        if not isinstance(entry, dict):
            raise ValueError(f"{where}: expected {expected}")
        yield where, entry


def numbered_lines(path: Path) -> Sequence[tuple[int, str]]:
    """Return a file's lines that are not blank, with their numbers from 1.

    Raises:
        ValueError: broken UTF-8; file and line are named.
    """
    # splitlines() would end a line at characters that a text may hold too, such as U+2028
    lines = enumerate(read_text(path).split("\n"), start=1)
    return [(number, line) for number, line in lines if line.strip()]
