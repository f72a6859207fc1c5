"""One file brought from one place and checked before it counts.

A file of a folder is copied; one of a server arrives in a part that is taken up where it broke off.
"""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from equitune.compat import extra
from equitune.io.files import WriteError, atomic_write, sha256
from equitune.io.registry import Source

with extra("workflow"):
    import requests
    import tenacity
    import urllib3

logger = logging.getLogger(__name__)

BLOCK = 1 << 20  # bytes
LOWEST_RATE = 1000  # bytes a second; a mobile line of the slowest kind still has more
PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})  # answers that may change if asked again


class RetrievalError(OSError):
    """A file is not available, or is not the one it should be; the message is one line."""


class WrongFileError(RetrievalError):
    """There is a file, and it is not the one it should be."""


class AbsentError(RetrievalError):
    """No place that could be asked has the package that a file is in, and none has a wrong one."""


class PassingError(RetrievalError):
    """A failure that may pass when the same is tried again."""


@dataclass(frozen=True)
class Patience:
    """How long a server is asked.

    Attributes:
        attempts: tries at each URL, where the connection or the server fails.
        backoff: seconds before the second try, doubled before each further one.
        timeout: seconds to wait for a connection, and for each piece of an answer. In each span of
            the second length at least LOWEST_RATE must arrive; an overall limit would end slow
            downloads that get on.
        sleep: waits; tests pass their own.
    """

    attempts: int
    backoff: float
    timeout: tuple[float, float]
    sleep: Callable[[float], None]


def bring(source: Source, place: Path | str, destination: Path, patience: Patience) -> None:
    """Put a file in place from one place, once it is right; else leave nothing under its name.

    Args:
        source: which file.
        place: a file, or a URL, of which what arrives is called `destination` + ".part" until it
            is whole.
        destination: the path of the file, in a folder that exists.
        patience: how long a server is asked.

    Raises:
        RetrievalError: it is not there, or not right.
        WriteError: the disk is full, or the folder cannot be written to.
    """
    part = destination.with_name(destination.name + ".part")
    size = f"{source.bytes / 1e6:.1f} MB" if source.bytes else "a file"
    logger.info("%s: %s from %s", source.name, size, place)
    if isinstance(place, Path):
        with atomic_write(destination) as temporary:
            copy(source, place, temporary)
        return
    retry = tenacity.Retrying(
        stop=tenacity.stop_after_attempt(patience.attempts),
        wait=tenacity.wait_exponential(multiplier=patience.backoff, max=60),
        retry=tenacity.retry_if_exception_type(PassingError),
        sleep=patience.sleep,
        before_sleep=lambda state: logger.warning("%s: trying again", _reason(state)),
        reraise=True,
    )
    try:
        retry(_download, source, place, part, patience.timeout)
        os.replace(part, destination)
    except (RetrievalError, WriteError):
        raise
    except OSError as error:
        raise WriteError(
            f"{part} cannot be written ({error.strerror}): make room, or allow writing, "
            "then run the same command again, which goes on from there"
        ) from error


def copy(source: Source, file: Path, target: Path) -> None:
    """Copy a file and check the copy.

    Raises:
        RetrievalError: it is not there, or not right.
    """
    if not file.is_file():
        raise RetrievalError(f"{file} does not exist")
    if not os.access(file, os.R_OK):  # told apart from a place that cannot be written to
        raise RetrievalError(f"{file} cannot be read")
    shutil.copyfile(file, target)
    check(source, target, str(file))


def check(source: Source, file: Path, what: str) -> None:
    """Check a file's size and checksum; the message opens with what it came from.

    Raises:
        WrongFileError: it is not the one it should be.
    """
    if fault := fault_of(source, file):
        raise WrongFileError(f"{what} {fault}")


def fault_of(source: Source, file: Path) -> str:
    """Return what is wrong with a file's size or checksum, or ""."""
    size = file.stat().st_size
    if source.bytes and size != source.bytes:
        return f"has {size} bytes, expected {source.bytes}"
    found = sha256(file)
    return (
        "" if found.startswith(source.sha256) else f"has sha256 {found}, expected {source.sha256}"
    )


def _download(source: Source, url: str, part: Path, timeout: tuple[float, float]) -> None:
    """Bring part to its full size and check it; one that was begun earlier is taken up."""
    begun = part.stat().st_size if part.exists() else 0
    if begun < source.bytes or not source.bytes:
        _fetch(source, url, part, begun, timeout)
    fault = fault_of(source, part)
    if fault and begun:
        # the beginning may be of another file or version: once more from zero
        part.unlink()
        _fetch(source, url, part, 0, timeout)
        fault = fault_of(source, part)
    if fault:
        part.unlink()
        raise WrongFileError(f"{url} {fault}")


def _fetch(source: Source, url: str, part: Path, begun: int, timeout: tuple[float, float]) -> None:
    """Write the answer behind the first `begun` bytes, or from zero if it is the whole file."""
    # identity: sizes and ranges count the bytes of the file itself
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={begun}-"} if begun else {})
    try:
        with requests.get(url, headers=headers, stream=True, timeout=timeout) as answer:
            if answer.status_code == 416 and begun:  # shorter than what is here: start afresh
                part.unlink()
                raise PassingError(f"{url} has fewer than {begun} bytes")
            if not answer.ok:
                kind = PassingError if answer.status_code in PASSING else RetrievalError
                raise kind(f"{url} answered {answer.status_code} {answer.reason}")
            continues = answer.headers.get("Content-Range", "").startswith(f"bytes {begun}-")
            begun = begun if answer.status_code == 206 and continues else 0
            with open(part, "r+b" if begun else "wb") as file:
                file.seek(begun)
                for piece in _pieces(answer.raw, url, timeout[1]):
                    begun += file.write(piece)
                    if 0 < source.bytes < begun:
                        part.unlink()
                        raise WrongFileError(f"{url} is longer than {source.bytes} bytes")
    except requests.exceptions.SSLError as error:
        raise RetrievalError(f"{url}: {_line(error)}") from error
    except (requests.ConnectionError, requests.Timeout) as error:
        raise PassingError(f"{url}: {_line(error)}") from error
    except urllib3.exceptions.HTTPError as error:
        raise PassingError(f"{url} broke off: {_line(error)}") from error
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
                raise PassingError(
                    f"{url} is too slow: {came} bytes in {waited:.0f} s, expected {LOWEST_RATE} "
                    "bytes a second at least"
                )
            since, came = time.monotonic(), 0


def _line(error: Exception) -> str:
    """Return the innermost reason of a chain of network errors, on one line."""
    inner: BaseException = error
    while inner.__context__ is not None and str(inner.__context__):
        inner = inner.__context__
    return " ".join(str(inner).split())


def _reason(state: tenacity.RetryCallState) -> str:
    return str(state.outcome.exception()) if state.outcome else ""
