"""Paths that people write: whether there is what is expected, in the same words everywhere."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path


def misplaced(
    place: str | os.PathLike[str], do: str, folder: bool = False, having: Iterable[str] = ()
) -> str:
    """Return one line about a path that is not what it should be, or "" if it is.

    A relative path is shown with the absolute one that was looked at.

    Args:
        place: the path, as it was written.
        do: how the line ends: what was expected, or what to do.
        folder: whether a folder is expected, and no file.
        having: files, of which the folder needs each.
    """
    path = Path(place)
    if not path.exists():
        fault = "does not exist"
    elif folder and not path.is_dir():
        fault = "is a file"
    elif not folder and path.is_dir():
        fault = "is a folder"
    elif lacking := [name for name in having if not (path / name).is_file()]:
        fault = f"has no {', '.join(lacking)}"
    else:
        return ""
    return f"{place} {fault}: {do}{looked_at(path)}"


def looked_at(path: Path) -> str:
    """Return the end of a message about a path: where a relative one leads to."""
    return "" if path.is_absolute() else f" (looked at {path.absolute()})"


def has_tokenizer(names: Iterable[str]) -> bool:
    """Whether one of the files in a folder is of a tokenizer, whichever kind it has."""
    return any(re.search("token|vocab|piece|merges|spm", name) for name in names)


def check_file(path: Path, do: str) -> None:
    """Check that a path is a file.

    Raises:
        FileNotFoundError: there is nothing.
        IsADirectoryError: it is a folder.
    """
    if wrong := misplaced(path, do):
        raise (IsADirectoryError if path.is_dir() else FileNotFoundError)(wrong)
