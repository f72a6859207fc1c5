"""The rows of the language tables, worked out from scored texts.

What is too little to say something is left empty, and the column `warning` says why.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from equitune.config import REGARD_LABELS
from equitune.language.fairness import MINIMUM, Counts, Gap, count, regard_gap
from equitune.language.samples import Sample
from equitune.results import tables

Cell = tuple[str, str, str, str]  # model, method, axis, task


@dataclass(frozen=True)
class Scored:
    """A sample, and what is made of it.

    Attributes:
        sample: the text.
        regard: its label.
        sentiment: VADER's compound score.
        empty: nothing was written behind the prompt.
        recognised: the scorer of regard recognises something in it.
        has_sentiment: VADER does.
        symmetric: the symmetric scorer's label; None without a lexicon.
    """

    sample: Sample
    regard: str
    sentiment: float
    empty: bool
    recognised: bool
    has_sentiment: bool
    symmetric: str | None = None


Rows = dict[str, dict[str, list[Scored]]]  # demographic → context → texts


def shares(
    cell: Cell, who: str, parts: Mapping[str, Sequence[Scored]], seed: int
) -> dict[str, Any]:
    """Return a row of regard.csv; without shares and sentiment where all texts are empty."""
    items = [item for texts in parts.values() for item in texts]
    row: dict[str, Any] = dict(zip(tables.FAIRNESS_KEYS, cell, strict=True))
    row |= {"demographic": who, "seed": seed, "n": len(items)}
    empty, unscored = _share_of(items, "empty"), 1 - _share_of(items, "recognised")
    unfelt = 1 - _share_of(items, "has_sentiment")
    row |= {"empty": empty, "unscored": unscored, "unscored_sentiment": unfelt}
    row["warning"] = "; ".join(filter(None, [_few(unscored), _few(unfelt, "VADER")])) or None
    if empty == 1:
        return row
    row |= _distribution([item.regard for item in items])
    if labels := _symmetric(items):
        found = _distribution(labels)
        row |= {tables.SYMMETRIC + label: share for label, share in found.items()}
    return row | {"sentiment": float(np.mean([item.sentiment for item in items]))}


def gaps(cell: Cell, rows: Rows, seed: int, measured: Mapping[str, float]) -> dict[str, Any]:
    """Return a row of fairness.csv; without a gap where of a demographic nothing is recognised."""
    names = list(rows)
    gap = regard_gap(_counts(rows, "regard"), seed)
    items = [x for who in gap.pair for texts in rows[names[who]].values() for x in texts]
    unscored = 1 - _share_of(items, "recognised")
    row: dict[str, Any] = {
        **dict(zip(tables.FAIRNESS_KEYS, cell, strict=True)),
        "seed": seed,
        **measured,
        "pair": "/".join(names[place] for place in gap.pair),
        "n": gap.n,
        "empty": _share_of(items, "empty"),
        "unscored": unscored,
    }
    warnings = [_few(unscored)]
    silent = [
        who
        for who, parts in rows.items()
        if not any(item.recognised for texts in parts.values() for item in texts)
    ]
    if silent:
        return row | {"warning": f"no gap: nothing is recognised in the texts of {silent[0]}"}
    columns = [("regard", "regard_gap", "p_value")]
    if _symmetric(items):
        columns.append(("symmetric", "symmetric_gap", "symmetric_p_value"))
    for label, name, p_value in columns:
        # both scorers are asked about the same two demographics
        found = gap if label == "regard" else regard_gap(_counts(rows, label), seed, gap.pair)
        row |= {name: found.gap, f"{name}_low": found.low, f"{name}_high": found.high}
        row[p_value] = found.p_value
        warnings.append(_thin(found, rows, label))
    row["warning"] = "; ".join(dict.fromkeys(filter(None, warnings))) or None
    return row


def text(item: Scored, seed: int) -> dict[str, Any]:
    """Return a row of the table of texts."""
    sample = item.sample
    row = {key: getattr(sample, key) for key in tables.LANGUAGE_TEXT_KEYS}
    return row | {
        "seed": seed,
        "demographic": sample.demographic,
        "text": sample.text,
        "regard": item.regard,
    }


def _share_of(items: Sequence[Scored], name: str) -> float:
    """Return the share of texts of which something is true."""
    return sum(bool(getattr(item, name)) for item in items) / len(items)


def _symmetric(items: Sequence[Scored]) -> list[str]:
    """Return the symmetric scorer's labels; none where an axis has no lexicon."""
    return [item.symmetric for item in items if item.symmetric is not None]


def _distribution(labels: Sequence[str]) -> dict[str, float]:
    """Return the share of each label."""
    return {
        label: number / len(labels)
        for label, number in zip(REGARD_LABELS, count(labels), strict=True)
    }


def _counts(rows: Rows, label: str) -> Counts:
    """Return how often each label occurs, (demographics, contexts, 4)."""
    return np.array(
        [
            [count([getattr(item, label) for item in texts]) for texts in parts.values()]
            for parts in rows.values()
        ]
    )


def _few(unscored: float, scorer: str = "the scorer") -> str:
    """Return a warning where a scorer recognises too few texts."""
    if unscored <= tables.UNSCORED:
        return ""
    percent = math.floor(100 * (1 - unscored) + 1e-9)  # half is not few
    return f"{scorer} recognises something in {percent} % of the texts only"


def _thin(gap: Gap, rows: Rows, label: str) -> str:
    """Return a warning where there is no interval."""
    if gap.thin is None:
        return ""
    who, place = gap.thin
    name = list(rows)[who]
    context, texts = list(rows[name].items())[place]
    where = f"{name}, {context}"
    if len(texts) < MINIMUM:
        return f"no interval: {len(texts)} texts of {where}, fewer than {MINIMUM}"
    scorer = "symmetric scorer: " if label == "symmetric" else ""
    return f"{scorer}no interval: all texts of {where} have the same regard"
