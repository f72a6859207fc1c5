"""Where the files of a run stand: what an output's folders say, and where its log goes."""

import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

RESULTS, LOGS, BENCHMARKS = "results", "logs", "benchmarks"
SUFFIX = ".safetensors"
DATASET = f"dataset{SUFFIX}"
FOLDERS = "…/DATASET/ARCHITECTURE/seedN/METHOD/GROUP/"  # of a trained model
SEED = re.compile(r"seed(0|[1-9][0-9]*)")


def said(output: Path) -> dict[str, Any]:
    """Return what the folders of an output in a run of SCAN or of images say, by option.

    Args:
        output: …/DATASET/ARCHITECTURE/seedN/METHOD/GROUP/FILE, or a file further up, of which fewer
            are known; the file of the dataset stands in …/DATASET/seedN.

    Returns:
        What is known of dataset (its file), architecture, seed, method and group; nothing of an
        output elsewhere.
    """
    *folders, _ = output.parts
    places = [place for place, name in enumerate(folders) if SEED.fullmatch(name)]
    if not places or places[-1] < 2:
        return {}
    place = places[-1]
    found: dict[str, Any] = {
        "dataset": Path(*folders[: place - 1], folders[place], DATASET),
        "architecture": folders[place - 1],
        "seed": int(folders[place].removeprefix("seed")),
    }
    return found | dict(zip(("method", "group"), folders[place + 1 :], strict=False))


def features_of(dataset: Path, name: str) -> Path:
    """Return the file of features that is called NETWORK/GROUP beside a dataset in a run."""
    return dataset.parents[1] / "features" / f"{name}{SUFFIX}"


def log_of(output: str) -> Path | None:
    """Return the log of the job that writes a file: results/logs/FILE.log for results/FILE.

    Args:
        output: the file, in the folder results or further down; of one elsewhere there is no log.
    """
    parts = Path(output).parts
    if RESULTS not in parts[:-1]:
        return None
    place = parts.index(RESULTS) + 1
    return Path(*parts[:place], LOGS, *parts[place:-1], f"{parts[-1]}.log")


def benchmark_of(rule: str, output: str) -> Path:
    """Return where Snakemake notes the time and memory of a job: results/benchmarks/RULE/FILE.tsv.

    Args:
        rule: its name.
        output: the file that the job writes, results/FILE.
    """
    return Path(RESULTS, BENCHMARKS, rule, f"{Path(output).relative_to(RESULTS)}.tsv")


def log_of_command(arguments: Sequence[str]) -> Path | None:
    """Return the log of a command by its --output; None without one in results."""
    for word, following in pairwise([*arguments, ""]):
        name, given, value = word.partition("=")
        if name == "--output":
            return log_of(value if given else following)
    return None
