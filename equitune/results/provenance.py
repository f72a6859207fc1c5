"""What a run was made with: the facts of its manifests as a table."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from equitune.results.tables import read

PROVENANCE_COLUMNS = ("what", "value")


def read_manifests(parts: Sequence[Path]) -> list[dict[str, Any]]:
    """Read the manifests of trained models.

    Args:
        parts: evaluations, beside whose models manifests are, or manifests.

    Raises:
        ValueError: an evaluation cannot be read.
    """
    manifests = []
    for part in parts:
        if part.suffix == ".json":
            manifests.append(part)
            continue
        runs = read(part, ["method", "group"])[["method", "group"]]
        manifests += [
            part.parent / method / group / "manifest.json"
            for method, group in runs.itertuples(index=False)
        ]
    return [json.loads(manifest.read_text(encoding="utf-8")) for manifest in manifests]


def provenance(
    manifests: Sequence[Mapping[str, Any]], now: Mapping[str, Any] | None
) -> pd.DataFrame:
    """Sum up the manifests of trained models.

    Args:
        manifests: as `equitune.run.manifests.write_manifest` wrote them.
        now: the commit at which the tables are made, by `equitune.run.manifests.git_state`.

    Returns:
        One row a fact with the columns `PROVENANCE_COLUMNS`. Where models differ, a value is
        followed by the number of models that have it.
    """
    facts: dict[str, Iterable[str]] = {
        "commit of the models": (_commit(one.get("git")) for one in manifests),
        "commit of the tables": [_commit(now)],
        "device": (one["device"] for one in manifests if "device" in one),
        "determinism": (one["determinism"] for one in manifests if "determinism" in one),
        "machine": (one["machine"] for one in manifests),
        "versions": (
            ", ".join(f"{name} {version}" for name, version in one["versions"].items())
            for one in manifests
        ),
    }
    seeds = {one["configuration"].get("seed") for one in manifests} - {None}
    rows = [("trained models", str(len(manifests))), ("seeds", ", ".join(map(str, sorted(seeds))))]
    rows += [(what, _summed_up(values)) for what, values in facts.items()]
    return pd.DataFrame(
        [(what, value) for what, value in rows if value], columns=list(PROVENANCE_COLUMNS)
    )


def _commit(git: Mapping[str, Any] | None) -> str:
    """Return a commit as a reader checks it out."""
    if git is None:
        return "not under version control"
    return f"{git['commit'][:12]}{', with changes' if git['dirty'] else ''}"


def _summed_up(values: Iterable[str]) -> str:
    """Return the value that all have, or each with how many have it."""
    counts = Counter(values)
    if len(counts) == 1:
        return next(iter(counts))
    return "; ".join(f"{value} ({n} models)" for value, n in sorted(counts.items()))
