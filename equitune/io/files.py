"""Files written whole and read with care, for every experiment.

torch is imported where tensors are handled, as the steps that handle none start faster without.
"""

from __future__ import annotations

import errno
import glob
import hashlib
import json
import os
import platform
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from equitune.io.places import check_file

if TYPE_CHECKING:
    from torch import Tensor, nn

    from equitune.io.tensors import Parts

_HOST = hashlib.sha256(platform.node().encode()).hexdigest()[:8]
NAMED = 3  # keys of each kind in a message
_CLOSED = (errno.EROFS, errno.EACCES, errno.EPERM)


class WriteError(OSError):
    """A file cannot be written; the message is one line that says which, why and what to do."""


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path in the same folder; what is written there appears at once or never.

    Args:
        path: the file to write or to replace; its folder is made if it does not exist.

    Yields:
        A path that does not exist yet and ends as `path` does, for writers that go by the suffix.
        It is moved to `path` when the block ends, and removed when the block fails.

    Raises:
        WriteError: the disk is full, the folder cannot be written to, or there is a folder of
            this name.
    """
    path = Path(path)
    if path.is_dir():
        raise WriteError(f"{path} is a folder: expected a file to write, such as {path / 'NAME'}")
    temporary = _temporary(path)
    with _explained(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _remove_abandoned(path)
            yield temporary
            _settle(temporary, path)
        finally:
            with suppress(OSError):  # in a folder that cannot be written to
                temporary.unlink(missing_ok=True)


@contextmanager
def atomic_files(folder: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary folder, whose files are moved into `folder` when the block ends.

    For writers that choose the names themselves; each file appears at once or never.

    Raises:
        WriteError: as `atomic_write`.
    """
    folder = Path(folder)
    temporary = _temporary(folder / "files")
    with _explained(folder):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _remove_abandoned(folder / "files")
            temporary.mkdir()
            yield temporary
            for file in sorted(temporary.iterdir()):
                _open_to_others(file, temporary)
                _settle(file, folder / file.name)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def atomic_folder(folder: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary folder that becomes `folder` when the block ends, whole or never.

    A folder that exists is replaced; it stays as it was when the block fails.

    Raises:
        WriteError: as `atomic_write`.
    """
    folder = Path(folder)
    temporary = _temporary(folder)
    with _explained(folder):
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            _remove_abandoned(folder)
            temporary.mkdir()
            yield temporary
            for file in sorted(temporary.iterdir()):
                _open_to_others(file, temporary)
                _flush(file)
            replace_folder(temporary, folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def replace_folder(new: Path, folder: Path) -> None:
    """Put a new folder in the place of one that may exist, which stays if that fails."""
    aside = _temporary(folder)
    replaced = folder.exists()
    if replaced:
        os.rename(folder, aside)  # a folder with something in it cannot be overwritten
    try:
        os.rename(new, folder)
    except OSError:
        if replaced:
            os.rename(aside, folder)
        raise
    if replaced:
        shutil.rmtree(aside)


def sha256(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of_lines(lines: Iterable[str]) -> str:
    """Return the SHA-256 of the sorted lines, each with its newline: the order does not matter."""
    text = "".join(f"{line}\n" for line in sorted(lines))
    return hashlib.sha256(text.encode()).hexdigest()


def configuration_hash(configuration: Mapping[str, Any]) -> str:
    """Return 16 hexadecimal digits that stand for JSON-able settings, whatever their order.

    Raises:
        TypeError: a value is not JSON-able.
        ValueError: a number is not finite.
    """
    text = json.dumps(configuration, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def save_tensors(
    path: str | os.PathLike[str],
    tensors: Mapping[str, Tensor | Parts],
    metadata: Mapping[str, Any] | None = None,
) -> None:
    """Write tensors and JSON-able metadata as safetensors: atomic, the same bytes every time.

    Args:
        path: the file to write.
        tensors: tensors of any device by name; those that share memory are stored separately, and
            `Parts` are made while they are written.
        metadata: facts that `load_tensors` gives back.

    Raises:
        ValueError: something cannot be written, as it is quantized, sparse or on the meta device.
    """
    from equitune.io.storable import check_storable
    from equitune.io.tensors import Parts, write

    whole = {name: each for name, each in tensors.items() if not isinstance(each, Parts)}
    check_storable(whole, str(path))

    # one key: safetensors writes several in an order that changes from call to call
    text = json.dumps(metadata or {}, sort_keys=True, allow_nan=False)
    with atomic_write(path) as temporary, open(temporary, "wb") as file:
        write(file, tensors, {"metadata": text})


def load_tensors(path: str | os.PathLike[str]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors, on the CPU, and the metadata that `save_tensors` wrote.

    Values stay in the file until they are looked at, and the file may be replaced meanwhile. A
    safetensors file from elsewhere has its own metadata, or none: {}.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is truncated or is not safetensors file.
    """
    from safetensors import SafetensorError, safe_open

    check_file(Path(path), "run the step that makes it")
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            facts: dict[str, Any] = file.metadata() or {}
        if "metadata" in facts:
            facts = json.loads(facts["metadata"])
    except (SafetensorError, ValueError) as error:
        raise ValueError(
            f"{path} is truncated or no safetensors file ({error}): delete it and run the step "
            "that makes it again"
        ) from error
    return tensors, facts


def load_into(module: nn.Module, tensors: Mapping[str, Tensor], what: str) -> None:
    """Load a state dict into a module, or nothing at all when it does not fit.

    Args:
        module: keeps its device and dtype.
        tensors: the state dict.
        what: where it comes from, such as its path; the error message opens with it.

    Raises:
        ValueError: missing, unexpected and misshapen keys are counted, and the first named.
    """
    if problems := misfits(module.state_dict(), tensors):
        raise ValueError(
            f"{what} does not fit {type(module).__name__}: {problems}: "
            "pass the architecture and sizes that it was saved with"
        )
    module.load_state_dict(dict(tensors))


def misfits(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> str:
    """Count the keys of a state dict that do not fit and name the first; "" where all is well.

    Missing and unexpected keys, other shapes, and dtypes that would lose more than digits, such as
    complex numbers to real ones. What a module keeps beside its weights, its extra state, is left
    to the module, and so is the shape of a tensor that gets one when it is loaded.
    """
    import torch
    from torch.nn.parameter import is_lazy

    problems = []
    expected, found = (
        {key: x for key, x in state.items() if not key.endswith("_extra_state")}
        for state in (expected, found)
    )
    if missing := sorted(expected.keys() - found.keys()):
        problems.append(f"missing {_first(missing)}")
    if unexpected := sorted(found.keys() - expected.keys()):
        problems.append(f"unexpected {_first(unexpected)}")
    unlike = []
    for key in sorted(expected.keys() & found.keys()):
        if is_lazy(expected[key]):
            continue
        shape, wanted = tuple(found[key].shape), tuple(expected[key].shape)
        if shape != wanted:
            unlike.append(f"{key} is {shape}, expected {wanted}")
        elif not torch.can_cast(found[key].dtype, expected[key].dtype):
            unlike.append(f"{key} is {found[key].dtype}, expected {expected[key].dtype}")
    if more := unlike[NAMED:]:
        unlike[NAMED:] = [f"{len(more)} more of another shape or dtype"]
    return "; ".join([*problems, *unlike])


def _first(keys: list[str]) -> str:
    """All keys where they are few, else their number and the first ones."""
    shown = ", ".join(keys[:NAMED])
    return shown if len(keys) <= NAMED else f"{len(keys)} keys ({shown}, …)"


def _temporary(path: Path) -> Path:
    """Return a name that nobody else has, which says whose it is and ends as the path does."""
    return path.with_name(f".{_HOST}-{os.getpid()}-{secrets.token_hex(4)}.{path.name}")


def _settle(temporary: Path, path: Path) -> None:
    """Move a file to its name, once its bytes are on the disk: not even a power cut halves it."""
    _flush(temporary)
    os.replace(temporary, path)


def _flush(path: Path) -> None:
    """Wait until a file's bytes are on the disk."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def _open_to_others(file: Path, folder: Path) -> None:
    """Let a file be read by those who may read its folder; some writers hide theirs from others."""
    file.chmod(folder.stat().st_mode & 0o666)


def _remove_abandoned(path: Path) -> None:
    """Remove what processes of this machine that were killed had begun to write here."""
    for left in path.parent.glob(f".{_HOST}-*.{glob.escape(path.name)}"):
        pid = left.name.split("-")[1]
        try:
            os.kill(int(pid), 0)
        except ProcessLookupError:
            _remove(left)
        except (ValueError, OSError):  # another file's name, or a process of another user
            continue


def _remove(left: Path) -> None:
    """Remove a file or a folder, which another process may be removing too."""
    if left.is_dir():
        shutil.rmtree(left, ignore_errors=True)
    else:
        left.unlink(missing_ok=True)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn the disk's errors, in whatever words a writer has for them, into one line."""
    try:
        yield
    except Exception as error:
        number = _disk_error(error)
        full = number in (errno.ENOSPC, errno.EDQUOT) or "No space left" in str(error)
        if isinstance(error, WriteError) or not (full or number in _CLOSED):
            raise
        why = "no space is left on its disk" if full else os.strerror(number or 0).lower()
        do = "make room" if full else f"allow writing to {path.parent}"
        raise WriteError(
            f"{path} cannot be written and is left as it was, as {why}: {do}, then run the same "
            "command again"
        ) from error


def _disk_error(error: BaseException | None) -> int | None:
    """Return the number of the system's error, from which a writer may have made one of its own."""
    while error is not None and not (isinstance(error, OSError) and error.errno):
        error = error.__cause__ or error.__context__
    return None if error is None else error.errno
