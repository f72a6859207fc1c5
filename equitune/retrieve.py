"""Downloads that are checked before they count; knows no experiment and no configuration.

Every file that is downloaded has a row in resources/sources.csv with its size and checksum.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from equitune.extras import extra
from equitune.files import WriteError, atomic_write, sha256, sha256_of_lines
from equitune.registry import Source

with extra("workflow"):
    import requests
    import tenacity
    import urllib3

logger = logging.getLogger(__name__)

BLOCK = 1 << 20  # bytes
LOWEST_RATE = 1000  # bytes a second; a mobile line of the slowest kind still has more
PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})  # answers that may change if asked again


class RetrievalError(OSError):
    """A file could not be had, or is not the one it should be; the message is one line."""


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
    that is already in place, and right, is kept.

    Args:
        source: which file.
        destination: the path of the file.
        mirror: a folder or an http(s) URL, under which the file stands at `source.mirror`.
        attempts: tries at each URL, where the connection or the server fails.
        backoff: seconds before the second try, doubled before each further one.
        timeout: seconds to wait for a connection, and for each piece of an answer. In each span of
            the second length at least LOWEST_RATE must arrive; an overall limit would end slow
            downloads that get on.
        sleep: waits; tests pass their own.

    Returns:
        The destination.

    Raises:
        RetrievalError: neither place has the right file; says which, from where and what to do.
        WriteError: the disk is full, or the folder cannot be written to.
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
                with atomic_write(destination) as temporary:
                    _copy(source, place, temporary)
            else:
                retry(_download, source, place, part, timeout)
                os.replace(part, destination)
        except WriteError:
            raise
        except OSError as error:
            if isinstance(place, str) and not isinstance(error, RetrievalError):
                raise WriteError(
                    f"{part} cannot be written ({error.strerror}): make room, or allow writing, "
                    "then run the same command again, which goes on from there"
                ) from error
            faults.append(" ".join(str(error).split()))
            logger.warning("%s: %s", source.name, error)
        else:
            part.unlink(missing_ok=True)  # of an earlier download from elsewhere
            return destination
    advice = "check the network, or put" if source.url else "it has no URL of its own: put"
    raise RetrievalError(
        f"{source.name}: {'; '.join(faults)}{': ' if faults else ''}{advice} the file at "
        f"{source.mirror} in a folder and name that folder as the mirror (retrieve.mirror)"
    )


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
    if not target.is_file() or _fault(source, target):
        with atomic_write(target) as temporary:
            try:
                _copy(source, file, temporary)
            except RetrievalError as error:
                raise RetrievalError(f"{error}: retrieve it again") from error
    return target


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


def _copy(source: Source, file: Path, copy: Path) -> None:
    if not file.is_file():
        raise RetrievalError(f"{file} does not exist")
    if not os.access(file, os.R_OK):  # told apart from a place that cannot be written to
        raise RetrievalError(f"{file} cannot be read")
    shutil.copyfile(file, copy)
    if fault := _fault(source, copy):
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
        part.unlink()
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
                for piece in _pieces(answer.raw, url, timeout[1]):
                    begun += file.write(piece)
                    if 0 < source.bytes < begun:
                        part.unlink()
                        raise RetrievalError(f"{url} is longer than {source.bytes} bytes")
    except requests.exceptions.SSLError as error:
        raise RetrievalError(f"{url}: {_line(error)}") from error
    except (requests.ConnectionError, requests.Timeout) as error:
        raise _PassingError(f"{url}: {_line(error)}") from error
    except urllib3.exceptions.HTTPError as error:
        raise _PassingError(f"{url} broke off: {_line(error)}") from error
    except requests.RequestException as error:
        raise RetrievalError(f"{url}: {_line(error)}") from error


def _pieces(raw: urllib3.HTTPResponse, url: str, span: float) -> Iterator[bytes]:
    """Yield what has arrived as it arrives; a whole block of a slow answer may take for ever."""
    since, came = time.monotonic(), 0
    while piece := raw.read1(BLOCK, decode_content=True):
        yield piece
        came += len(piece)
        waited = time.monotonic() - since
        if waited >= span:
            if came < LOWEST_RATE * waited:
                raise _PassingError(
                    f"{url} is too slow: {came} bytes in {waited:.0f} s, expected {LOWEST_RATE} "
                    "bytes a second at least"
                )
            since, came = time.monotonic(), 0


def _fault(source: Source, file: Path) -> str:
    """Return what is wrong with a file, or ""."""
    size = file.stat().st_size
    if source.bytes and size != source.bytes:
        return f"has {size} bytes, expected {source.bytes}"
    found = sha256(file)
    return (
        "" if found.startswith(source.sha256) else f"has sha256 {found}, expected {source.sha256}"
    )


def _line(error: Exception) -> str:
    """Return the innermost reason of a chain of network errors, on one line."""
    inner: BaseException = error
    while inner.__context__ is not None and str(inner.__context__):
        inner = inner.__context__
    return " ".join(str(inner).split())


def _reason(state: tenacity.RetryCallState) -> str:
    return str(state.outcome.exception()) if state.outcome else ""
