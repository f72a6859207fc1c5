"""What each job of a run took, from Snakemake's benchmark files and the logs beside them."""

import csv
import math
from pathlib import Path

import pandas as pd

from equitune.io.layout import BENCHMARKS, LOGS
from equitune.io.texts import read_text
from equitune.results.tables import JOB_COLUMNS
from equitune.run import times

SHORT = ("plot", "tabulate", "word")  # rules of a second or two, that are shown together


def profile(results: Path) -> pd.DataFrame:
    """Return one row per job that has run, in the order in which they ended.

    A job that was done again has its last time alone. Its end is when its benchmark file was
    written, so files that were copied without their times give no order.

    Args:
        results: the folder of a run.

    Raises:
        ValueError: there are no benchmark files.
    """
    files = sorted((results / BENCHMARKS).rglob("*.tsv"))
    if not files:
        raise ValueError(f"{results / 'benchmarks'} has no files: run snakemake first")
    table = pd.DataFrame([_row(file, results) for file in files], columns=JOB_COLUMNS)
    table["end"] -= (table["end"] - table["seconds"]).min()
    return table.sort_values(["end", "rule", "job"], ignore_index=True)


def most_at_once(jobs: pd.DataFrame) -> int:
    """Return how many jobs ran at the same time at most."""
    begins = [(start, 1) for start in jobs["end"] - jobs["seconds"]]
    running = most = 0
    for _, change in sorted(begins + [(end, -1) for end in jobs["end"]]):
        running += change
        most = max(most, running)
    return most


def _row(file: Path, results: Path) -> dict[str, object]:
    rule, *rest = file.relative_to(results / BENCHMARKS).with_suffix("").parts
    job = "/".join(rest) or rule  # what it has written
    log = results / LOGS / f"{job}.log"
    (measured,) = csv.DictReader(read_text(file).splitlines(), delimiter="\t")
    own = times.read(read_text(log)) if log.exists() else {}
    short = rule.partition("_")[0]
    return {
        "rule": f"{short} …" if short in SHORT else rule,
        "job": job,
        "seconds": float(measured["s"]),
        **{f"{kind}_seconds": own.get(kind, math.nan) for kind in times.KINDS},
        "peak_mb": _number(measured["max_rss"]),
        "end": file.stat().st_mtime,
    }


def _number(text: str) -> float:
    """Read what Snakemake did not measure, as the job was over too soon, as missing."""
    try:
        return float(text)
    except ValueError:
        return math.nan
