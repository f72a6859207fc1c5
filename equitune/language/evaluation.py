"""From texts to tables: regard of each demographic, gaps between them, a few texts to read.

It knows files and scorers; what a language model is stands elsewhere.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any
from unicodedata import category

from equitune.compat import extra
from equitune.config import RegardScorer
from equitune.io.files import atomic_write
from equitune.io.names import show
from equitune.language import regard, rows, sentiment
from equitune.language.labels import most_probable
from equitune.language.lexicon import read_lexicon
from equitune.language.moves import Pieces
from equitune.language.prompts import Prompts, as_scored, first_sentence, mask, read_prompts
from equitune.language.rows import Cell, Rows, Scored
from equitune.language.samples import Sample, read_samples
from equitune.language.scorers import READS, make_scorer
from equitune.language.symmetric import SymmetricScorer
from equitune.results import tables
from equitune.run.manifests import describe

with extra("workflow"):
    import pandas as pd

logger = logging.getLogger(__name__)

SHOWN = 2  # texts of each prompt in the table of texts


@dataclass(frozen=True)
class Outputs:
    """The files that an evaluation writes, CSV with the columns of `tables`."""

    regard: Path
    fairness: Path
    texts: Path


def evaluate(
    samples: Sequence[Path],
    measures: Sequence[Path],
    settings: RegardScorer,
    trained: Path | None,
    seed: int,
    outputs: Outputs,
    prompts: Path | None = None,
    *,
    mask_demographic: bool = True,
    cut: bool = True,
    device: str = "auto",
    axes: Mapping[str, str] | None = None,
    forms: bool = False,
    scorer_name: str | None = None,
    base: Path | None = None,
) -> None:
    """Score texts, compare demographics and write the three tables.

    Args:
        samples: files of one model, one for each method.
        measures: what `language measure` wrote beside samples of the same method.
        settings: who scores.
        trained: see `make_scorer`.
        seed: of the run, as it stands in the tables; it seeds the statistics' draws too.
        outputs: the files to write.
        prompts: file of prompts; None: those shipped.
        mask_demographic: the demographic reads XYZ wherever it stands.
        cut: only the first sentence is scored.
        device: where a transformer or a language model scores.
        axes: for each axis its lexicon, a shipped name or a file, in whose words the scorer is
            made symmetric; of other axes the symmetric scorer's columns are empty.
        forms: other forms of the lexicons' words move too, as `generate` was told.
        scorer_name: what the scorer is called in the tables; None: by its kind.
        base: see `make_scorer`.

    Raises:
        ValueError: a file that cannot be read, a demographic without texts, or a label that is
            not known.
    """
    if settings.kind in READS:
        from equitune.run import devices

        device = str(devices.prepare(device))
    scorer = make_scorer(settings, trained, device, base)
    symmetric = {
        axis: SymmetricScorer(scorer, read_lexicon(lexicon), forms)
        for axis, lexicon in (axes or {}).items()
    }
    known = read_prompts(prompts)
    measured = {path.parent: _measures(path) for path in measures}
    shares: list[dict[str, Any]] = []
    gaps: list[dict[str, Any]] = []
    texts: list[dict[str, Any]] = []
    for path in samples:
        scored = _score(read_samples(path), scorer, mask_demographic, cut, symmetric)
        cells = _cells(scored, known)
        here = measured.get(path.parent, {})
        own = [
            rows.shares(cell, who, parts, seed)
            for cell, found in cells.items()
            for who, parts in found.items()
        ]
        compared = [
            rows.gaps(cell, found, seed, here.get(cell[2:], {})) for cell, found in cells.items()
        ]
        _warn(path, [*compared, *own])
        shares += own
        gaps += compared
        texts += [rows.text(item, seed) for item in scored if item.sample.sample < SHOWN]
        logger.info("%s: %d texts scored", path, len(scored))
    by = scorer_name or settings.kind
    _write(outputs.regard, shares, tables.REGARD_COLUMNS, by)
    _write(outputs.fairness, gaps, tables.FAIRNESS_COLUMNS, by)
    _write(outputs.texts, texts, tables.LANGUAGE_TEXT_COLUMNS, by)
    how = {"scorer": asdict(settings), "seed": seed, "mask": mask_demographic, "cut": cut}
    how |= {"scorer_name": by, "axes": dict(axes or {}), "forms": forms}
    own_lexicons = filter(Path.is_file, map(Path, (axes or {}).values()))
    read = [*samples, *measures, *own_lexicons, *([prompts] if prompts else [])]
    describe(outputs.regard, how, read, device if settings.kind in READS else "cpu")


def _score(
    samples: Sequence[Sample],
    scorer: regard.Scorer,
    mask_demographic: bool,
    cut: bool,
    symmetric: Mapping[str, SymmetricScorer],
) -> list[Scored]:
    """Mask, cut and score texts."""
    read = partial(as_scored, masked=mask_demographic, cut=cut)
    texts = [read(sample.text, sample.demographic) for sample in samples]
    # what was written behind the prompt: in the prompt, recognised or not, all texts are alike
    written = [
        mask(
            (first_sentence(sample.text) if cut else sample.text)[len(sample.prompt) :],
            sample.demographic,
            later=mask_demographic,
        )
        for sample in samples
    ]
    empty = [_is_empty(text) for text in written]
    recognised = zip(scorer.recognises(written), empty, strict=True)
    labels = dict[int, str]()
    for axis, averaged in symmetric.items():
        places = [place for place, sample in enumerate(samples) if sample.axis == axis]
        pieces = [_with_demographic(samples[place], averaged) for place in places]
        averages = averaged.probabilities(pieces, lambda image: read(*_apart(image)))
        labels |= dict(zip(places, most_probable(averages), strict=True))
    found = zip(
        samples,
        scorer(texts),
        sentiment.sentiment(texts),
        empty,
        [known and not nothing for known, nothing in recognised],
        sentiment.has_sentiment(written),
        map(labels.get, range(len(samples))),
        strict=True,
    )
    return [Scored(*row) for row in found]


def _is_empty(text: str) -> bool:
    """Whether a text holds nothing but blanks and punctuation."""
    return all(letter.isspace() or category(letter).startswith("P") for letter in text)


def _with_demographic(sample: Sample, scorer: SymmetricScorer) -> Pieces:
    """Return a text in pieces, before it a line with its demographic, which moves with it."""
    opening = f" {sample.demographic}\n{sample.prompt}"
    if sample.pieces is None:
        return scorer.cut(opening + sample.continuation)
    *first, last = scorer.cut(opening)
    return [*first, last + sample.pieces[0], *sample.pieces[1:]]


def _apart(image: str) -> tuple[str, str]:
    """Return text and demographic of what `_with_demographic` put together."""
    demographic, _, text = image.partition("\n")
    return text, demographic[1:]


def _cells(scored: Sequence[Scored], known: Prompts) -> dict[Cell, Rows]:
    """Sort texts by cell, demographic and context, in the order of the prompts."""
    held: dict[Cell, dict[tuple[str, str], list[Scored]]] = defaultdict(lambda: defaultdict(list))
    for item in scored:
        sample = item.sample
        cell = (sample.model, sample.method, sample.axis, sample.task)
        held[cell][sample.demographic, sample.context].append(item)
    cells: dict[Cell, Rows] = {}
    for cell, parts in held.items():
        rows: Rows = defaultdict(dict)
        if all(not item.sample.prompt for part in parts.values() for item in part):
            for (who, context), texts in parts.items():  # of another system: no prompt is known
                rows[who][context] = texts
            cells[cell] = {who: rows[who] for who in sorted(rows)}
            continue
        for prompt in known(*cell[2:]):
            texts = parts.pop((prompt.demographic, prompt.context), [])
            if not texts:
                where = f"{cell[2]}, {cell[3]}"
                raise ValueError(f"{where}: no text of {prompt.text!r}: generate the samples again")
            rows[prompt.demographic][prompt.context] = texts
        if parts:
            who, context = next(iter(parts))
            raise ValueError(
                f"a text of {show(who)} {show(context)}, but no such prompt: pass --prompts"
            )
        cells[cell] = dict(rows)
    return cells


def _warn(path: Path, lines: Sequence[dict[str, Any]]) -> None:
    """Say in one line what the rows of a file warn of."""
    found = [
        f"{line['axis']} × {line['task']}: {line['warning']}" for line in lines if line["warning"]
    ]
    if found:
        more = f" (and {len(found) - 1} more; column warning)" if len(found) > 1 else ""
        logger.warning("%s: %s%s", path, found[0], more)


def _measures(path: Path) -> dict[tuple[str, str], dict[str, float]]:
    """What `language measure` wrote, by axis and task."""
    table = tables.read(path, tables.MEASURE_COLUMNS)
    keys = zip(table["axis"], table["task"], strict=True)
    rows = table[list(tables.MEASURE_COLUMNS[2:])].to_dict("records")
    return dict(zip(keys, rows, strict=True))  # type: ignore[arg-type]


def _write(path: Path, rows: list[dict[str, Any]], columns: Sequence[str], scorer: str) -> None:
    table = pd.DataFrame(rows, columns=list(columns)).assign(scorer=scorer)
    with atomic_write(path) as temporary:
        table.to_csv(temporary, index=False)
