"""Images that a CSV lists, one per line: `file`, `label`, and, if there is one, `part`."""

from __future__ import annotations

import csv
from pathlib import Path

from equitune.io.names import show
from equitune.io.texts import read_text

SUFFIX = ".csv"
FILE, LABEL, PART = "file", "label", "part"
TRAIN, HELD_OUT = ("train",), ("test", "val")


def read_listing(path: Path) -> tuple[list[Path], list[str], list[bool] | None]:
    """Return the files that a CSV lists, their classes, and whether each is of the test part.

    Args:
        path: CSV with the columns file (a path, relative to the CSV's folder), label, and
            optionally part: train, or test or val. Further columns are left.

    Returns:
        Files, labels, and the mask; None for the mask where there is no column part.

    Raises:
        ValueError: a column is missing, no image is listed, a file does not exist or is listed
            twice, or a part has another name; the line is named.
    """
    rows = csv.DictReader(read_text(path).splitlines())  # passes blank lines over
    names = rows.fieldnames or []
    if missing := [name for name in (FILE, LABEL) if name not in names]:
        raise ValueError(
            f"{path} has the columns {', '.join(names) or 'of nothing'} and lacks "
            f"{' and '.join(missing)}: expected file, label and, if the parts are known, part"
        )
    files: list[Path] = []
    labels: list[str] = []
    held_out: list[bool] = []
    seen: set[Path] = set()
    for row in rows:
        where = f"{path}, line {rows.line_num}"
        file = path.parent / (row[FILE] or "")
        if not file.is_file():
            raise ValueError(f"{where}: {show(row[FILE])} does not exist beside the CSV")
        if not row[LABEL]:
            raise ValueError(f"{where}: {show(row[FILE])} has no label")
        if PART in names and row[PART] not in TRAIN + HELD_OUT:
            raise ValueError(f"{where}: part is {show(row[PART])}, expected train, test or val")
        if file in seen:
            raise ValueError(f"{where}: {show(row[FILE])} is listed twice: leave one of the lines")
        seen.add(file)
        files.append(file)
        labels.append(row[LABEL])
        held_out.append(row.get(PART) in HELD_OUT)
    if not files:
        raise ValueError(f"{path} lists no image")
    return files, labels, held_out if PART in names else None
