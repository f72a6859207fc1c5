"""Scorers by their settings: trained on labelled sentences, and made ready to score.

It knows files and kinds; what a scorer does stands in `regard` and `hidden`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from equitune.compat import extra
from equitune.config import TRAINED_SCORERS, RegardScorer
from equitune.io.files import atomic_write
from equitune.io.names import nearest, show
from equitune.language import regard, sentiment
from equitune.language.corpus import read_corpus
from equitune.language.fairness import wilson
from equitune.language.own_scorer import load_scorer
from equitune.results import tables

with extra("workflow"):
    import pandas as pd

PUBLISHED = {"dev": 0.92, "test": 0.80}  # BERT ensemble, Sheng et al. 2019
READS = ("hidden", "transformer")  # kinds that read texts by a model, on a device


def train_scorer(
    train: Path,
    dev: Path,
    test: Path,
    output: Path,
    accuracies: Path,
    name: str | None = None,
    kind: str = "tfidf",
    base: Path | None = None,
    device: str = "auto",
) -> None:
    """Train a scorer and write its accuracy beside that of TF-IDF and of the published ensemble.

    Args:
        train: labelled sentences, as `regard.read_regard` reads them.
        dev: the same; TF-IDF's settings were chosen on it.
        test: the same; looked at here only.
        output: the scorer.
        accuracies: CSV with the columns `tables.SCORER_COLUMNS`.
        name: what the scorer is called in the tables; None: by its kind.
        kind: one of `config.TRAINED_SCORERS`.
        base: of kind hidden: folder of the language model whose hidden states are read.
        device: where that model computes.

    Raises:
        ValueError: a file that cannot be read, an unknown kind, or no model where one is needed.
    """
    if kind not in TRAINED_SCORERS:
        raise ValueError(f"unknown kind {show(kind)}{nearest(kind, TRAINED_SCORERS)}")
    if (kind == "hidden") != (base is not None):
        raise ValueError(
            "kind hidden reads a language model: pass its folder as --base"
            if base is None
            else f"kind {kind} reads no language model: leave out --base, or pass --kind hidden"
        )
    parts = {"dev": regard.read_regard(dev), "test": regard.read_regard(test)}
    sentences = regard.read_regard(train)
    simple = regard.TfidfScorer.fit(*sentences)
    scorer: Any = simple
    if base is not None:
        from equitune.language.hidden import HiddenScorer
        from equitune.language.hidden_states import HiddenStates

        scorer = HiddenScorer.fit(HiddenStates(base, device), *sentences)
    rows = []
    for part, (texts, labels) in parts.items():
        found = regard.accuracy(scorer, texts, labels)
        low, high = wilson(round(found * len(texts)), len(texts))
        tfidf = regard.accuracy(simple, texts, labels)
        row = (name or kind, part, len(texts), found, low, high, tfidf, PUBLISHED[part])
        rows.append(dict(zip(tables.SCORER_COLUMNS, row, strict=True)))
    scorer.save(output)
    table = pd.DataFrame(rows, columns=list(tables.SCORER_COLUMNS))
    with atomic_write(accuracies) as temporary:
        table.to_csv(temporary, index=False)


def make_scorer(
    settings: RegardScorer, trained: Path | None, device: str = "cpu", base: Path | None = None
) -> regard.Scorer:
    """Return the scorer that the settings name.

    Args:
        settings: its kind.
        trained: file of a scorer that was trained here, folder of a transformer.
        device: where a transformer or a language model computes.
        base: of kind hidden: folder of the language model that it was trained on.

    Raises:
        ValueError: a scorer that cannot be read, or needs a file that is not given.
    """
    if settings.kind == "words":
        corpus = read_corpus()
        return regard.WordScorer(*corpus.markers(), corpus.words())
    if settings.kind == "sentiment":
        return sentiment.SentimentScorer()
    if settings.kind == "python":
        return load_scorer(str(settings.location))
    if trained is None:
        raise ValueError(f"a scorer of kind {settings.kind} needs its file: pass --trained")
    if settings.kind == "tfidf":
        return regard.TfidfScorer.load(trained)
    if settings.kind == "transformer":
        return regard.TransformerScorer(trained, settings.labels, device)
    if base is None:
        raise ValueError(
            "a scorer of kind hidden needs the language model that it was trained on: pass its "
            "folder as --scorer-base"
        )
    from equitune.language.hidden import HiddenScorer
    from equitune.language.hidden_states import HiddenStates

    return HiddenScorer.load(trained, HiddenStates(base, str(device)))
