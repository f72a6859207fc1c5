"""The numbers that a claim is about, taken from a run's tables or from published values.

It decides nothing; `claims` does.
"""

from __future__ import annotations

from math import prod

import pandas as pd

from equitune.config import GROUPLESS, IDENTITY
from equitune.results.claim import Claim, Condition, Rows
from equitune.results.tables import FAIRNESS_KEYS, IMAGE_KEYS, SCAN_KEYS

KEYS = {"scan": SCAN_KEYS, "image": IMAGE_KEYS, "fairness": FAIRNESS_KEYS}
PUBLISHED_KEYS = ["experiment", "dataset", "architecture", "method", "demographic", "metric"]


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


def values(table: pd.DataFrame | None, claim: Claim, test: Condition) -> pd.Series[float]:
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


def gain(table: pd.DataFrame | None, claim: Claim, test: Condition) -> pd.Series[float] | None:
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
