"""Draws a figure of the catalogue from files, and writes it with the numbers it shows."""

import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from equitune.io.names import nearest, show
from equitune.methods import METHODS, with_foreign
from equitune.results import style
from equitune.results.catalogue import PUBLISHED, Figure
from equitune.results.tables import COLUMNS, read

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger(__name__)


def draw(
    figure: Figure, files: Mapping[str, Path], folder: Path, only: Mapping[str, str] | None = None
) -> None:
    """Draw a figure from files, and write it as SVG and PDF with the CSV of its numbers.

    Args:
        figure: which.
        files: its tables by name.
        folder: where to write.
        only: values of columns of its `cells`; the figures of all other cells are left out.

    Raises:
        ValueError: a table is missing or cannot be drawn, no cell has these values, or its cells
            have no such column.
    """
    for column in only or {}:
        if column not in figure.cells:
            raise ValueError(f"{figure.name} shows every {column}: leave out --{column}")
    if missing := [f"{name}.csv" for name in figure.tables if name not in files]:
        raise ValueError(f"{figure.name} is drawn from {', '.join(missing)} too: name the file")
    known = {
        name: read(files[name], COLUMNS[name])
        for name in (*figure.tables, *figure.optional)
        if name in files
    }
    named = {
        name: {*table["method"].dropna()} for name, table in known.items() if "method" in table
    }
    theirs = named.pop(PUBLISHED, set())  # shown beside; of these nobody need be told
    own = set[str]().union(*named.values())
    with with_foreign(own | theirs) as foreign:
        for name in sorted(own & {*foreign}):
            hint = nearest(name, METHODS.keys() - set(foreign))
            like = hint if hint.startswith("; did") else ""
            logger.warning("%s: method %s is drawn as it is%s", figure.name, show(name), like)
        _draw(figure, known, files, folder, only or {})


def _draw(
    figure: Figure,
    known: Mapping[str, "pd.DataFrame"],
    files: Mapping[str, Path],
    folder: Path,
    only: Mapping[str, str],
) -> None:
    """Draw a figure from tables that were read; the arguments are those of `draw`."""
    tables = [known.get(name) for name in (*figure.tables, *figure.optional)]
    if not figure.cells:
        drawn, shown = figure.draw(*tables)
        style.save(drawn, folder / figure.name, shown)
        return
    cells = known[figure.tables[0]][[*figure.cells]].drop_duplicates()
    for column, wanted in only.items():
        cells = cells[cells[column] == wanted]
    if cells.empty and only:
        raise ValueError(f"{files[figure.tables[0]]} has no runs of {' and '.join(only.values())}")
    for cell in cells.to_dict("records"):
        values = {str(column): value for column, value in cell.items()}
        name = figure.stem.format(**values)
        if not re.fullmatch(r"[\w.:-]{1,200}", name):  # a table may come from anybody
            raise ValueError(
                f"{files[figure.tables[0]]}: {show(name)} is not a file's name: rename "
                f"{' or '.join(figure.cells)}"
            )
        drawn, shown = figure.draw(*tables[1:], **values)
        style.save(drawn, folder / name, shown)
