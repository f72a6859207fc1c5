"""What a result was made from and with, as a file beside it."""

import contextlib
import datetime
import importlib.metadata
import json
import platform
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from equitune.io.files import atomic_write, configuration_hash, sha256
from equitune.run import determinism

PACKAGES = ("equitune", "torch", "torchvision", "transformers", "numpy", "safetensors")

_started = time.monotonic()  # imported as a command begins


def describe(
    output: Path, configuration: Mapping[str, Any], inputs: Iterable[Path], device: object
) -> None:
    """Write a manifest beside a result: evaluation.manifest.json beside evaluation.csv.

    Args:
        output: the result; of several made at once, the first.
        configuration: the settings that decide it, JSON-able.
        inputs: the files that were read.
        device: where it was computed.
    """
    checksums = {str(path): sha256(path) for path in inputs}
    path = output.with_suffix(".manifest.json")
    write_manifest(path, configuration, checksums, device=str(device))


def write_manifest(
    path: Path,
    configuration: Mapping[str, Any],
    inputs: Mapping[str, str] | None = None,
    **facts: Any,
) -> None:
    """Write what a result was made from and with, as JSON.

    To what is given are added the hash of the configuration, the commit, versions of packages, the
    level of determinism, seconds since the process began and the most memory it has held.

    Args:
        path: the file to write, beside the result.
        configuration: the settings that decide the result, JSON-able.
        inputs: the files that were read, by name, with the `sha256` they had then.
        **facts: what only the caller knows, such as device= or train_seconds=.
    """
    manifest = {
        "configuration": dict(configuration),
        "configuration_hash": configuration_hash(configuration),
        "inputs": dict(inputs or {}),
        **facts,
        "determinism": determinism.level(),
        "wall_seconds": time.monotonic() - _started,
        "peak_memory_bytes": _peak_memory(),
        "git": git_state(Path(__file__)),
        "versions": versions(),
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


def versions() -> dict[str, str]:
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
    peak = {}
    with contextlib.suppress(ModuleNotFoundError):  # Windows does not have it
        import resource

        unit = 1 if sys.platform == "darwin" else 1024
        peak["cpu"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        peak["cuda"] = torch.cuda.max_memory_allocated()
    return peak
