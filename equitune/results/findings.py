"""What a run found, in a few sentences with numbers, and the claims as a list: parts of the report.

Sentences come from the tables alone and say which way a comparison went, also where it is not the
papers' way. The parts are HTML without scripts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

import pandas as pd

from equitune.methods import METHODS
from equitune.results.figures.image import ARCHITECTURES
from equitune.results.tables import IMAGE_KEYS, SCAN_KEYS, summarize

FAIR = 1e-5  # a distance of no more than this is rounding
NOTHING = "No pair of methods to compare was run."
VERDICTS = ("reproduced", "not reproduced", "not run")


def scan(table: pd.DataFrame) -> list[str]:
    """Return what the models of SCAN got right, the finding first."""
    means = _means(table, SCAN_KEYS, "test_accuracy")
    won, cells = _won(means, ["task", "architecture"])
    first = (
        "The equi-tuned model decodes more test commands right than the fine-tuned one in "
        f"{won} of {cells} comparisons ({_seeds(table)} each)."
        if cells
        else NOTHING
    )
    return [first, *_each(table, means, "task", "commands", "right")]


def image(table: pd.DataFrame, gains: pd.DataFrame) -> list[str]:
    """Return how well moved images were recognised, the finding first."""
    means = _means(table, IMAGE_KEYS, "rotated_accuracy")
    found = gains[(gains["measure"] == "rotated_accuracy") & (gains["method"] == "equitune")]
    sentences = []
    for against, rows in found.groupby("against", sort=False):
        better, worse = (rows["low"] > 0).sum(), (rows["high"] < 0).sum()
        sentences.append(
            f"Of moved images the equi-tuned network recognises more than the "
            f"{METHODS[str(against)].label} one in {better} of {len(rows)} comparisons (the 95 % "
            f"interval of the gain is above 0), fewer in {worse}; the gain is "
            f"{_range(100 * rows['gain'], '{:+.1f}')} points."
        )
    rest = _each(table, means, "dataset", "images, each moved by a random group element,", "right")
    return [*(sentences or [NOTHING]), *rest]


def language(table: pd.DataFrame) -> list[str]:
    """Return how far from fairness the language models are, the finding first."""
    measured = table.dropna(subset="counterfactual_tv")
    sentences = []
    for name, own in measured.groupby("model"):
        plain, equal = (own[own["method"] == method] for method in ("plain", "equi"))
        if len(plain) and len(equal):
            distance = equal["counterfactual_tv"].max()
            fair = (
                f"does not depend on the demographic: its distance from fairness is {distance:.1g} "
                "at most, which is rounding"
                if distance <= FAIR
                else f"is not fair: its distance from fairness is up to {distance:.2g}"
            )
            cost = (equal["perplexity"].mean() / plain["perplexity"].mean() - 1) * 100
            price = "not measured" if pd.isna(cost) else f"{cost:+.1f} % against the plain model's"
            sentences.append(
                f"{name}: the averaged model {fair}, that of the plain one "
                f"{_range(plain['counterfactual_tv'], '{:.2g}')} (counterfactual total variation; "
                f"{_seeds(equal)}). Its perplexity is {price}."
            )
    for (model, method), rows in table.groupby(["model", "method"], sort=False):
        sizes = rows["regard_gap"].abs().dropna()
        if len(sizes):
            label = METHODS[str(method)].label if method in METHODS else method
            counts = _range(rows["n"], "{:.0f}")
            sentences.append(
                f"Gap in mean regard between demographics, {model}, {label}: "
                f"{_range(sizes, '{:.2f}')} in size (n = {counts} texts a gap); {_clear(rows)}."
            )
    return sentences or [NOTHING]


FINDINGS: Mapping[str, tuple[Callable[..., list[str]], tuple[str, ...]]] = {
    "scan": (scan, ("scan",)),
    "image": (image, ("image", "image_gains")),
    "language": (language, ("fairness",)),
}


def page(sentences: Sequence[str]) -> str:
    """Return sentences as HTML: the first one stands out, the others are a list."""
    rest = "".join(f"<li>{escape(each)}</li>" for each in sentences[1:])
    return f"<p><strong>{escape(sentences[0])}</strong></p>\n<ul>{rest}</ul>\n"


def claims(table: pd.DataFrame) -> str:
    """Return the judged claims as HTML: a sentence each, its rule and numbers folded away.

    Args:
        table: rows of claims.csv.
    """
    parts = []
    for verdict in VERDICTS:
        rows = table[table["verdict"] == verdict]
        if rows.empty:
            continue
        items = "".join(map(_claim, rows.to_dict("records")))
        parts.append(f"<h4>{verdict.capitalize()} ({len(rows)})</h4>\n<ul>{items}</ul>\n")
    return '<div class="claims">\n' + "".join(parts) + "</div>\n"


def _claim(row: Mapping[Any, Any]) -> str:
    """Return one claim."""
    rule, note, source = (escape(str(row[name])) for name in ("rule", "note", "source"))
    seeds = f"n = {row['n']} seed{'s' if row['n'] != 1 else ''}"
    return (
        f'<li><span title="{rule}">{escape(str(row["claim"]))}.</span> {seeds}.'
        f"<details><summary>rule and numbers</summary>Tested: {rule}.<br>Found: {note}.<br>"
        f"Source: {source}.</details></li>\n"
    )


def _means(table: pd.DataFrame, keys: Sequence[str], measure: str) -> pd.DataFrame:
    """Return the mean over the seeds of each cell that has one."""
    return summarize(table, keys, [measure]).dropna(subset="mean")


def _clear(gaps: pd.DataFrame) -> str:
    """Return how many gaps are not explained by chance."""
    known = gaps.dropna(subset=["regard_gap_low", "regard_gap_high"])
    if known.empty:
        return "no 95 % interval, as there are too few texts"
    apart = (known["regard_gap_low"] > 0) | (known["regard_gap_high"] < 0)
    return f"the 95 % interval leaves out 0 in {apart.sum()} of {len(known)} comparisons"


def _won(means: pd.DataFrame, cell: list[str]) -> tuple[int, int]:
    """Return in how many cells, and of how many, equi-tuning has the larger mean."""
    ours, plain = (means[means["method"] == name] for name in ("equitune", "finetune"))
    both = ours.merge(plain, on=cell, suffixes=("", "_plain"))
    return int((both["mean"] > both["mean_plain"]).sum()), len(both)


def _each(table: pd.DataFrame, means: pd.DataFrame, by: str, what: str, verb: str) -> list[str]:
    """Return a sentence for each task or dataset: every method's accuracy over its models."""
    sentences = []
    for name, rows in means.groupby(by):
        runs = table[table[by] == name]
        sizes = runs["test_size"].dropna() if "test_size" in runs else pd.Series(dtype=float)
        size = f"{_range(sizes, '{:.0f}')} test" if len(sizes) else "the test"
        models = [ARCHITECTURES.get(each, each) for each in dict.fromkeys(rows["architecture"])]
        said = [
            f"{METHODS[method].label} {_range(100 * own['mean'], '{:.1f}')} %"
            for method in METHODS
            if len(own := rows[rows["method"] == method])
        ]
        sentences.append(
            f"{str(name).replace('_', ' ')}, {', '.join(models)}: of {size} {what} are {verb}: "
            f"{'; '.join(said)} ({_seeds(runs)})."
        )
    return sentences


def _seeds(rows: pd.DataFrame) -> str:
    """Return the number of seeds."""
    count = rows["seed"].nunique()
    return f"n = {count} seed{'s' if count != 1 else ''}"


def _range(values: pd.Series[float], form: str) -> str:
    """Return the number that all values are, or the smallest and the largest."""
    low, high = form.format(values.min()), form.format(values.max())
    return low if low == high else f"{low} to {high}"
