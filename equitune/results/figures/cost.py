"""The figures of what everything costs."""

from collections.abc import Callable, Mapping, Sequence
from itertools import product

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import PercentFormatter

from equitune.methods import METHODS
from equitune.results.figures import parts
from equitune.results.figures.image import ARCHITECTURES
from equitune.results.style import PUBLISHED, look

EXPERIMENTS = {"scan": "SCAN", "image": "images", "language": "language"}
# names, in the order of drawing
WORK = ("pretraining", "equi-tuning", "evaluation", "sample", "sample, shared stream", "generate")
PLAIN_NAME, TRAINED_NAME = "plain", "plain, trained"
PEERS = ("EquiTuned", "published loop", "ttach", "equiadapt", "escnn")
OURS, PLAIN, GREY = METHODS["equitune"].colour, METHODS["pretrained"].colour, "#666666"
LINES = {  # what is measured against |G|: how its line is drawn, its marker, its name
    "forward pass": ("-", "o", "forward pass"),
    "training step": ("--", "s", "training step"),
    "training step, all copies at once": ("-", "o", "all copies at once"),
    "training step, chunk_size 1": ("--", "s", "one copy after the other"),
}


def cost_loop(cost: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """Draw how many times the rate of a loop written the published way is reached.

    Args:
        cost: rows of results/tables/cost.csv; those of the benchmark "loop" are drawn.

    Returns:
        The figure, and the rows it shows.

    Raises:
        ValueError: there are none.
    """
    label = "times the rate of a loop written the published way"
    return _list(cost, ["loop"], label, lambda ratio: f"{ratio:.1f}")


def cost_floor(cost: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """Draw the time an equi-tuned model takes, against a plain one on |G| times the batch.

    Args:
        cost: rows of results/tables/cost.csv; those of the benchmark "floor" are drawn.

    Returns:
        The figure, and the rows it shows.

    Raises:
        ValueError: there are none.
    """
    label = "time relative to the plain model on |G| times the batch"
    return _list(cost, ["floor"], label, lambda ratio: f"{ratio:.2f}")


def cost_state(cost: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """Draw what writing the state takes of training time, for each model.

    Args:
        cost: rows of results/tables/cost.csv; those of the benchmarks "state" and "state_run" are
            drawn.

    Returns:
        The figure, and the rows it shows.

    Raises:
        ValueError: there are none.
    """
    label = "writing the state, as a share of training time"
    figure, shown = _list(cost, ["state", "state_run"], label, lambda ratio: f"{ratio:.2%}")
    for axis in figure.axes:
        axis.xaxis.set_major_formatter(PercentFormatter(1, decimals=1))
    return figure, shown


def cost_order(cost: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """Draw time and peak memory against the order of the group, relative to the plain model.

    Args:
        cost: rows of results/tables/cost.csv; those of the benchmarks "order" and "memory" are
            drawn, slopes left out.

    Returns:
        The figure, and the rows it shows.

    Raises:
        ValueError: there are none.
    """
    shown = rows_of(cost, ["order", "memory"])
    shown = shown[shown["numerator"].isin(LINES)]
    models = parts.in_order(shown["model"], ARCHITECTURES)
    titles = {"order": "time", "memory": "peak memory of a training step"}
    # one panel per model: the lines of two would lie on one another
    panels = [
        (benchmark, model, rows)
        for benchmark, model in product(titles, models)
        if len(rows := parts.where(shown, benchmark=benchmark, model=model))
    ]
    with look():
        figure = Figure(figsize=(3.4 * len(panels), 3.6))
        axes = figure.subplots(1, len(panels), squeeze=False)[0]
        for axis, (benchmark, model, here) in zip(axes, panels, strict=True):
            orders = sorted(set(here["order"]))
            axis.plot(orders, orders, ":", color=GREY, lw=1.2, label="|G|")
            for what, style in LINES.items():
                rows = parts.where(here, numerator=what).sort_values("order")
                if len(rows):
                    _line(axis, rows, style)
            said = [ARCHITECTURES.get(model, model), *dict.fromkeys(here["setting"])]
            axis.set_title(f"{titles[benchmark]}\n{', '.join(said)}")
            axis.set_xlabel("order of the group, |G|")
            axis.set_ylabel("relative to the plain model")
            axis.set_xticks(orders)
            axis.set_ylim(bottom=0)
            axis.legend(loc="upper left")
        figure.tight_layout()
    return figure, shown


def cost_peers(cost: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """Draw rate and invariance error of others' ways and libraries, those that were installed.

    Args:
        cost: rows of results/tables/cost.csv; those of the benchmarks "peer_rate" and "peer_error"
            are drawn.

    Returns:
        The figure, and the rows it shows: also those of networks that could not be measured.

    Raises:
        ValueError: there are none.
    """
    shown = cost[cost["benchmark"].isin(["peer_rate", "peer_error"])]
    measured = rows_of(shown, ["peer_rate", "peer_error"])
    settings = [name.partition(",")[0] for name in dict.fromkeys(measured["setting"])]
    names = parts.in_order(measured["numerator"], PEERS)
    # a line each, so that none hides another
    places = {
        (setting, name): -float(row)
        for row, (setting, name) in enumerate(product(settings, [PLAIN_NAME, *names]))
    }
    panels = {
        "peer_rate": ("ratio", "images a second,\nover the plain network's"),
        "peer_error": ("value", "largest relative error over the turns"),
    }
    with look():
        figure = Figure(figsize=(7.2, 1.1 + 0.22 * len(places)))
        grid = figure.subplots(1, 2, sharey=True)
        for axis, (benchmark, (column, label)) in zip(grid, panels.items(), strict=True):
            here = parts.where(measured, benchmark=benchmark)
            _peers(axis, here, places, column)
            for edge in range(len(names) + 1, len(places), len(names) + 1):
                axis.axhline(0.5 - edge, color="#bbbbbb", lw=0.6)
            parts.sideways(axis, places.values(), [f"{size}, {name}" for size, name in places])
            axis.set_ylim(0.5 - len(places), 0.5)
            axis.set_title(f"ResNet-18, four turns\n{parts.rounds(here['n'])}")
            axis.set_xlabel(label)
        grid[0].set_xlim(
            0, 1.05 * max(1, parts.where(measured, benchmark="peer_rate")["high"].max())
        )
        grid[1].set_xscale("log")
        grid[1].tick_params(axis="y", labelleft=False)
        absent = shown[~shown["numerator"].isin(names)].drop_duplicates("numerator")
        if len(absent):
            reasons = absent["note"].str.partition(":")[0]
            handles = [
                Line2D([], [], ls="", label=f"{name}: {why}")
                for name, why in zip(absent["numerator"], reasons, strict=True)
            ]
            parts.explain(figure, handles, "left out")
        figure.tight_layout()
    return figure, shown


def rows_of(cost: pd.DataFrame, benchmarks: Sequence[str]) -> pd.DataFrame:
    """Return the rows of some benchmarks that have a number.

    Raises:
        ValueError: there are none.
    """
    rows = cost[cost["benchmark"].isin(benchmarks) & cost["ratio"].notna()]
    if rows.empty:
        raise ValueError(
            f"the table has no measurement of {' or '.join(benchmarks)}, so there is nothing to "
            "draw: run snakemake benchmarks"
        )
    return rows


def _peers(
    axis: Axes, rows: pd.DataFrame, places: Mapping[tuple[str, str], float], column: str
) -> None:
    """Draw each network in its line: the plain one as a stroke, the others with their range.

    One that is compared with the plain network trained as long has that one's stroke in its line.
    """
    for row in rows.to_dict("records"):
        setting, name = row["setting"].partition(",")[0], row["numerator"]
        plain = 1.0 if column == "ratio" else row["denominator_value"]
        beside = name if row["denominator"] == TRAINED_NAME else PLAIN_NAME
        axis.plot(plain, places[setting, beside], "|", color=PLAIN, ms=9, mew=2)
        colour = OURS if name == "EquiTuned" else PUBLISHED
        at = places[setting, name]
        if column == "ratio":
            axis.hlines(at, row["low"], row["high"], color=colour, lw=1.5)
        axis.plot(
            row[column], at, "D", color=colour, mfc=colour if colour == OURS else "white", ms=5
        )


def _line(axis: Axes, rows: pd.DataFrame, style: tuple[str, str, str]) -> None:
    """Draw ratios against the order of the group, medians with their ranges."""
    line, marker, name = style
    axis.errorbar(
        rows["order"],
        rows["ratio"],
        yerr=[rows["ratio"] - rows["low"], rows["high"] - rows["ratio"]],
        fmt=line + marker,
        color=OURS,
        mfc=OURS if line == "-" else "white",
        ms=4,
        lw=1.2,
        capsize=2,
        label=name,
    )


def _list(
    cost: pd.DataFrame, benchmarks: Sequence[str], label: str, text: Callable[[float], str]
) -> tuple[Figure, pd.DataFrame]:
    """Draw ratios as a list, one panel per experiment: median, range, and the aim, if any.

    Args:
        cost: rows of cost.csv.
        benchmarks: whose rows are drawn.
        label: of the ratios' axis.
        text: how a ratio is written beside its point.
    """
    shown = rows_of(cost, benchmarks)
    experiments = parts.in_order(shown["experiment"], EXPERIMENTS)
    counts = [len(parts.where(shown, experiment=name)) for name in experiments]
    with look():
        figure = Figure(figsize=(6.0, 0.7 + 0.5 * len(counts) + 0.2 * sum(counts)))
        axes = figure.subplots(
            len(counts), 1, sharex=True, squeeze=False, height_ratios=[n + 0.5 for n in counts]
        )[:, 0]
        for axis, experiment in zip(axes, experiments, strict=True):
            rows = parts.where(shown, experiment=experiment)
            _points(axis, _sorted(rows), text)
            axis.set_title(EXPERIMENTS.get(experiment, experiment))
        ends = shown[["high", "at_least", "at_most"]].to_numpy(float)
        axes[0].set_xlim(0, 1.12 * np.nanmax(ends))
        axes[-1].set_xlabel(label)
        handles = [
            Line2D([], [], color=OURS, marker="o", ms=5, lw=1.5, label="median, range"),
            Line2D([], [], color=GREY, marker="|", ms=10, mew=2, ls="", label="aim"),
        ]
        parts.explain(figure, handles, parts.rounds(shown["n"]))
        figure.tight_layout()
    return figure, shown


def _sorted(rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows by what is done, with which sizes, smaller ones first, and by architecture."""
    work = parts.in_order(rows["numerator"], WORK)
    models = parts.in_order(rows["model"], ARCHITECTURES)
    keys = {
        "benchmark": rows["benchmark"],
        "work": rows["numerator"].map(work.index),
        "digits": rows["setting"].str.len(),  # batch 32 before batch 128
        "setting": rows["setting"],
        "model": rows["model"].map(models.index),
    }
    return rows.loc[pd.DataFrame(keys).sort_values(list(keys)).index]


def _points(axis: Axes, rows: pd.DataFrame, text: Callable[[float], str]) -> None:
    """Draw the rows of one panel, from top to bottom."""
    ys = [-float(place) for place in range(len(rows))]
    several = rows["numerator"].nunique() > 1
    columns = [rows[name] for name in ("model", "numerator", "setting")]
    names = [
        ", ".join([ARCHITECTURES.get(model, model), *([what] if several else []), setting])
        for model, what, setting in zip(*columns, strict=True)
    ]
    parts.sideways(axis, ys, names)
    axis.set_ylim(-len(rows) + 0.3, 0.7)
    for aim in ("at_least", "at_most"):
        axis.plot(rows[aim], ys, "|", color=GREY, ms=9, mew=1.5)
    axis.hlines(ys, rows["low"], rows["high"], color=OURS, lw=1.5)
    axis.plot(rows["ratio"], ys, "o", color=OURS, ms=5, clip_on=False)
    for y, ratio in zip(ys, rows["ratio"], strict=True):
        place = axis.get_yaxis_transform()  # in a column at the right of the panel
        axis.text(1.03, y, text(ratio), va="center", fontsize=8, transform=place)
