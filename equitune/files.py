"""Files written whole and read with care, for every experiment; knows no experiment and no group.

torch is imported where tensors are handled, as the steps that handle none start faster without.
"""

from __future__ import annotations

import datetime
import hashlib
import importlib.metadata
import json
import os
import platform
import resource
import secrets
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn

PACKAGES = ("equitune", "torch", "torchvision", "transformers", "numpy", "safetensors")


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path in the same folder; what is written there appears at once or never.

    Args:
        path: the file to write or to replace; its folder is made if it does not exist.

    Yields:
        A path that does not exist yet and ends as `path` does, for writers that go by the suffix.
        It is moved to `path` when the block ends, and removed when the block fails.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{secrets.token_hex(4)}.{path.name}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


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
    tensors: Mapping[str, Tensor],
    metadata: Mapping[str, Any] | None = None,
) -> None:
    """Write tensors and JSON-able metadata as safetensors: atomic, the same bytes every time.

    Args:
        path: the file to write.
        tensors: tensors of any device by name; those that share memory are stored separately.
        metadata: facts that `load_tensors` gives back.
    """
    import torch
    from safetensors.torch import save

    # one key: safetensors writes several in an order that changes from call to call
    text = json.dumps(metadata or {}, sort_keys=True, allow_nan=False)
    copies = {
        name: tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
        for name, tensor in tensors.items()
    }
    data = save(copies, {"metadata": text})
    with atomic_write(path) as temporary:
        temporary.write_bytes(data)


def load_tensors(path: str | os.PathLike[str]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors, on the CPU, and the metadata that `save_tensors` wrote.

    A safetensors file from elsewhere has its own metadata, or none: {}.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is truncated or is no safetensors file.
    """
    from safetensors import SafetensorError, safe_open

    if not Path(path).is_file():
        raise FileNotFoundError(f"{path} does not exist: run the step that makes it")
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
        ValueError: every missing, unexpected and misshapen key is named.
    """
    if problems := misfits(module.state_dict(), tensors):
        raise ValueError(
            f"{what} does not fit {type(module).__name__}: {problems}: "
            "pass the architecture and sizes that it was saved with"
        )
    module.load_state_dict(dict(tensors))


def misfits(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> str:
    """Name every missing, unexpected and misshapen key of a state dict; "" where all is well."""
    problems = []
    if missing := sorted(expected.keys() - found.keys()):
        problems.append(f"missing {', '.join(missing)}")
    if unexpected := sorted(found.keys() - expected.keys()):
        problems.append(f"unexpected {', '.join(unexpected)}")
    for key in sorted(expected.keys() & found.keys()):
        shape, wanted = tuple(found[key].shape), tuple(expected[key].shape)
        if shape != wanted:
            problems.append(f"{key} is {shape}, expected {wanted}")
    return "; ".join(problems)


def write_manifest(
    path: str | os.PathLike[str],
    configuration: Mapping[str, Any],
    inputs: Mapping[str, str] | None = None,
    **facts: Any,
) -> None:
    """Write what a result was made from and with, as JSON.

    Args:
        path: the file to write, beside the result.
        configuration: the settings that decide the result, JSON-able.
        inputs: the files that were read, by name, with the `sha256` they had then.
        **facts: what only the caller knows, such as seed=, device=, wall_seconds=.
    """
    manifest = {
        "configuration": dict(configuration),
        "configuration_hash": configuration_hash(configuration),
        "inputs": dict(inputs or {}),
        **facts,
        "peak_memory_bytes": _peak_memory(),
        "git": git_state(Path(__file__)),
        "versions": _versions(),
        "machine": f"{platform.system()} {platform.machine()}",
        "written": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }
    text = json.dumps(manifest, indent=2, ensure_ascii=False, allow_nan=False)
    with atomic_write(path) as temporary:
        temporary.write_text(f"{text}\n", encoding="utf-8")


def git_state(file: Path) -> dict[str, Any] | None:
    """Return the commit that a tracked file stands at, and whether its repository has changes.

    Returns:
        {"commit": …, "dirty": …}, or None where git does not track the file.
    """

    def git(*arguments: str) -> str:
        command = ["git", "--no-optional-locks", *arguments]
        return subprocess.run(
            command, cwd=file.parent, capture_output=True, text=True, check=True
        ).stdout

    try:
        # an installed package may stand inside a repository that is not its own
        git("ls-files", "--error-unmatch", file.name)
        commit = git("rev-parse", "HEAD").strip()
        changes = git("status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):
        return None
    return {"commit": commit, "dirty": bool(changes.strip())}


def _versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that are installed, without imports."""
    versions = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def _peak_memory() -> dict[str, int]:
    """Return the most memory, in bytes, that this process has held, and on a GPU if one is used."""
    unit = 1 if sys.platform == "darwin" else 1024
    peak = {"cpu": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit}
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        peak["cuda"] = torch.cuda.max_memory_allocated()
    return peak
