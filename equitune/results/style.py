"""The look of every figure, and how one is saved."""

from pathlib import Path
from typing import Any

import matplotlib.style
import pandas as pd
from matplotlib.figure import Figure

from equitune.io.files import atomic_write
from equitune.results.tables import write

PUBLISHED = "#000000"
RIGHT, WRONG = "#333333", "#A50026"  # of a prediction; no method has them
# from ColorBrewer's scales for colour-blind readers, and different in grey; no method has these
REGARD = {"positive": "#74ADD1", "neutral": "#D9D9D9", "negative": "#B35806", "other": "#4D4D4D"}

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
