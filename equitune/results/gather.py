"""The tables that are put together from the rows of runs, as data, and how that is done."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from equitune.io.names import LONGEST, nearest, shorten
from equitune.results import gains
from equitune.results.tables import (
    COST_COLUMNS,
    COST_KEYS,
    FAIRNESS_COLUMNS,
    FAIRNESS_KEYS,
    FAIRNESS_MEASURES,
    IMAGE_COLUMNS,
    IMAGE_ELEMENT_COLUMNS,
    IMAGE_EXAMPLE_COLUMNS,
    IMAGE_FORECAST_KEYS,
    IMAGE_FORECAST_PART_COLUMNS,
    IMAGE_KEYS,
    IMAGE_MEASURES,
    IMAGE_SCORE_COLUMNS,
    LANGUAGE_TEXT_COLUMNS,
    LANGUAGE_TEXT_KEYS,
    PRONOUN_COLUMNS,
    REGARD_COLUMNS,
    REGARD_KEYS,
    REGARD_MEASURES,
    SCAN_COLUMNS,
    SCAN_KEYS,
    SCAN_MEASURES,
    SCORER_COLUMNS,
    SCORER_KEYS,
    TUNING_COLUMNS,
    TUNING_KEYS,
    read,
    summarize,
)


@dataclass(frozen=True)
class Table:
    """One table.

    Attributes:
        columns: of its parts, and of the table if nothing is made of them.
        keys: columns that no two rows share; none: rows may be alike, and stay in their order.
        measures: columns whose mean over the seeds stands in its summary; none: it has none.
        apart: further columns that tell the summary's cells apart.
        made: what is made of the rows; with the scores of the images, where it `needs_scores`.
        needs_scores: whether it takes the files of scores too.
    """

    columns: Sequence[str]
    keys: Sequence[str]
    measures: Sequence[str] = ()
    apart: Sequence[str] = ()
    made: Callable[..., pd.DataFrame] | None = None
    needs_scores: bool = False


def first_seed(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the smallest seed of each dataset and architecture."""
    smallest = table.groupby(["dataset", "architecture"])["seed"].transform("min")
    return table[table["seed"] == smallest].reset_index(drop=True)


def side_by_side(texts: pd.DataFrame) -> pd.DataFrame:
    """Put the texts of all demographics of a context into one row; of several seeds, the first's.

    Args:
        texts: one row per text, with the columns `LANGUAGE_TEXT_COLUMNS`.

    Returns:
        One row for each of `LANGUAGE_TEXT_KEYS`, then scorer, demographic_1, text_1, regard_1,
        demographic_2 …, the demographics of an axis in alphabetical order. An axis of fewer
        demographics than another, and a text that is missing, leave empty cells.
    """
    keys, values = [*LANGUAGE_TEXT_KEYS, "scorer"], ["demographic", "text", "regard"]
    texts = texts.sort_values("seed", kind="stable").drop_duplicates([*keys, "demographic"])
    texts = texts.fillna({"scorer": ""})  # tables of earlier versions do not name it
    nth = texts.groupby(["model", "axis", "task"])["demographic"].rank(method="dense").astype(int)
    wide = texts.assign(nth=nth).pivot(index=keys, columns="nth", values=values)
    wide = wide[[(value, place) for place in sorted(set(nth)) for value in values]]
    wide.columns = wide.columns.map(lambda column: f"{column[0]}_{column[1]}")
    return wide.reset_index()


TABLES = {
    "scan": Table(SCAN_COLUMNS, [*SCAN_KEYS, "seed"], SCAN_MEASURES),
    "image": Table(IMAGE_COLUMNS, [*IMAGE_KEYS, "seed"], IMAGE_MEASURES),
    "image_elements": Table(IMAGE_ELEMENT_COLUMNS, [*IMAGE_KEYS, "seed", "measured_by", "element"]),
    "image_examples": Table(
        IMAGE_EXAMPLE_COLUMNS,
        [*IMAGE_KEYS, "seed", "measured_by", "image", "element"],
        made=first_seed,
    ),
    "image_gains": Table(IMAGE_SCORE_COLUMNS, (), made=gains.gains),
    "image_forecast": Table(
        IMAGE_FORECAST_PART_COLUMNS,
        IMAGE_FORECAST_KEYS,
        made=gains.forecasts,
        needs_scores=True,
    ),
    "regard": Table(REGARD_COLUMNS, [*REGARD_KEYS, "seed"], REGARD_MEASURES, ["scorer"]),
    "fairness": Table(FAIRNESS_COLUMNS, [*FAIRNESS_KEYS, "seed"], FAIRNESS_MEASURES, ["scorer"]),
    "regard_scorer": Table(SCORER_COLUMNS, SCORER_KEYS),
    "language_texts": Table(
        LANGUAGE_TEXT_COLUMNS, [*LANGUAGE_TEXT_KEYS, "seed", "demographic"], made=side_by_side
    ),
    "language_pronouns": Table(PRONOUN_COLUMNS, [*REGARD_KEYS, "seed"]),
    "language_tuning": Table(TUNING_COLUMNS, [*TUNING_KEYS, "seed"]),
    "cost": Table(COST_COLUMNS, COST_KEYS),
}


def make(
    name: str, parts: Sequence[Path], scores: Sequence[Path] = ()
) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """Put a table together.

    Args:
        name: a key of `TABLES`.
        parts: CSV files of the evaluations.
        scores: scores of the evaluations, image by image, for a table that needs them.

    Returns:
        The table, and its summary over the seeds, if it has one.

    Raises:
        ValueError: an unknown name, or as `gather`.
    """
    if name not in TABLES:
        raise ValueError(f"unknown table {name!r}{nearest(name, TABLES)}")
    table = TABLES[name]
    if bool(scores) != table.needs_scores:
        raise ValueError(f"table {name} takes {'' if table.needs_scores else 'no '}--scores")
    rows = gather(parts, table.columns, table.keys)
    if table.made is not None:
        more = [gather(scores, IMAGE_SCORE_COLUMNS, ())] if table.needs_scores else []
        rows = table.made(rows, *more)
    if not table.measures:
        return rows, None
    keys = [key for key in table.keys if key != "seed"]
    return rows, summarize(rows, [*keys, *table.apart], table.measures)


def gather(paths: Sequence[Path], columns: Sequence[str], keys: Sequence[str]) -> pd.DataFrame:
    """Put the rows of several tables together, in an order that the files' order cannot change.

    Args:
        paths: the tables.
        columns: those that they have, and that are kept.
        keys: columns that tell rows apart; none: the rows stay in the order of the files.

    Raises:
        ValueError: as `read`, or two rows are of the same run.
    """
    parts = [read(path, columns)[list(columns)] for path in paths]
    # a part without rows does not know which of its columns are numbers
    table = pd.concat([part for part in parts if len(part)] or parts, ignore_index=True)
    if not keys:
        return table
    twice = table[table.duplicated(list(keys))]
    if len(twice):
        row = ", ".join(shorten(str(value), LONGEST) for value in twice.iloc[0][list(keys)])
        raise ValueError(f"two rows are of the same run: {row}")
    return table.sort_values(list(keys), ignore_index=True)
