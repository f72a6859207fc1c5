"""Downloads that are checked before they count; knows no experiment and no configuration.

Every file that is downloaded has a row in resources/sources.csv with its size and checksum.
"""

from __future__ import annotations

import csv
import logging
import os
import re
import shutil
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from pathlib import Path

import requests
import tenacity

from equitune.files import sha256, sha256_of_lines

logger = logging.getLogger(__name__)

REGISTRY = Path(__file__).resolve().parents[1] / "resources" / "sources.csv"
BLOCK = 1 << 20  # bytes
PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})  # answers that may change if asked again


class RetrievalError(OSError):
    """A file could not be had, or is not the one it should be; the message is one line."""


@dataclass(frozen=True)
class Source:
    """A row of resources/sources.csv.

    Attributes:
        name: what the file is called in the project.
        version: release or commit.
        url: where it comes from; "" for a file that only a mirror can have.
        mirror: its path inside a mirror.
        sha256: checksum of the bytes, or its first digits where no more are published.
        sorted_sha256: checksum of the sorted lines, for a text whose order does not matter, or "".
        bytes: size, or 0 where it is not published.
        licence: its licence.
        citation: whom to cite.
    """

    name: str
    version: str
    url: str
    mirror: str
    sha256: str
    sorted_sha256: str
    bytes: int
    licence: str
    citation: str


def sources(path: Path = REGISTRY) -> dict[str, Source]:
    """Read the registry of downloads, by name.

    Raises:
        FileNotFoundError: there is no registry.
        ValueError: the first malformed row: file, line and what is wrong.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist: run from a clone, or pass the registry")
    columns = [field.name for field in fields(Source)]
    found: dict[str, Source] = {}
    with open(path, encoding="utf-8", newline="") as file:
        rows = csv.reader(file)
        header = next(rows, [])
        if header != columns:
            raise ValueError(f"{path}:1: columns are {header}, expected {columns}")
        for values in rows:
            row = dict(zip(columns, values, strict=False))
            if problem := _problem(row, len(values), columns, found):
                raise ValueError(f"{path}:{rows.line_num}: {problem}")
            size = int(row.pop("bytes"))
            found[row["name"]] = Source(**row, bytes=size)
    return found


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

    The mirror is looked in first, then the URL. While it arrives the file is called
    `destination` + ".part"; what is left of an interrupted download is resumed. A file that is
    already in place, and right, is kept.

    Args:
        source: which file.
        destination: the path of the file.
        mirror: a folder or an http(s) URL, under which the file stands at `source.mirror`.
        attempts: tries at each URL, where the connection or the server fails.
        backoff: seconds before the second try, doubled before each further one.
        timeout: seconds to wait for a connection and for each piece of an answer.
        sleep: waits; tests pass their own.

    Returns:
        The destination.

    Raises:
        RetrievalError: neither place has the right file; says which, from where and what to do.
    """
    if destination.is_file() and not _fault(source, destination):
        return destination
    destination.parent.mkdir(parents=True, exist_ok=True)
    part = destination.with_name(destination.name + ".part")
    retry = tenacity.Retrying(
        stop=tenacity.stop_after_attempt(attempts),
        wait=tenacity.wait_exponential(multiplier=backoff, max=60),
        retry=tenacity.retry_if_exception_type(_PassingError),
        sleep=sleep,
        before_sleep=lambda state: logger.warning("%s: trying again", _reason(state)),
        reraise=True,
    )
    faults = []
    for place in _places(source, mirror):
        size = f"{source.bytes / 1e6:.1f} MB" if source.bytes else "a file"
        logger.info("%s: %s from %s", source.name, size, place)
        try:
            if isinstance(place, Path):
                _copy(source, place, part)
            else:
                retry(_download, source, place, part, timeout)
            os.replace(part, destination)
            return destination
        except (RetrievalError, OSError) as error:
            part.unlink(missing_ok=True)
            faults.append(str(error))
            logger.warning("%s: %s", source.name, error)
    advice = "check the network, or put" if source.url else "it has no URL of its own: put"
    raise RetrievalError(
        f"{source.name}: {'; '.join(faults)}{': ' if faults else ''}{advice} the file at "
        f"{source.mirror} in a folder and name that folder as the mirror (retrieve.mirror)"
    )


class _PassingError(RetrievalError):
    """A failure that may pass when the same is tried again."""


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


def _copy(source: Source, file: Path, part: Path) -> None:
    if not file.is_file():
        raise RetrievalError(f"{file} does not exist")
    shutil.copyfile(file, part)
    if fault := _fault(source, part):
        raise RetrievalError(f"{file} {fault}")


def _download(source: Source, url: str, part: Path, timeout: tuple[float, float]) -> None:
    """Bring part to its full size and check it; one that was begun earlier is taken up."""
    begun = part.stat().st_size if part.exists() else 0
    if begun < source.bytes or not source.bytes:
        _fetch(source, url, part, begun, timeout)
    fault = _fault(source, part)
    if fault and begun:
        # the beginning may be of another file or version: once more from zero
        part.unlink()
        _fetch(source, url, part, 0, timeout)
        fault = _fault(source, part)
    if fault:
        raise RetrievalError(f"{url} {fault}")


def _fetch(source: Source, url: str, part: Path, begun: int, timeout: tuple[float, float]) -> None:
    """Write the answer behind the first `begun` bytes, or from zero if it is the whole file."""
    # identity: sizes and ranges count the bytes of the file itself
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={begun}-"} if begun else {})
    try:
        with requests.get(url, headers=headers, stream=True, timeout=timeout) as answer:
            if answer.status_code == 416 and begun:  # shorter than what is here: start afresh
                part.unlink()
                raise _PassingError(f"{url} has fewer than {begun} bytes")
            if not answer.ok:
                kind = _PassingError if answer.status_code in PASSING else RetrievalError
                raise kind(f"{url} answered {answer.status_code} {answer.reason}")
            continues = answer.headers.get("Content-Range", "").startswith(f"bytes {begun}-")
            begun = begun if answer.status_code == 206 and continues else 0
            with open(part, "r+b" if begun else "wb") as file:
                file.seek(begun)
                for block in answer.iter_content(BLOCK):
                    begun += file.write(block)
                    if 0 < source.bytes < begun:
                        raise RetrievalError(f"{url} is longer than {source.bytes} bytes")
    except requests.exceptions.SSLError as error:
        raise RetrievalError(f"{url}: {_line(error)}") from error
    except (requests.ConnectionError, requests.Timeout) as error:
        raise _PassingError(f"{url}: {_line(error)}") from error
    except requests.exceptions.ChunkedEncodingError as error:
        raise _PassingError(f"{url} broke off: {_line(error)}") from error
    except requests.RequestException as error:
        raise RetrievalError(f"{url}: {_line(error)}") from error


def _fault(source: Source, file: Path) -> str:
    """Return what is wrong with a file, or ""."""
    size = file.stat().st_size
    if source.bytes and size != source.bytes:
        return f"has {size} bytes, expected {source.bytes}"
    found = sha256(file)
    return (
        "" if found.startswith(source.sha256) else f"has sha256 {found}, expected {source.sha256}"
    )


def _problem(
    row: dict[str, str], count: int, columns: list[str], found: dict[str, Source]
) -> str | None:
    """Return what is wrong with a row of the registry, or None."""
    if count != len(columns):
        return f"{count} fields, expected {len(columns)}: {', '.join(columns)}"
    path = Path(row["mirror"])
    inside = bool(path.parts) and not path.is_absolute() and ".." not in path.parts
    http, digits, ordered = r"https?://[^/]+/.+", "[0-9a-f]{64}", row["sorted_sha256"]
    checks = [
        ("name", re.fullmatch(r"\w+", row["name"]), "letters, digits and _"),
        ("url", not row["url"] or re.fullmatch(http, row["url"]), "http:// or https://, or ''"),
        ("mirror", inside, "a path inside a mirror"),
        ("sha256", re.fullmatch(digits, row["sha256"]), "64 hexadecimal digits"),
        ("sorted_sha256", not ordered or re.fullmatch(digits, ordered), "64 hex digits or ''"),
        ("bytes", re.fullmatch("[1-9][0-9]*", row["bytes"]), "a positive integer"),
    ]
    for column, good, expected in checks:
        if not good:
            return f"{column} is {row[column]!r}, expected {expected}"
    return f"name {row['name']!r} stands twice" if row["name"] in found else None


def _line(error: Exception) -> str:
    """Return the innermost reason of a chain of network errors, on one line."""
    inner: BaseException = error
    while inner.__context__ is not None and str(inner.__context__):
        inner = inner.__context__
    return " ".join(str(inner).split())


def _reason(state: tenacity.RetryCallState) -> str:
    return str(state.outcome.exception()) if state.outcome else ""
