"""Whether a text's first gendered pronoun agrees with its subject.

An exactly fair model that leaves he and she where they are gives them, after "The man was known
for", the probabilities that it gives them after "The woman was known for". So over texts about all
d demographics, as many about each, the share that agrees is 1/d: what is written does not depend on
the subject. The difference from the plain model's share is what exact fairness costs in text.
"""

from __future__ import annotations

import logging
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from equitune.compat import extra
from equitune.io.files import atomic_write
from equitune.io.names import nearest, show
from equitune.language.fairness import MINIMUM, wilson
from equitune.language.lexicon import Lexicon, read_lexicon
from equitune.language.prompts import Prompts, read_prompts
from equitune.language.rows import Cell
from equitune.language.samples import Sample, read_samples
from equitune.results import tables
from equitune.run.manifests import describe

with extra("workflow"):
    import pandas as pd

logger = logging.getLogger(__name__)


def first_pronoun(text: str, pronouns: Sequence[Sequence[str]]) -> int | None:
    """Return which list has the first pronoun of a text; None where the text has none.

    Whole words count, in any case: "He's" is "he"; "The", "he-man" and "she-wolf" hold none.

    Args:
        text: what is looked through.
        pronouns: lists of which no two share a word.
    """
    places = {word.casefold(): place for place, words in enumerate(pronouns) for word in words}
    words = "|".join(map(re.escape, places))
    found = re.search(rf"(?<!\w)(?<!\w-)(?:{words})(?!-?\w)", text.casefold())
    return None if found is None else places[found[0]]


def write_pronouns(
    samples: Sequence[Path],
    axes: Mapping[str, str],
    seed: int,
    output: Path,
    prompts: Path | None = None,
) -> None:
    """Write how often the first pronoun agrees, for each demographic and for all together.

    Args:
        samples: files of one model, one for each method.
        axes: for each axis its lexicon, a shipped name or a file. Of an axis without one, or
            whose lexicon has no pronouns, there is no row.
        seed: of the run, as it stands in the table.
        output: CSV with `tables.PRONOUN_COLUMNS`.
        prompts: file of prompts; None: those shipped.

    Raises:
        ValueError: a file that cannot be read, a demographic that the prompts or the lexicon do
            not have, or one without texts.
    """
    lexicons = {axis: read_lexicon(name) for axis, name in axes.items()}
    lexicons = {axis: lexicon for axis, lexicon in lexicons.items() if lexicon.pronouns}
    if not lexicons:
        logger.warning("no row: no lexicon of %s has pronouns", ", ".join(axes))
    known = read_prompts(prompts)
    rows: list[dict[str, Any]] = []
    for path in samples:
        found = agreement(read_samples(path), known, lexicons, seed)
        for row in (row for row in found if row["demographic"] == tables.ALL):
            n, agree = row["with_pronoun"], row["agree"]
            where = f"{row['axis']} × {row['task']}"
            logger.info("%s: %s: %d of %d first pronouns agree", path, where, agree, n)
        rows += found
    with atomic_write(output) as temporary:
        table = pd.DataFrame(rows, columns=list(tables.PRONOUN_COLUMNS))
        table.to_csv(temporary, index=False)
    own = filter(Path.is_file, map(Path, axes.values()))
    read = [*samples, *own, *([prompts] if prompts else [])]
    describe(output, {"seed": seed, "axes": dict(axes)}, read, "cpu")


def agreement(
    samples: Sequence[Sample], known: Prompts, lexicons: Mapping[str, Lexicon], seed: int
) -> list[dict[str, Any]]:
    """Return the rows of the table; arguments and errors as `write_pronouns`.

    Args:
        samples: texts; the prompt itself is not looked at.
        known: the prompts, which tell the demographics' words.
        lexicons: by axis, those that have pronouns.
        seed: of the run.
    """
    cells: dict[Cell, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for sample in samples:
        if sample.axis in lexicons:
            cell = (sample.model, sample.method, sample.axis, sample.task)
            cells[cell][sample.demographic].append(sample.continuation)
    rows: list[dict[str, Any]] = []
    for cell, parts in cells.items():
        axis, task = cell[2:]
        subjects = {prompt.demographic: prompt.word for prompt in known(axis, task)}
        if unknown := parts.keys() - subjects.keys():
            what = min(unknown)
            raise ValueError(
                f"{axis}, {task}: a text about {show(what)}, but no such prompt"
                f"{nearest(what, subjects)}; pass --prompts"
            )
        lexicon, total = lexicons[axis], [0, 0, 0]
        for who, word in subjects.items():
            if not (texts := parts.get(who)):
                raise ValueError(f"{axis}, {task}: no text about {show(who)}: generate them again")
            side = lexicon.side(word)
            sides = [first_pronoun(text, lexicon.pronouns) for text in texts]
            counts = [len(texts), len(texts) - sides.count(None), sides.count(side)]
            total = [sum(pair) for pair in zip(total, counts, strict=True)]
            rows.append(_row(cell, who, seed, *counts))
        rows.append(_row(cell, tables.ALL, seed, *total))
    return rows


def _row(cell: Cell, who: str, seed: int, texts: int, n: int, agree: int) -> dict[str, Any]:
    """Return a row; without an interval, and with a warning, where too few texts have a pronoun."""
    row: dict[str, Any] = dict(zip(tables.REGARD_KEYS, (*cell, who), strict=True))
    row |= {"seed": seed, "texts": texts, "with_pronoun": n, "agree": agree}
    if n:
        row["share"] = agree / n
    if n < MINIMUM:
        return row | {"warning": f"no interval: {n} texts with a pronoun, fewer than {MINIMUM}"}
    low, high = wilson(agree, n)
    return row | {"share_low": low, "share_high": high}
