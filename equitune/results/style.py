"""The look of every figure, and how one is saved; knows no experiment's numbers."""

from pathlib import Path
from typing import Any

import matplotlib.style
import pandas as pd
from matplotlib.figure import Figure

from equitune.files import atomic_write
from equitune.results.tables import write

PUBLISHED = "#000000"
# Okabe & Ito's colours, told apart by colour-blind readers; one a method in every figure. There are
# eight of them, and yellow is too pale for a line on white, so language models have those of what
# corresponds to them in the other experiments.
METHODS: dict[str, tuple[str, str]] = {
    "pretrained": ("pretrained", "#999999"),
    "plain": ("plain", "#999999"),
    "finetune": ("fine-tuned", "#E69F00"),
    "finetune_augment": ("fine-tuned, augmented", "#D55E00"),
    # a darker shade of the one above: the same method, longer
    "finetune_augment_matched": ("fine-tuned, augmented, equal compute", "#7A3600"),
    "equitune": ("equi-tuned", "#0072B2"),
    "equitune_augment": ("equi-tuned, augmented", "#56B4E9"),
    "equi": ("equi", "#0072B2"),
    "lambda_equitune": ("λ-equi-tuned", "#009E73"),
    "relaxed": ("relaxed", "#009E73"),
    "equizero": ("equizero", "#CC79A7"),
    # again a darker shade of the one above
    "relaxed_equizero": ("relaxed equizero", "#7D2E5C"),
}
RIGHT, WRONG = "#333333", "#A50026"  # of a prediction; no method has them
# from ColorBrewer's scales for colour-blind readers; no method has these either
REGARD = {"positive": "#4575B4", "neutral": "#D9D9D9", "negative": "#B35806", "other": "#4D4D4D"}

SETTINGS: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "pdf.fonttype": 42,  # whole TrueType fonts, so that text stays text
    "svg.fonttype": "path",
    "svg.hashsalt": "equitune",  # the same bytes on every drawing
    "figure.dpi": 100,
}


def look() -> Any:
    """The context in which figures are drawn and saved."""
    # from matplotlib's own defaults: a matplotlibrc of the user would change every figure
    return matplotlib.style.context(["default", SETTINGS])


def save(figure: Figure, stem: Path, table: pd.DataFrame) -> None:
    """Write a figure as SVG and PDF, and the numbers it shows as CSV, beside one another.

    Args:
        figure: what to write.
        stem: path without suffix.
        table: the numbers that the figure shows.
    """
    with look():
        for suffix, dates in ((".svg", {"Date": None}), (".pdf", {"CreationDate": None})):
            with atomic_write(_suffixed(stem, suffix)) as temporary:
                figure.savefig(temporary, metadata=dates, bbox_inches="tight")
    write(table, _suffixed(stem, ".csv"))


def _suffixed(stem: Path, suffix: str) -> Path:
    """Append a suffix; `Path.with_suffix` would cut a name off at its last dot."""
    return stem.with_name(stem.name + suffix)
