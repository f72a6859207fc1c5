"""Tables: gather the runs' rows, check their columns, summarize over seeds; draws nothing."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from equitune.files import atomic_write

SCAN_COLUMNS = (
    "task",
    "architecture",
    "method",
    "group",
    "seed",
    "validation_accuracy",
    "test_accuracy",
    "equivariance_error",
    "train_examples",
    "train_seconds",
    "parameters",
)
SCAN_KEYS = ("task", "architecture", "method", "group")
SCAN_MEASURES = ("validation_accuracy", "test_accuracy", "equivariance_error")
PUBLISHED_COLUMNS = (
    "experiment",
    "dataset",
    "architecture",
    "method",
    "metric",
    "value",
    "source",
)


def read(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """Read a table and check that its columns are there.

    Args:
        path: CSV file.
        columns: the columns that must be there; further ones are kept.

    Raises:
        ValueError: the file is missing or no CSV, or columns are missing; the file is named.
    """
    try:
        table = pd.read_csv(path)
    except FileNotFoundError as error:
        raise ValueError(f"{path} does not exist: run snakemake, or lay the table there") from error
    except (UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise ValueError(f"{path} is no CSV table: {' '.join(str(error).split())}") from error
    missing = [column for column in columns if column not in table]
    if missing:
        raise ValueError(f"{path} lacks the columns {', '.join(missing)}; see results/README.md")
    return table


def gather(paths: Sequence[Path], columns: Sequence[str], keys: Sequence[str]) -> pd.DataFrame:
    """Put the rows of several tables together, in an order that the files' order cannot change.

    Raises:
        ValueError: as `read`, or two rows are of the same run.
    """
    table = pd.concat([read(path, columns)[list(columns)] for path in paths], ignore_index=True)
    twice = table[table.duplicated(list(keys))]
    if len(twice):
        row = ", ".join(str(value) for value in twice.iloc[0][list(keys)])
        raise ValueError(f"two rows are of the same run: {row}")
    return table.sort_values(list(keys), ignore_index=True)


def summarize(table: pd.DataFrame, keys: Sequence[str], measures: Sequence[str]) -> pd.DataFrame:
    """Mean, standard deviation over seeds (n - 1; empty for one seed) and n of each measure.

    Args:
        table: one row a run.
        keys: columns that tell cells apart; the rest is averaged.
        measures: the columns to average.

    Returns:
        One row a cell and measure: the keys, measure, mean, sd, n.
    """
    long = table.melt(list(keys), list(measures), var_name="measure", value_name="value")
    groups = long.groupby([*keys, "measure"], sort=True)["value"]
    summary = groups.agg(mean="mean", sd="std", n="count").reset_index()
    return summary.sort_values([*keys, "measure"], ignore_index=True)


def write(table: pd.DataFrame, path: Path) -> None:
    """Write a table as CSV: atomic, the same bytes for the same numbers."""
    with atomic_write(path) as temporary:
        table.to_csv(temporary, index=False, float_format="%.6g", lineterminator="\n")
