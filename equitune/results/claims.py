"""Claims of the papers, each tested on a run's tables by its own stated rule; reads no file.

resources/claims.yaml lists them and says what its keys mean. A claim is `not run` where the run was
smaller than the paper's, whatever it found; the note then says what that was.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from math import isnan, nan, prod, sqrt
from typing import Any

import pandas as pd
from scipy import stats

from equitune.config import GROUPLESS, IDENTITY
from equitune.results import claim as words
from equitune.results.claim import AtLeast, Claim, Condition, Rows
from equitune.results.tables import FAIRNESS_KEYS, IMAGE_GAIN_KEYS, IMAGE_KEYS, SCAN_KEYS

CLAIM_COLUMNS = (
    "claim",
    "source",
    "published",
    "measured",
    "sd",
    "n",
    "verdict",
    "low",
    "high",
    "rule",
    "note",
)
CONFIDENCE = 0.95
KEYS = {"scan": SCAN_KEYS, "image": IMAGE_KEYS, "fairness": FAIRNESS_KEYS}
PUBLISHED_KEYS = ["experiment", "dataset", "architecture", "method", "demographic", "metric"]


def judge(
    claims: Sequence[Claim],
    tables: Mapping[str, pd.DataFrame],
    published: pd.DataFrame,
    settings: Mapping[str, Any] | None = None,
) -> pd.DataFrame:
    """Test claims on the tables of a run.

    Args:
        claims: as resources/claims.yaml lists them.
        tables: "scan", "image", "fairness" and "image_gains", those that there are.
        published: rows of resources/published.csv.
        settings: what the run was made with, for the `needs` of claims; None: not known.

    Returns:
        One row per claim with the columns `CLAIM_COLUMNS`: the published value, the measured one
        (mean over seeds), its standard deviation, number of seeds and 95 % interval, the verdict
        (`reproduced`, `not reproduced`, `not run`), the rule and what was found, in words.

    Raises:
        ValueError: two rows of a table are of the same run.
    """
    keys = {name: [*columns, "seed"] for name, columns in KEYS.items()}
    keys["image_gains"] = [*IMAGE_GAIN_KEYS]
    for name, table in tables.items():
        if table.duplicated(keys[name]).any():
            raise ValueError(f"{name}.csv: two rows are of the same run; leave one of them there")
    known = published_tables(published)
    rows = [
        _gain_row(each, tables.get(each.table), settings)
        if each.table == "image_gains"
        else _row(each, tables.get(each.table), known.get(each.table), settings)
        for claim in claims
        for each in _expanded(claim)
    ]
    return pd.DataFrame(rows, columns=list(CLAIM_COLUMNS))


def interval(values: pd.Series[float]) -> tuple[float, float]:
    """Return the 95 % t interval of the mean; (nan, nan) for fewer than two values."""
    if len(values) < 2:
        return nan, nan
    quantile = stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1)
    half = float(quantile * values.std() / sqrt(len(values)))
    return values.mean() - half, values.mean() + half


def _expanded(claim: Claim) -> Iterator[Claim]:
    """Yield the claim for every combination of the values that `each` names."""
    for pairs in product(*(named.items() for named in claim.each.values())):
        values, names = zip(*pairs, strict=True) if pairs else ((), ())
        chosen: Rows = dict(zip(claim.each, values, strict=True))
        text = claim.claim.format(**dict(zip(claim.each, names, strict=True)))
        yield replace(claim, claim=text, rows=claim.rows | chosen, each={})


def _row(
    claim: Claim,
    table: pd.DataFrame | None,
    published: pd.DataFrame | None,
    settings: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Test one claim."""
    first = claim.tests[0]
    expected = values_of(choose_published(published, claim), claim, first).mean()
    runs = choose(table, claim.rows)
    found = [values_of(runs, claim, test) for test in claim.tests]
    seeds = [values.groupby("seed").mean() for values in found]
    n = min(len(means) for means in seeds)
    if notes := list(_smaller(claim, runs, seeds, expected, settings)):
        verdict = "not run"
        if n:
            notes.append(f"here: {words.amount(claim, first, seeds[0].mean())}, n = {n}")
        notes += _on_other_data(claim, table)
    else:
        held = [
            _holds(test, values, means, expected)
            for test, values, means in zip(claim.tests, found, seeds, strict=True)
        ]
        verdict = "reproduced" if all(held) else "not reproduced"
        notes = [
            words.finding(claim, test, values, interval(means))
            for test, values, means in zip(claim.tests, found, seeds, strict=True)
        ]
        if n == 1:
            notes.append("n = 1: this seed alone")
        if settings is None and claim.needs:
            notes.append("settings not given: taken to be the paper's")
    low, high = interval(seeds[0])
    measured, sd = seeds[0].mean(), seeds[0].std()
    return _entry(claim, expected, measured, sd, n, verdict, low, high, notes)


def _gain_row(
    claim: Claim, table: pd.DataFrame | None, settings: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Test one claim by the interval that image_gains.csv has, over images and seeds."""
    (test,) = claim.tests
    found = gain_of(table, claim, test)
    value, low, high, n, notes = nan, nan, nan, 0, []
    if found is not None:
        value, low, high = (float(found[name]) for name in ("gain", "low", "high"))
        n = int(found["seeds"])
        if n < claim.seeds:
            notes.append(f"n = {n}, and the rule asks for {claim.seeds} seeds")
        notes += _unmet(claim, settings) if settings is not None else ()
        measured = words.bounded(claim, test, (low, high))
        if notes:
            notes.append(f"here: {words.amount(claim, test, value)}, {measured}")
            verdict = "not run"
        else:
            notes = [f"{measured}, {found['images']} images"]
            verdict = "reproduced" if low > (test.exceeds or 0) else "not reproduced"
    else:
        verdict = "not run"
        lacking = "no image_gains.csv" if table is None else words.lacking(claim, [test])
        notes.append(lacking)
    return _entry(claim, nan, value, nan, n, verdict, low, high, notes)


def _entry(
    claim: Claim,
    published: float,
    measured: float,
    sd: float,
    n: int,
    verdict: str,
    low: float,
    high: float,
    notes: Sequence[str],
) -> dict[str, Any]:
    """Return a row of the table."""
    found = (published, measured, sd, n, verdict, low, high)
    values = (claim.claim, claim.source, *found, words.rule(claim), "; ".join(notes))
    return dict(zip(CLAIM_COLUMNS, values, strict=True))


def _holds(
    test: Condition, values: pd.Series[float], means: pd.Series[float], expected: float
) -> bool:
    """Whether a condition holds; an interval that does not exist is above nothing."""
    low, high = interval(means)
    return bool(
        (test.at_least is None or values.min() >= test.at_least)
        and (test.at_most is None or values.max() <= test.at_most)
        and (test.exceeds is None or low > test.exceeds)
        and (test.reaches is None or high >= expected - test.reaches)
    )


def _smaller(
    claim: Claim,
    runs: pd.DataFrame | None,
    seeds: Sequence[pd.Series[float]],
    expected: float,
    settings: Mapping[str, Any] | None,
) -> Iterator[str]:
    """Say what keeps a claim from being tested, such as a run that is smaller than the paper's."""
    if runs is None:
        yield f"no {claim.table}.csv"
        return
    lacking = [test for test, means in zip(claim.tests, seeds, strict=True) if means.empty]
    if lacking:
        yield words.lacking(claim, lacking)
        return
    if (n := min(len(means) for means in seeds)) < claim.seeds:
        yield f"n = {n}, and the rule asks for {claim.seeds} seeds"
    for column, least in claim.at_least.items():
        if runs[column].min() < least:
            size = words.SIZES.get(column, column)
            yield f"{size} is {runs[column].min():.0f}, in the paper's run {least:.0f}"
    if settings is not None:
        yield from _unmet(claim, settings)
    if isnan(expected) and any(test.reaches is not None for test in claim.tests):
        yield "no published value"


def _unmet(claim: Claim, settings: Mapping[str, Any]) -> Iterator[str]:
    """Say which settings are not the paper's."""
    for key, wanted in claim.needs.items():
        value = settings.get(key)
        if isinstance(wanted, AtLeast):
            if value is None or value < wanted.at_least:
                yield f"{key} is {value}, in the paper's run {wanted.at_least:.0f}"
        elif value != wanted:
            yield f"{key} is {value}, in the paper's run {'not set' if wanted is None else wanted}"


def _on_other_data(claim: Claim, table: pd.DataFrame | None) -> Iterator[str]:
    """Say what was found on data that is not the paper's."""
    if table is None or claim.data is None:
        return
    own = claim.rows[claim.data]
    for name in sorted(set(table[claim.data]) - {own}):
        other: Rows = {claim.data: name}
        runs = choose(table, claim.rows | other)
        means = numbers(runs, claim, claim.tests[0]).groupby("seed").mean()
        if len(means):
            found = words.amount(claim, claim.tests[0], means.mean())
            yield f"on {name}: {found}, n = {len(means)}{_scored(claim, runs)}"


def _scored(claim: Claim, runs: pd.DataFrame | None) -> str:
    """Return who told the regard that a claim is about, where the table says it."""
    if runs is None or not claim.measure.startswith("regard") or "scorer" not in runs:
        return ""
    names = sorted(set(runs["scorer"].dropna()))
    return f", scorer {' and '.join(names)}" if names else ""


def choose(table: pd.DataFrame | None, wanted: Rows) -> pd.DataFrame | None:
    """Return the rows of a table, if there is one, that have these values."""
    if table is None:
        return None
    for column, names in wanted.items():
        table = table[table[column].isin([names] if isinstance(names, str) else names)]
    return table


def choose_published(published: pd.DataFrame | None, claim: Claim) -> pd.DataFrame | None:
    """Return the published rows that a claim is about, under the names they were published with."""
    names = claim.published_as
    return choose(
        published,
        {
            column: names.get(wanted, wanted) if isinstance(wanted, str) else wanted
            for column, wanted in claim.rows.items()
        },
    )


def values_of(table: pd.DataFrame | None, claim: Claim, test: Condition) -> pd.Series[float]:
    """Return what a condition is about: a number for each of the claim's cells and each seed.

    A seed that lacks one of the cells is left out.
    """
    found = numbers(table, claim, test)
    cells = prod(len(wanted) for wanted in claim.rows.values() if isinstance(wanted, list))
    return found[found.groupby("seed").transform("size") == cells]


def numbers(table: pd.DataFrame | None, claim: Claim, test: Condition) -> pd.Series[float]:
    """Return the numbers that there are, whichever cells and seeds they are of."""
    measure = test.measure or claim.measure
    if table is None or measure not in table:
        return pd.Series(dtype=float, index=pd.Index([], name="seed"))
    rows = table
    index = [name for name in KEYS[claim.table] if name not in ("method", "group")] + ["seed"]

    def of(method: str) -> pd.Series[float]:
        chosen = rows[rows["method"] == method]
        if "group" in chosen:
            group = IDENTITY if method in GROUPLESS else claim.group
            chosen = chosen[chosen["group"] == group]
        column = chosen.set_index(index)[measure].astype(float)
        return column.abs() if test.size else column

    found = of(test.method)
    if test.minus is not None:
        found = found - of(test.minus)
    if test.over is not None:
        found = found / of(test.over)
    return found.dropna()


def gain_of(table: pd.DataFrame | None, claim: Claim, test: Condition) -> pd.Series[float] | None:
    """Return the row of image_gains.csv that a condition is about, if there is one."""
    wanted = {"method": test.method, "against": test.minus or "", "measure": claim.measure}
    rows = choose(table, claim.rows | {**wanted, "group": claim.group})
    return None if rows is None or rows.empty else rows.iloc[0]


def published_tables(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return published values as tables with the columns of a run's, as if of one seed."""
    # of two values of the same thing neither is the published one
    rows = rows.drop_duplicates(PUBLISHED_KEYS, keep=False)
    images = rows[rows["experiment"] == "image"].pivot_table(
        "value", ["dataset", "architecture", "method"], "metric"
    )
    texts = rows[rows["experiment"] == "language"].pivot_table(
        "value", ["dataset", "architecture", "method", "demographic"], "metric"
    )
    fairness = []
    for (cell, model, method), shares in texts.groupby(level=[0, 1, 2]):
        axis, _, task = str(cell).partition(" ")
        regard = shares["positive"] - shares["negative"]  # demographics in alphabetical order
        fairness.append(
            {
                "model": model,
                "method": method,
                "axis": axis,
                "task": task,
                "seed": 0,
                "pair": "/".join(shares.index.get_level_values("demographic")),
                "regard_gap": regard.iloc[0] - regard.iloc[-1],
            }
        )
    columns = [*FAIRNESS_KEYS, "seed", "pair", "regard_gap"]
    return {
        "image": images.reset_index().assign(seed=0),
        "fairness": pd.DataFrame(fairness, columns=columns),
    }
