"""Draws cost_*.svg and job_times.svg here, and fills docs/cost.md, from cost.csv and jobs.csv.

Run it: python docs/pictures/cost.py, with a newer results/tables/cost.csv or jobs.csv behind it to
take that.
"""

import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from equitune.results import tables
from equitune.results.catalogue import FIGURES
from equitune.results.catalogue.cost import COST
from equitune.results.figures.cost import EXPERIMENTS
from equitune.results.figures.growth import LINE, MEMORY, SETTING, VARIABLES
from equitune.results.figures.image import ARCHITECTURES
from equitune.results.figures.jobs import PARTS as SPENT
from equitune.results.figures.jobs import job_times
from equitune.results.style import look

FOLDER = Path(__file__).parent
TABLE, JOBS, PAGE = FOLDER / "cost.csv", FOLDER / "jobs.csv", FOLDER.parent / "cost.md"
# parts of the page: the benchmarks whose rows stand there
PARTS = {
    "loop": ["loop"],
    "floor": ["floor", "fair"],
    "layers": ["layers"],
    "order": ["order"],
    "memory": ["memory"],
    "features": ["frozen", "precision", "layout"],
    "peers": ["canonical", "peer_rate", "peer_error"],
    "products": ["product_time", "product_error", "product_distance", "product_fixed"],
    "state": ["state", "state_run"],
}
GROWTH = ("growth", "growth_memory", "growth_slope", "growth_hundredfold")
# rules whose jobs grow with the examples: what was measured of them, and of which experiment
GROWING = {
    "build_scan_dataset": ("scan", "build dataset"),
    "tune_scan": ("scan", "train for an epoch"),
    "evaluate_scan": ("scan", "evaluate"),
    "build_image_dataset": ("image", "build dataset"),
    "tune_image": ("image", "train for an epoch"),
    "evaluate_image": ("image", "evaluate"),
}
# what jobs of SCAN spend their time on; those with a group are equi-tuned
SCAN_STAGES = {
    "pretrain_scan": "pretraining",
    "tune_scan": "pretraining",
    "evaluate_scan": "evaluation",
}
HEAD = ("model", "\\|G\\|", "what", "ratio", "range", "n", "both sides", "aim")


def read(path: Path = TABLE) -> pd.DataFrame:
    """Return the rows of a table of costs."""
    return tables.read(path, tables.COST_COLUMNS)


def read_jobs(path: Path = JOBS) -> pd.DataFrame:
    """Return the rows of a table of jobs."""
    return tables.read(path, tables.JOB_COLUMNS)


def fill(page: str, cost: pd.DataFrame, jobs: pd.DataFrame) -> str:
    """Return the page with what stands between <!-- name --> and <!-- /name --> written anew."""
    texts = {name: table(cost[cost["benchmark"].isin(kinds)]) for name, kinds in PARTS.items()}
    own = cost["benchmark"].isin(GROWTH)
    texts |= {"machine": machine(cost[~own]), "missed": missed(cost), "jobs": spent(jobs)}
    texts |= {"growth": growth(cost), "growth_machine": machine(cost[own])}
    texts["hundredfold"] = hundredfold(cost, jobs)
    texts["layers_all"] = layers(cost, jobs)
    return re.sub(
        r"(<!-- (\w+) -->\n).*?(<!-- /\2 -->)",
        lambda match: f"{match[1]}{texts[match[2]]}\n{match[3]}",
        page,
        flags=re.DOTALL,
    )


def table(rows: pd.DataFrame) -> str:
    """Return rows as a table of Markdown, the plain model against itself left out."""
    rows = rows[(rows["order"] > 1) | ~rows["benchmark"].isin(["order", "memory"])]
    cells = [
        (
            f"{ARCHITECTURES.get(row.model, row.model)}, {row.setting}",
            f"{row.order}",
            f"{row.numerator} / {row.denominator}".replace("|", "\\|"),
            f"{row.ratio:.3g}" if row.n else row.note,
            f"{row.low:.3g}–{row.high:.3g}" if row.n > 1 else "",
            f"{row.n}",
            sides(row) if row.n else "",
            aim(row),
        )
        for row in rows.itertuples()
    ]
    return markdown(HEAD, cells)


def markdown(head: Sequence[str], cells: Iterable[Sequence[str]]) -> str:
    """Return cells as a table of Markdown."""
    lines = [head, ["---"] * len(head), *cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def sides(row) -> str:
    """Return what both sides took."""
    scale, unit = (1e6, "MB") if row.unit == "bytes" else (1, row.unit)
    return f"{number(row.value / scale)} / {number(row.denominator_value / scale)} {unit}"


def number(value: float) -> str:
    """Return three digits, and of a large number all before the point."""
    return f"{value:,.0f}".replace(",", " ") if value >= 1000 else f"{value:.3g}"


def aim(row) -> str:
    """Return the aim, or nothing where there is none."""
    bounds = (("≥", row.at_least), ("≤", row.at_most))
    return " ".join(f"{sign} {bound:g}" for sign, bound in bounds if bound == bound)


def machine(cost: pd.DataFrame) -> str:
    """Return what was measured on."""
    facts = cost[["machine", "cores", "threads", "torch"]].drop_duplicates()
    return "\n".join(
        f"{row.machine}, {row.cores} cores, {row.threads} thread, torch {row.torch}."
        for row in facts.itertuples()
    )


def missed(cost: pd.DataFrame) -> str:
    """Return the measurements whose median is on the wrong side of the aim, as a list."""
    wrong = cost[(cost["ratio"] < cost["at_least"]) | (cost["ratio"] > cost["at_most"])]
    lines = [
        f"- {EXPERIMENTS[row.experiment]}, {row.benchmark}, "
        f"{ARCHITECTURES.get(row.model, row.model)}, {row.setting}, {row.numerator}: "
        f"{row.ratio:.4g} ({row.low:.4g}–{row.high:.4g}), aim {aim(row)}"
        for row in wrong.itertuples()
    ]
    return "\n".join(lines) or "Nothing."


def spent(jobs: pd.DataFrame) -> str:
    """Return what the seconds of all jobs went to, as a sentence."""
    _, by_rule = job_times(jobs)
    sums = by_rule[[*SPENT]].sum()
    parts = [f"{label} {sums[part]:.0f} s" for part, (label, _) in SPENT.items()]
    return f"{len(jobs)} jobs took {number(sums.sum())} s together: {', '.join(parts)}."


def layers(cost: pd.DataFrame, jobs: pd.DataFrame) -> str:
    """Return what torch's recurrent layers would make of SCAN's jobs of a run, as a sentence.

    Each job's training, or all but start and imports of an evaluation, times the ratio of its cell
    and stage at the smallest batch that was measured, the configuration's.
    """
    rows = cost[cost["benchmark"] == "layers"]
    rows = rows.assign(batch=rows["setting"].str.extract(r"(\d+)$", expand=False).astype(int))
    rows = rows.sort_values("batch").drop_duplicates(["model", "denominator"])
    ratios = rows.set_index(["model", "denominator"])[["ratio", "low", "high"]]
    own, other = 0.0, pd.Series(0.0, ratios.columns)
    for job in jobs.itertuples():
        if job.rule not in SCAN_STAGES:
            continue
        seconds = job.training_seconds
        if job.rule == "evaluate_scan":
            seconds = job.seconds - job.start_seconds - job.imports_seconds
        stage = "equi-tuning" if "/equitune/" in job.job else SCAN_STAGES[job.rule]
        (cell,) = {*job.job.split("/")} & {*rows["model"]}
        own, other = own + seconds, other + seconds * ratios.loc[(cell, stage)]
    times = other / own
    return (
        f"SCAN's trainings and evaluations of the default run take {number(own)} s, and would take "
        f"{number(other['ratio'])} s by torch's layers: {times['ratio']:.2f} times as long "
        f"({times['low']:.2f} by the smallest ratio of each, {times['high']:.2f} by the largest)."
    )


def grown(cost: pd.DataFrame, benchmark: str) -> pd.DataFrame:
    """Return rows of growth by what grew and `LINE`, with the parts of their settings."""
    rows = cost[cost["benchmark"] == benchmark]
    rows = rows.assign(**rows["setting"].str.extract(f"^{SETTING}$"))
    return rows.set_index(["variable", *LINE])


def growth(cost: pd.DataFrame) -> str:
    """Return slopes, and what follows from them for a hundred times the size, as a table."""
    slopes, computed = grown(cost, "growth_slope"), grown(cost, "growth_hundredfold")
    cells = []
    for variable in VARIABLES:
        for key, row in slopes.iterrows():
            if key[0] != variable or key[3].endswith(MEMORY):
                continue
            _, experiment, model, what, detail = key
            named = f"{EXPERIMENTS[experiment]}, {ARCHITECTURES.get(model, model)}, {detail}"
            held = (*key[:3], what + MEMORY, detail)
            cells.append(
                (
                    variable.replace("|", "\\|"),
                    f"{what}: {named}",
                    f"{number(float(row['size']))}–{number(float(row['largest']))}",
                    f"{row['n']}",
                    spread(row),
                    spread(slopes.loc[held]) if held in slopes.index else "",
                    spread(computed.loc[key]) if key in computed.index else "",
                    spread(computed.loc[held]) if held in computed.index else "",
                )
            )
    return markdown(
        (
            *("grows", "what", "from–to", "n", "slope of time", "slope of memory"),
            *("100 ×: time, computed", "100 ×: memory, computed"),
        ),
        cells,
    )


def spread(row, scale: float = 1.0) -> str:
    """Return a number of a row with its interval, if it has one."""
    ends = f" ({number(row['low'] * scale)}–{number(row['high'] * scale)})"
    return number(row["ratio"] * scale) + (ends if row["low"] == row["low"] else "")


def hundredfold(cost: pd.DataFrame, jobs: pd.DataFrame) -> str:
    """Return what jobs would take with a hundred times the examples, as a table.

    The start of Python and imports stay; the rest is multiplied by what the slope gives.
    """
    computed = grown(cost, "growth_hundredfold").loc["examples"].reset_index()
    cells = []
    for rule, (experiment, what) in GROWING.items():
        (factor,) = computed[
            (computed["experiment"] == experiment) & (computed["numerator"] == what)
        ].to_dict("records")
        own = jobs[jobs["rule"] == rule]
        stays = own["start_seconds"] + own["imports_seconds"]
        # from the table of seconds to hours: measured, then computed
        hours = {
            end: (stays + (own["seconds"] - stays) * factor[end]) / 3600
            for end in ("ratio", "low", "high")
        }
        cells.append(
            (
                f"`{rule}`",
                f"{len(own)}",
                number(own["seconds"].max()),
                spread(factor),
                spread({end: each.max() for end, each in hours.items()}),
                spread({end: each.sum() for end, each in hours.items()}),
            )
        )
    return markdown(
        (
            *("rule", "jobs", "longest, s (measured)", "grows by, computed"),
            *("longest, h (computed)", "all jobs, core hours (computed)"),
        ),
        cells,
    )


def draw(cost: pd.DataFrame, jobs: pd.DataFrame) -> None:
    """Draw every figure."""
    names = [f"cost_{each}" for each in (*COST, "growth")]
    drawn = {name: FIGURES[name].draw(cost)[0] for name in names}
    for name, figure in (drawn | {"job_times": job_times(jobs)[0]}).items():
        with look():
            facts = {"Date": None, "Creator": None}
            figure.savefig(FOLDER / f"{name}.svg", metadata=facts, bbox_inches="tight")


def main() -> None:
    """Take newer tables if some are given, draw, and fill the page."""
    for path in map(Path, sys.argv[1:]):
        if path.name == JOBS.name:
            tables.write(read_jobs(path), JOBS)
        else:
            tables.write(read(path), TABLE)
    cost, jobs = read(), read_jobs()
    draw(cost, jobs)
    PAGE.write_text(fill(PAGE.read_text(encoding="utf-8"), cost, jobs), encoding="utf-8")


if __name__ == "__main__":
    main()
