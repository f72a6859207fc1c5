"""What tuning does to language models and to their fairness."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from equitune.methods import METHODS
from equitune.results.figures import parts
from equitune.results.style import look

# what the group was acting on while a method was trained or measured, before and after
STAGES = {"plain": ("plain", "plain, tuned"), "equi": ("averaged", "equi-tuned")}
CELL = ["model", "axis"]


def language_tuning(tuning: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """Draw perplexity on the test text before and after tuning, and fairness at every validation.

    Left, the lower the better: one point per seed. Right, the distance from group-theoretic
    fairness against the step; that of an exactly fair model is rounding, at every step.

    Args:
        tuning: rows of results/tables/language_tuning.csv.

    Returns:
        The figure, and the numbers it shows.

    Raises:
        ValueError: no rows, or a method that is not known.
    """
    parts.check(tuning)
    cells = list(tuning.groupby(CELL, sort=True))
    with look():
        figure = Figure(figsize=(7.5, 2.6 * len(cells)))
        axes = figure.subplots(len(cells), 2, squeeze=False)
        for (names, rows), (left, right) in zip(cells, axes, strict=True):
            _perplexity(left, rows)
            _fairness(right, rows)
            left.set_title(f"{' × '.join(map(str, names))} ({parts.seeds(rows, ['method'])})")
        handles = {
            label: handle
            for handle, label in zip(*axes[0, 1].get_legend_handles_labels(), strict=True)
        }
        parts.explain(figure, list(handles.values()), "this run", list(handles))
        figure.tight_layout()
    return figure, tuning


def _perplexity(axis: Axes, rows: pd.DataFrame) -> None:
    """Draw the test perplexity of each method before its first step and after its last."""
    measured = rows.dropna(subset="test_perplexity")
    names: list[str] = []
    for method in parts.in_order(rows["method"], METHODS):
        own = measured[measured["method"] == method]
        for stage, after in zip(_stages(method), (False, True), strict=True):
            here = own[(own["step"] > 0) == after]["test_perplexity"]
            axis.plot(here, [len(names)] * len(here), "o", color=METHODS[method].colour, ms=5)
            if len(here):
                parts.beside(axis, here.max(), len(names), f"{here.mean():.2f}")
            names.append(stage)
    axis.margins(x=0.25)
    axis.set_ylim(len(names) - 0.5, -0.5)
    parts.sideways(axis, range(len(names)), names)
    axis.set_xlabel(f"perplexity, {parts.span(rows['test_tokens'])} tokens")


def _fairness(axis: Axes, rows: pd.DataFrame) -> None:
    """Draw the distance from fairness of each method against the step, one line per seed."""
    for method in parts.in_order(rows["method"], METHODS):
        name, colour = METHODS[method].label, METHODS[method].colour
        for _, own in rows[rows["method"] == method].sort_values("step").groupby("seed"):
            axis.plot(own["step"], own["counterfactual_tv"], ".-", color=colour, lw=1, label=name)
    axis.set_ylim(bottom=-0.02 * max(rows["counterfactual_tv"].max(), 1e-3))
    axis.set_xlabel("steps of tuning")
    axis.set_ylabel("counterfactual TV")


def _stages(method: str) -> tuple[str, str]:
    """Return what a method is called before and after tuning."""
    name = METHODS[method].label
    return STAGES.get(method, (name, f"{name}, tuned"))
