"""Texts of another system, read from a table: scored and compared without a model."""

from __future__ import annotations

import csv
import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from equitune.compat import extra
from equitune.config import TextColumns
from equitune.io.files import sha256
from equitune.io.names import SHORT, nearest, shorten, show
from equitune.io.places import misplaced
from equitune.io.texts import read_text
from equitune.language.samples import Sample, objects
from equitune.methods import PLAIN

logger = logging.getLogger(__name__)

Rows = list[tuple[str, Mapping[str, Any]]]  # where each stands, and its columns
SEPARATORS = {".csv": ",", ".tsv": "\t"}
SEPARATING = {";": "semicolons", "\t": "tabs", ",": "commas"}
OBJECT = "an object, such as {text: …, group: …}"  # what a line of JSONL holds
TASK = "texts"  # in the place of a task: nobody knows what was asked


def read_texts(path: Path, columns: TextColumns, model: str, axis: str) -> list[Sample]:
    """Read texts about demographics.

    Args:
        path: a .csv, .tsv, .jsonl or .parquet with a text in each row.
        columns: which ones hold the text, its group, and what pairs texts of different groups.
        model: what to call their system.
        axis: what to call the difference between the groups.

    Returns:
        A sample a text, in the order of the file. Without pairs all are of one context, with pairs
        each pair is a context; a pair that lacks a group is left out, and the log says how many.

    Raises:
        ValueError: the file or a column is missing, a cell is empty, a pair has two texts of a
            group, or there are fewer than two groups; file and row are named.
    """
    _check_file(path)
    rows = READERS[path.suffix](path)
    if not rows:
        raise ValueError(f"{path} holds no texts: expected one in each row")
    found = [_entry(where, row, columns) for where, row in rows]
    groups = list(dict.fromkeys(group for _, group, _ in found))
    if len(groups) < 2:
        raise ValueError(f"{path} has one group, {show(groups[0])}: expected two or more")
    if columns.pair is not None:
        found = _whole_pairs(path, found, groups)
    origin, counts = sha256(path)[:16], Counter[tuple[str, str]]()
    samples = []
    for text, group, pair in found:
        samples.append(
            Sample(
                model=model,
                method=PLAIN,
                axis=axis,
                task=TASK,
                demographic=group,
                context=pair,
                prompt="",
                continuation=text,
                seed=0,
                sample=counts[group, pair],
                model_hash=origin,
            )
        )
        counts[group, pair] += 1
    return samples


def check_header(path: Path, columns: TextColumns) -> None:
    """Check what the first lines of a file of texts tell: its columns, and what separates them.

    Parquet is left to `read_texts`.

    Raises:
        ValueError: the file or a column is missing, or it is separated by something else.
    """
    _check_file(path)
    if path.suffix == ".jsonl":
        for where, row in objects(path, OBJECT):
            _check_columns(where, row, columns)
            return
    if path.suffix not in SEPARATORS:
        return
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            header = next(csv.reader(lines, delimiter=SEPARATORS[path.suffix]), [])
    except UnicodeDecodeError:
        read_text(path)  # which says in which line
        raise
    except csv.Error as error:
        raise ValueError(f"{path}, line 1: {error}") from None
    _check_separator(path, header)
    _check_columns(f"{path}, line 1", header, columns)


def _check_file(path: Path) -> None:
    """Check that there is a file of a kind that is read."""
    if wrong := misplaced(path, "expected a file of texts"):
        raise ValueError(wrong)
    if path.suffix not in READERS:
        raise ValueError(f"{path} has suffix {path.suffix!r}{nearest(path.suffix, READERS)}")


def _check_separator(path: Path, header: Sequence[str]) -> None:
    """Check that a header is not one column only because others are used to separate."""
    own = SEPARATORS[path.suffix]
    others = [other for other in SEPARATING if len(header) == 1 and other in header[0]]
    if others:
        raise ValueError(f"{path}: separated by {others[0]!r}; save it with {SEPARATING[own]}")


def _check_columns(where: str, names: Iterable[Any], columns: TextColumns) -> None:
    """Check that all columns are among the names of a table's."""
    names = [str(name) for name in names if name is not None]  # None: of cells without a name
    for column in (columns.text, columns.group, columns.pair):
        if column is not None and column not in names:
            raise ValueError(
                f"{where}: no column {show(column)}{nearest(column, names)}; there are "
                f"{shorten(', '.join(names), SHORT)}"
            )


def _entry(where: str, row: Mapping[str, Any], columns: TextColumns) -> tuple[str, str, str]:
    """Return text, group and pair of a row; the pair is "" where there are none."""
    _check_columns(where, row, columns)
    values = []
    for column in (columns.text, columns.group, columns.pair):
        if column is None:
            values.append("")
            continue
        value = row[column]
        if value is None or not str(value).strip():
            raise ValueError(f"{where}: {column} is empty: fill it in, or remove the row")
        values.append(str(value))
    text, group, pair = values
    return text, group, pair


def _whole_pairs(
    path: Path, found: Iterable[tuple[str, str, str]], groups: list[str]
) -> list[tuple[str, str, str]]:
    """Return the texts of pairs with one text of every group."""
    pairs: dict[str, dict[str, tuple[str, str, str]]] = defaultdict(dict)
    for entry in found:
        _, group, pair = entry
        if group in pairs[pair]:
            raise ValueError(
                f"{path}: pair {show(pair)} has two texts of {show(group)}: expected one"
            )
        pairs[pair][group] = entry
    whole = [parts for parts in pairs.values() if len(parts) == len(groups)]
    if not whole:
        raise ValueError(f"{path}: no pair has a text of {', '.join(map(show, groups))}")
    if left := len(pairs) - len(whole):
        logger.warning("%s: %d of %d pairs lack a group and are left out", path, left, len(pairs))
    return [parts[group] for parts in whole for group in groups]


def _separated(path: Path) -> Rows:
    """Read columns with something between them."""
    text, delimiter = read_text(path), SEPARATORS[path.suffix]
    lines = csv.DictReader(text.splitlines(keepends=True), delimiter=delimiter)
    try:
        _check_separator(path, lines.fieldnames or ())
        return [(f"{path}, line {lines.line_num}", row) for row in lines]
    except csv.Error as error:
        raise ValueError(f"{path}, line {lines.line_num}: {error}") from None


def _objects(path: Path) -> Rows:
    """Read a JSON object a line."""
    return list(objects(path, OBJECT))


def _parquet(path: Path) -> Rows:
    """Read a parquet file, for which pandas needs pyarrow."""
    with extra("workflow"):
        import pandas as pd

    try:
        table = pd.read_parquet(path)
    except ImportError as error:
        raise ValueError(
            f"{path} needs pyarrow: pip install pyarrow, or save the texts as CSV or JSONL"
        ) from error
    table = table.astype(object).where(table.notna(), None)
    rows = enumerate(table.to_dict("records"), 1)
    return [(f"{path}, row {n}", {str(key): row[key] for key in row}) for n, row in rows]


READERS: Mapping[str, Callable[[Path], Rows]] = {
    ".csv": _separated,
    ".tsv": _separated,
    ".jsonl": _objects,
    ".parquet": _parquet,
}
