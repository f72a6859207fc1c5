"""The figure of what the jobs of a run take."""

import pandas as pd
from matplotlib.figure import Figure

from equitune.results.profile import most_at_once
from equitune.results.style import look

# from dark to light, so that they differ in grey: what is not computing stands out
PARTS = {
    "training": ("steps of training", "#1B4F72"),
    "other": ("other computing", "#5DADE2"),
    "imports": ("imports", "#E67E22"),
    "start": ("start of Python", "#F8C471"),
    "waiting": ("waiting", "#D9D9D9"),
}


def job_times(jobs: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """Draw the seconds of all jobs of each rule, by what they go to.

    Args:
        jobs: rows of results/tables/jobs.csv.

    Returns:
        The figure, and the numbers it shows: one row per rule, in seconds.

    Raises:
        ValueError: no rows.
    """
    if jobs.empty:
        raise ValueError("the table has no rows, so there is nothing to draw: run snakemake")
    shown = _by_rule(jobs)
    with look():
        figure = Figure(figsize=(6.5, 1.4 + 0.24 * len(shown)))
        axis = figure.subplots()
        left = pd.Series(0.0, shown.index)
        for part, (label, colour) in PARTS.items():
            axis.barh(shown["rule"], shown[part], left=left, color=colour, label=label, height=0.7)
            left += shown[part]
        for place, (end, count) in enumerate(zip(left, shown["jobs"], strict=True)):
            axis.annotate(f"{count}", (end, place), (4, 0), textcoords="offset points", va="center")
        axis.invert_yaxis()
        axis.grid(True, axis="x")
        axis.grid(False, axis="y")
        axis.margins(x=0.06)
        axis.set_xlabel("seconds of all jobs of a rule; the number: how many jobs")
        span, most = jobs["end"].max(), most_at_once(jobs)
        idle = max(0.0, 1 - jobs["seconds"].sum() / (span * most))
        at_once = "one at a time" if most == 1 else f"at most {most} at a time"
        axis.set_title(
            f"{len(jobs)} jobs, {at_once}: {span:.0f} s from first start to last end,\n"
            f"{idle:.0%} of them without a job"
        )
        axis.legend(loc="lower right")
        figure.tight_layout()
    return figure, shown


def _by_rule(jobs: pd.DataFrame) -> pd.DataFrame:
    """Return the seconds of each rule by part, the longest first.

    What a job's log says nothing about, as that of a script or of a run that was cut, is "other".
    """
    measured = {kind: jobs[f"{kind}_seconds"].fillna(0.0) for kind in ("training", "imports")}
    start = jobs["start_seconds"].fillna(0.0)
    rest = jobs["seconds"] - start - sum(measured.values())
    waiting = (jobs["seconds"] - jobs["processor_seconds"]).fillna(0.0).clip(lower=0.0)
    waiting = waiting.clip(upper=rest.clip(lower=0.0))
    parts = {**measured, "start": start, "waiting": waiting, "other": rest - waiting}
    table = pd.DataFrame({"rule": jobs["rule"], "jobs": 1, **{part: parts[part] for part in PARTS}})
    table = table.groupby("rule", sort=True).sum()
    order = table[[*PARTS]].sum(axis=1).sort_values(ascending=False, kind="stable").index
    return table.loc[order].reset_index()
