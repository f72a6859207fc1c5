"""The figures of what everything costs; they know rows of cost.csv and no benchmark."""

from collections.abc import Callable, Mapping, Sequence
from itertools import cycle, product
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import PercentFormatter

from equitune.results.figures import parts
from equitune.results.figures.image import ARCHITECTURES
from equitune.results.style import METHODS, PUBLISHED, look

EXPERIMENTS = {"scan": "SCAN", "image": "images", "language": "language"}
# names, in the order of drawing
WORK = ("pretraining", "equi-tuning", "evaluation", "sample", "sample, shared stream", "generate")
OURS, PLAIN, GREY = METHODS["equitune"][1], METHODS["pretrained"][1], "#666666"
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
    shown = _measured(cost, ["order", "memory"])
    shown = shown[shown["numerator"].isin(LINES)]
    models = parts.in_order(shown["model"], ARCHITECTURES)
    # one method, so shades of its colour
    colours = dict(zip(models, cycle([parts.pale(OURS), OURS]), strict=False))
    titles = {"order": "time", "memory": "peak memory of a training step"}
    with look():
        figure = Figure(figsize=(7.6, 3.6))
        for axis, (benchmark, title) in zip(figure.subplots(1, 2), titles.items(), strict=True):
            here = parts.where(shown, benchmark=benchmark)
            orders = sorted(set(here["order"]))
            axis.plot(orders, orders, ":", color=GREY, lw=1.2, label="|G|")
            for model, (what, style) in product(models, LINES.items()):
                rows = parts.where(here, model=model, numerator=what).sort_values("order")
                if len(rows):
                    _line(axis, rows, style, colours[model], ARCHITECTURES.get(model, model))
            axis.set_title(f"{title}, {' and '.join(dict.fromkeys(here['setting']))}")
            axis.set_xlabel("order of the group, |G|")
            axis.set_ylabel("relative to the plain model")
            axis.set_xticks(orders)
            axis.set_ylim(bottom=0)
            axis.legend(loc="upper left", fontsize=7)
        figure.tight_layout()
    return figure, shown


def cost_peers(cost: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """Draw rate and invariance error of other libraries' networks, those that were installed.

    Args:
        cost: rows of results/tables/cost.csv; those of the benchmarks "peer_rate" and "peer_error"
            are drawn.

    Returns:
        The figure, and the rows it shows: also those of networks that could not be measured.

    Raises:
        ValueError: there are none.
    """
    shown = cost[cost["benchmark"].isin(["peer_rate", "peer_error"])]
    measured = _measured(shown, ["peer_rate", "peer_error"])
    names = parts.in_order(measured["numerator"], ["EquiTuned"])
    settings = list(dict.fromkeys(measured["setting"]))
    panels = {
        "peer_rate": ("ratio", "images a second, over the plain network's"),
        "peer_error": ("value", "largest relative error over the turns"),
    }
    with look():
        figure = Figure(figsize=(7.2, 3.4))
        for axis, (benchmark, (column, label)) in zip(
            figure.subplots(1, 2), panels.items(), strict=True
        ):
            here = parts.where(measured, benchmark=benchmark)
            for name, marker in zip(names, parts.MARKERS, strict=False):
                rows = parts.where(here, numerator=name)
                at = rows["setting"].map(settings.index)
                ours = name == "EquiTuned"
                colour, filling = (OURS, OURS) if ours else (PUBLISHED, "white")
                axis.plot(at, rows[column], marker, color=colour, mfc=filling, ms=6, label=name)
            _plain(axis, here, settings, 1 if column == "ratio" else None)
            axis.set_xticks(range(len(settings)), [name.partition(",")[0] for name in settings])
            axis.set_xlim(-0.5, len(settings) - 0.5)
            axis.set_xlabel("side of the images")
            axis.set_ylabel(label)
        figure.axes[0].set_ylim(0, 1.15)
        figure.axes[1].set_yscale("log")
        handles, labels = figure.axes[0].get_legend_handles_labels()
        for name in dict.fromkeys(shown["numerator"]):
            if name not in names:
                handles.append(Line2D([], [], ls=""))
                labels.append(f"{name}: not installed")
        parts.explain(figure, handles, "ResNet-18, four turns", labels)
        figure.tight_layout()
    return figure, shown


FIGURES: Mapping[str, Callable[[pd.DataFrame], tuple[Figure, pd.DataFrame]]] = {
    "cost_loop": cost_loop,
    "cost_floor": cost_floor,
    "cost_order": cost_order,
    "cost_peers": cost_peers,
    "cost_state": cost_state,
}


def _measured(cost: pd.DataFrame, benchmarks: Sequence[str]) -> pd.DataFrame:
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


def _line(
    axis: Axes, rows: pd.DataFrame, style: tuple[str, str, str], colour: Any, model: str
) -> None:
    """Draw ratios against the order of the group, medians with their ranges."""
    line, marker, name = style
    axis.errorbar(
        rows["order"],
        rows["ratio"],
        yerr=[rows["ratio"] - rows["low"], rows["high"] - rows["ratio"]],
        fmt=line + marker,
        color=colour,
        ms=4,
        lw=1.2,
        capsize=2,
        label=f"{model}, {name}",
    )


def _list(
    cost: pd.DataFrame, benchmarks: Sequence[str], label: str, text: Callable[[float], str]
) -> tuple[Figure, pd.DataFrame]:
    """Draw ratios as a list, a panel an experiment: median, range, and the aim where there is one.

    Args:
        cost: rows of cost.csv.
        benchmarks: whose rows are drawn.
        label: of the ratios' axis.
        text: how a ratio is written beside its point.
    """
    shown = _measured(cost, benchmarks)
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
        parts.explain(figure, handles, f"n = {parts.span(shown['n'])} rounds")
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


def _plain(axis: Axes, rows: pd.DataFrame, settings: Sequence[str], ratio: float | None) -> None:
    """Draw the plain network of each setting as a short line: at a ratio, or at its own value."""
    for place, setting in enumerate(settings):
        value = parts.where(rows, setting=setting)["denominator_value"].iloc[0]
        at = value if ratio is None else ratio
        label = None if place else "plain"
        axis.plot([place - 0.25, place + 0.25], [at, at], color=PLAIN, lw=2, label=label)
