"""Tables as files: their columns, reading and writing them, and the summary over seeds."""

import io
import logging
import math
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from equitune.config import REGARD_LABELS
from equitune.io.files import atomic_write
from equitune.io.names import RENAMED, show
from equitune.io.texts import read_text

logger = logging.getLogger(__name__)

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
    "test_size",
)
SCAN_KEYS = ("task", "architecture", "method", "group")
SCAN_MEASURES = ("validation_accuracy", "test_accuracy", "equivariance_error")
IMAGE_COLUMNS = (
    "dataset",
    "architecture",
    "method",
    "group",
    "seed",
    "upright_accuracy",
    "rotated_accuracy",
    "orbit_agreement",
    "equivariance_error",
    "train_seconds",
    "parameters",
    "test_size",
)
IMAGE_KEYS = ("dataset", "architecture", "method", "group")
IMAGE_MEASURES = (
    "upright_accuracy",
    "rotated_accuracy",
    "orbit_agreement",
    "equivariance_error",
    "train_seconds",
)
IMAGE_ELEMENT_COLUMNS = (*IMAGE_KEYS, "seed", "measured_by", "element", "accuracy")
IMAGE_EXAMPLE_COLUMNS = (
    *IMAGE_KEYS,
    "seed",
    "measured_by",
    "image",
    "label",
    "element",
    "prediction",
    "png",
    "disagree",
    "test_size",
)
# what a model makes of each test image: 1 or 0, and the Brier score
IMAGE_SCORES = ("upright_correct", "rotated_correct", "upright_brier", "rotated_brier")
IMAGE_SCORE_COLUMNS = (*IMAGE_KEYS, "seed", "measured_by", "image_id", *IMAGE_SCORES)
IMAGE_GAIN_KEYS = ("dataset", "architecture", "group", "method", "against", "measure")
IMAGE_GAIN_COLUMNS = (
    *IMAGE_GAIN_KEYS,
    "gain",
    "low",
    "high",
    "images",
    "seeds",
    "answer",
)
# of one seed: the forecast, and the gains measured
IMAGE_FORECAST_KEYS = ("dataset", "architecture", "group", "seed")
IMAGE_FORECAST_PART_COLUMNS = (
    *IMAGE_FORECAST_KEYS,
    "forecast",
    "forecast_error",
    "forecast_images",
    "averaged_gain",
    "averaged_error",
    "test_images",
)
IMAGE_FORECAST_COLUMNS = (*IMAGE_FORECAST_PART_COLUMNS, "tuned_gain", "tuned_error")
REGARD_KEYS = ("model", "method", "axis", "task", "demographic")
REGARD_MEASURES = (*REGARD_LABELS, "sentiment")
SYMMETRIC = "symmetric_"  # opens the names of what the symmetric scorer says
REGARD_COLUMNS = (
    *REGARD_KEYS,
    "scorer",
    "seed",
    "n",
    *REGARD_MEASURES,
    "empty",
    "unscored",
    "unscored_sentiment",
    *(SYMMETRIC + label for label in REGARD_LABELS),
    "warning",
)
ALL = "all"  # in the place of a demographic: the texts about all of them
PRONOUN_COLUMNS = (
    *REGARD_KEYS,
    "seed",
    "texts",
    "with_pronoun",
    "agree",
    "share",
    "share_low",
    "share_high",
    "warning",
)
FAIRNESS_KEYS = ("model", "method", "axis", "task")
FAIRNESS_MEASURES = ("regard_gap", "symmetric_gap", "counterfactual_tv", "perplexity")
FAIRNESS_COLUMNS = (
    *FAIRNESS_KEYS,
    "scorer",
    "seed",
    "regard_gap",
    "regard_gap_low",
    "regard_gap_high",
    "counterfactual_tv",
    "perplexity",
    "pair",
    "p_value",
    "n",
    "empty",
    "unscored",
    "symmetric_gap",
    "symmetric_gap_low",
    "symmetric_gap_high",
    "symmetric_p_value",
    "warning",
)
UNSCORED = 0.5  # a scorer that recognises nothing in a larger share of a row's texts is warned of
# columns that tables of earlier versions lack; they are read as empty
ADDED = {
    *("empty", "scorer", "unscored", "unscored_sentiment", "warning", "disagree", "test_size"),
    *(name for name in (*REGARD_COLUMNS, *FAIRNESS_COLUMNS) if name.startswith(SYMMETRIC)),
}
MEASURE_COLUMNS = ("axis", "task", "counterfactual_tv", "perplexity")  # of a model and method
TUNING_KEYS = ("model", "method", "axis", "step")
TUNING_MEASURES = ("perplexity", "counterfactual_tv", "test_perplexity")
TUNING_COLUMNS = (*TUNING_KEYS, "seed", *TUNING_MEASURES, "test_tokens")
TRUTH_COLUMNS = ("axis", "task", "demographic", *REGARD_LABELS)
LANGUAGE_TEXT_KEYS = (*FAIRNESS_KEYS, "context", "sample")
LANGUAGE_TEXT_COLUMNS = (*LANGUAGE_TEXT_KEYS, "scorer", "seed", "demographic", "text", "regard")
SCORER_KEYS = ("scorer", "part")
# of scorers that were trained here; tfidf: that of TF-IDF trained on the same sentences
SCORER_COLUMNS = (*SCORER_KEYS, "n", "accuracy", "low", "high", "tfidf", "published")
PUBLISHED_COLUMNS = (
    "experiment",
    "dataset",
    "architecture",
    "method",
    "demographic",
    "metric",
    "value",
    "source",
)
COST_KEYS = (
    "benchmark",
    "experiment",
    "model",
    "setting",
    "order",
    "numerator",
    "denominator",
)
COST_COLUMNS = (
    *COST_KEYS,
    "ratio",
    "low",
    "high",
    "n",
    "value",
    "denominator_value",
    "unit",
    "at_least",
    "at_most",
    "note",
    "machine",
    "cores",
    "threads",
    "torch",
)
JOB_COLUMNS = (
    "rule",
    "job",
    "seconds",
    "start_seconds",
    "imports_seconds",
    "training_seconds",
    "processor_seconds",
    "peak_mb",
    "end",
)
COLUMNS = {  # of the tables that figures and claims are made from, by the file's name
    "published": PUBLISHED_COLUMNS,
    "scan": SCAN_COLUMNS,
    "image": IMAGE_COLUMNS,
    "image_elements": IMAGE_ELEMENT_COLUMNS,
    "image_examples": IMAGE_EXAMPLE_COLUMNS,
    "image_gains": IMAGE_GAIN_COLUMNS,
    "image_forecast": IMAGE_FORECAST_COLUMNS,
    "regard": REGARD_COLUMNS,
    "fairness": FAIRNESS_COLUMNS,
    "language_pronouns": PRONOUN_COLUMNS,
    "language_tuning": TUNING_COLUMNS,
    "truth": TRUTH_COLUMNS,
    "cost": COST_COLUMNS,
    "jobs": JOB_COLUMNS,
}
# text, though it may look like a number or a missing value: a class may be called 7 or "NA"
TEXT = {
    "against",
    "answer",
    "architecture",
    "axis",
    "benchmark",
    "claim",
    "context",
    "dataset",
    "demographic",
    "denominator",
    "element",
    "experiment",
    "group",
    "image_id",
    "job",
    "label",
    "machine",
    "measure",
    "measured_by",
    "method",
    "metric",
    "model",
    "note",
    "numerator",
    "pair",
    "part",
    "png",
    "prediction",
    "regard",
    "rule",
    "scorer",
    "setting",
    "source",
    "task",
    "text",
    "torch",
    "unit",
    "verdict",
    "warning",
}


def read(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """Read a table and check that its columns are there; an empty cell is a missing value.

    Args:
        path: CSV file.
        columns: the columns that must be there, but for `ADDED`, which are left empty where they
            are missing; further ones are kept. Methods that have another name now are read under
            it, and the log says so.

    Raises:
        ValueError: the file is missing or no CSV, columns are missing, or one of numbers holds
            something else; the file is named.
    """
    try:
        text = io.StringIO(read_text(path))
        table = pd.read_csv(
            text, dtype=dict.fromkeys(TEXT, str), keep_default_na=False, na_values=[""]
        )
    except FileNotFoundError as error:
        raise ValueError(f"{path} does not exist: run snakemake, or lay the table there") from error
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise ValueError(f"{path} is not a CSV table: {' '.join(str(error).split())}") from error
    if "method" in table and (old := sorted(RENAMED.keys() & set(table["method"]))):
        logger.warning("%s: method %s is read as %s", path, old[0], RENAMED[old[0]])
        table["method"] = table["method"].replace(RENAMED)
    absent = [column for column in columns if column not in table]
    if missing := [column for column in absent if column not in ADDED]:
        raise ValueError(f"{path} lacks the columns {', '.join(missing)}; see results/README.md")
    table = table.assign(**{name: None if name in TEXT else math.nan for name in absent})
    for column in [name for name in columns if name not in TEXT and len(table)]:
        if not pd.api.types.is_numeric_dtype(table[column]):
            numbers = pd.to_numeric(table[column], errors="coerce")
            wrong = table[column][numbers.isna() & table[column].notna()].iloc[0]
            raise ValueError(f"{path}: {column} is {show(wrong)}: expected a number")
    return table


def summarize(table: pd.DataFrame, keys: Sequence[str], measures: Sequence[str]) -> pd.DataFrame:
    """Mean, standard deviation over seeds (n - 1; empty for one seed) and n of each measure.

    Args:
        table: one row per run.
        keys: columns that tell cells apart; the rest is averaged.
        measures: the columns to average.

    Returns:
        One row a cell and measure: the keys, measure, mean, sd, n.
    """
    long = table.melt(list(keys), list(measures), var_name="measure", value_name="value")
    groups = long.groupby([*keys, "measure"], sort=True, dropna=False)["value"]
    summary = groups.agg(mean="mean", sd="std", n="count").reset_index()
    return summary.sort_values([*keys, "measure"], ignore_index=True)


def write(table: pd.DataFrame, path: Path) -> None:
    """Write a table as CSV: atomic, the same bytes for the same numbers."""
    with atomic_write(path) as temporary:
        table.to_csv(temporary, index=False, float_format="%.6g", lineterminator="\n")
