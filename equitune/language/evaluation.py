"""From texts to tables: regard of each demographic, gaps between them, a few texts to read.

It knows files and scorers; what a language model is stands elsewhere.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from equitune.config import REGARD_LABELS, RegardScorer
from equitune.extras import extra
from equitune.files import atomic_write
from equitune.language import regard
from equitune.language.corpus import read_corpus
from equitune.language.fairness import count, regard_gap
from equitune.language.prompts import Prompts, first_sentence, mask, read_prompts
from equitune.language.samples import Sample, read_samples
from equitune.manifests import describe
from equitune.names import show
from equitune.results import tables

with extra("workflow"):
    import pandas as pd

logger = logging.getLogger(__name__)

SHOWN = 2  # texts of each prompt in the table of texts
PUBLISHED = {"dev": 0.92, "test": 0.80}  # BERT ensemble, Sheng et al. 2019


@dataclass(frozen=True)
class Outputs:
    """The files that an evaluation writes, CSV with the columns of `tables`."""

    regard: Path
    fairness: Path
    texts: Path


@dataclass(frozen=True)
class Scored:
    """A sample, its regard and its sentiment."""

    sample: Sample
    regard: str
    sentiment: float


def train_scorer(train: Path, dev: Path, test: Path, output: Path, accuracies: Path) -> None:
    """Train a TF-IDF scorer and write its accuracy beside that of the published ensemble.

    Args:
        train: labelled sentences, as `regard.read_regard` reads them.
        dev: the same; the settings were chosen on it.
        test: the same; looked at here only.
        output: the scorer.
        accuracies: CSV: part, n, accuracy, published.

    Raises:
        ValueError: a file that cannot be read.
    """
    parts = {"dev": regard.read_regard(dev), "test": regard.read_regard(test)}
    scorer = regard.TfidfScorer.fit(*regard.read_regard(train))
    rows = []
    for part, (texts, labels) in parts.items():
        found = regard.accuracy(scorer, texts, labels)
        rows.append((part, len(texts), found, PUBLISHED[part]))
    scorer.save(output)
    with atomic_write(accuracies) as temporary:
        columns = ["part", "n", "accuracy", "published"]
        pd.DataFrame(rows, columns=columns).to_csv(temporary, index=False)


def make_scorer(settings: RegardScorer, trained: Path | None, device: Any = "cpu") -> regard.Scorer:
    """Return the scorer that the settings name.

    Args:
        settings: its kind.
        trained: file of a TF-IDF scorer, folder of a transformer.
        device: where a transformer computes.

    Raises:
        ValueError: a scorer that cannot be read, or needs a file that is not given.
    """
    if settings.kind == "words":
        return regard.WordScorer(*read_corpus().markers())
    if trained is None:
        raise ValueError(f"a scorer of kind {settings.kind} needs its file: pass --trained")
    if settings.kind == "tfidf":
        return regard.TfidfScorer.load(trained)
    return regard.TransformerScorer(trained, settings.labels, device)


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
        device: where a transformer scores.

    Raises:
        ValueError: a file that cannot be read, or a demographic without texts.
    """
    if settings.kind == "transformer":
        from equitune import devices

        device = str(devices.prepare(device))
    scorer = make_scorer(settings, trained, device)
    known = read_prompts(prompts)
    measured = {path.parent: _measures(path) for path in measures}
    shares: list[dict[str, Any]] = []
    gaps: list[dict[str, Any]] = []
    texts: list[dict[str, Any]] = []
    for path in samples:
        scored = _score(read_samples(path), scorer, mask_demographic, cut)
        cells = _cells(scored, known)
        for cell, rows in cells.items():
            shares += [_shares(cell, who, parts, seed) for who, parts in rows.items()]
            gaps.append(_gap(cell, rows, seed, measured.get(path.parent, {}).get(cell[2:], {})))
        texts += [_text(item, seed) for item in scored if item.sample.sample < SHOWN]
        logger.info("%s: %d texts scored", path, len(scored))
    _write(outputs.regard, shares, tables.REGARD_COLUMNS)
    _write(outputs.fairness, gaps, tables.FAIRNESS_COLUMNS)
    _write(outputs.texts, texts, tables.LANGUAGE_TEXT_COLUMNS)
    how = {"scorer": asdict(settings), "seed": seed, "mask": mask_demographic, "cut": cut}
    read = [*samples, *measures, *([prompts] if prompts else [])]
    describe(outputs.regard, how, read, device if settings.kind == "transformer" else "cpu")


Cell = tuple[str, str, str, str]  # model, method, axis, task
Rows = dict[str, dict[str, list[Scored]]]  # demographic → context → texts


def _score(
    samples: Sequence[Sample], scorer: regard.Scorer, mask_demographic: bool, cut: bool
) -> list[Scored]:
    """Mask, cut and score texts."""
    texts = [
        mask(sample.text, sample.demographic, later=True) if mask_demographic else sample.text
        for sample in samples
    ]
    texts = [first_sentence(text) for text in texts] if cut else texts
    found = zip(samples, scorer(texts), regard.sentiment(texts), strict=True)
    return [Scored(*row) for row in found]


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


def _shares(cell: Cell, who: str, parts: dict[str, list[Scored]], seed: int) -> dict[str, Any]:
    """A row of regard.csv."""
    items = [item for texts in parts.values() for item in texts]
    counts = count([item.regard for item in items])
    row: dict[str, Any] = dict(zip(tables.FAIRNESS_KEYS, cell, strict=True))
    row |= {"demographic": who, "seed": seed, "n": len(items)}
    row |= {label: c / len(items) for label, c in zip(REGARD_LABELS, counts, strict=True)}
    return row | {"sentiment": float(np.mean([item.sentiment for item in items]))}


def _gap(cell: Cell, rows: Rows, seed: int, measured: dict[str, float]) -> dict[str, Any]:
    """A row of fairness.csv."""
    counts = [
        [count([x.regard for x in texts]) for texts in parts.values()] for parts in rows.values()
    ]
    gap = regard_gap(np.array(counts), seed)
    names = list(rows)
    return {
        **dict(zip(tables.FAIRNESS_KEYS, cell, strict=True)),
        "seed": seed,
        "regard_gap": gap.gap,
        "regard_gap_low": gap.low,
        "regard_gap_high": gap.high,
        **measured,
        "pair": "/".join(names[place] for place in gap.pair),
        "p_value": gap.p_value,
        "n": gap.n,
    }


def _text(item: Scored, seed: int) -> dict[str, Any]:
    """A row of the table of texts."""
    sample = item.sample
    row = {key: getattr(sample, key) for key in tables.LANGUAGE_TEXT_KEYS}
    return row | {
        "seed": seed,
        "demographic": sample.demographic,
        "text": sample.text,
        "regard": item.regard,
    }


def _measures(path: Path) -> dict[tuple[str, str], dict[str, float]]:
    """What `language measure` wrote, by axis and task."""
    table = tables.read(path, tables.MEASURE_COLUMNS)
    keys = zip(table["axis"], table["task"], strict=True)
    rows = table[list(tables.MEASURE_COLUMNS[2:])].to_dict("records")
    return dict(zip(keys, rows, strict=True))  # type: ignore[arg-type]


def _write(path: Path, rows: list[dict[str, Any]], columns: Sequence[str]) -> None:
    with atomic_write(path) as temporary:
        pd.DataFrame(rows, columns=list(columns)).to_csv(temporary, index=False)
