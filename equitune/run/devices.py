"""Where to compute: the device that a configuration names, and some GPUs of several.

Snakemake counts GPUs but does not say which ones a job gets. So each job takes the first that no
other has, by locks on small files that the system releases when the process ends, however it ends.
Inside a job of a scheduler that hands out GPUs itself its choice stands. The ranks of one training
share the GPUs that their launcher sees, one each.
"""

import getpass
import logging
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from filelock import FileLock, Timeout

from equitune.run import determinism, world

logger = logging.getLogger(__name__)

SCHEDULERS = ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "JOB_ID")  # set where one hands out GPUs
POLL_SECONDS = 1.0

_held: dict[int, FileLock] = {}  # this process's GPUs, by their places, and their locks


def prepare(device: str) -> torch.device:
    """Set torch up as the level of determinism asks, and return the device to compute on.

    Args:
        device: "auto": a GPU where there is one, else the CPU; "cpu", "mps"; "cuda": a GPU that no
            other process of this project has; "cuda:N": that one, whoever uses it. A rank takes
            the GPU of its number on this machine.

    Raises:
        ValueError: the device does not exist on this machine, or is not enough for the ranks.
    """
    determinism.apply()
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        chosen = torch.device(device)
        torch.empty(0, device="cpu" if chosen.type == "cuda" and chosen.index is None else chosen)
        if chosen.type == "cuda" and not torch.cuda.is_available():
            raise RuntimeError("no GPU")
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"device {device!r} is not available here: set device: auto") from error
    if chosen.type == "cuda" and world.count() > 1:
        chosen = torch.device("cuda", ranks_gpu(chosen, torch.cuda.device_count()))
        torch.cuda.set_device(chosen)
    elif chosen.type == "cuda" and chosen.index is None:
        chosen = torch.device("cuda", own_gpus(visible_gpus(torch.cuda.device_count()))[0])
        torch.cuda.set_device(chosen)
    return chosen


def ranks_gpu(device: torch.device, count: int) -> int:
    """Return the place of the GPU of this rank, by its number on this machine.

    Args:
        device: what was asked for.
        count: GPUs that this process sees.

    Raises:
        ValueError: there are more ranks than GPUs, or one GPU is named for all.
    """
    here = world.local_count()
    if device.index is not None:
        raise ValueError(
            f"device is {str(device)!r}, one GPU for {here} ranks: expected cuda or auto"
        )
    check_enough(here, count)
    return world.local_place()


def check_enough(wanted: int, count: int) -> None:
    """Refuse more ranks than GPUs.

    Raises:
        ValueError: there are too few GPUs.
    """
    if wanted > count:
        raise ValueError(
            f"{wanted} ranks on this machine but {count} GPUs: start {count} ranks or fewer (set "
            "gpus_per_job), or set device: cpu"
        )


def visible_gpus(count: int) -> list[str]:
    """Return a name for each GPU that this process sees, the same in processes that see others.

    Args:
        count: how many torch sees.
    """
    named = os.environ.get("CUDA_VISIBLE_DEVICES", "").replace(" ", "")
    names = [name for name in named.split(",") if name]
    return names[:count] if len(names) >= count else [str(place) for place in range(count)]


def own_gpus(names: Sequence[str], wanted: int = 1, folder: Path | None = None) -> list[int]:
    """Return the places of GPUs that no other process has, and keep them until this process ends.

    Waits until there are enough, and holds none meanwhile: two that wait for each other's would
    wait for ever. A process that has some gets the same again.

    Args:
        names: of the GPUs, in the order in which torch counts them.
        wanted: how many.
        folder: where the lock files stand, the same for all processes; None: in the temporary one.

    Raises:
        ValueError: there are fewer than wanted.
    """
    check_enough(wanted, len(names))
    if any(name in os.environ for name in SCHEDULERS):
        return list(range(wanted))
    if len(_held) >= wanted:
        return list(_held)[:wanted]
    user = getattr(os, "getuid", getpass.getuser)()  # Windows has names alone, containers numbers
    folder = folder or Path(tempfile.gettempdir()) / f"equitune-gpus-{user}"
    folder.mkdir(parents=True, exist_ok=True)
    waiting = False
    while True:
        free = _locked(names, wanted, folder)
        if len(free) == wanted:
            _held.update(free)
            return list(free)
        for lock in free.values():
            lock.release()
        if not waiting:
            busy = len(names) - len(free)
            logger.info("%d of %d GPUs have a job: waiting for one to end", busy, len(names))
            waiting = True
        time.sleep(POLL_SECONDS)


def _locked(names: Sequence[str], wanted: int, folder: Path) -> dict[int, FileLock]:
    """Return as many locks as are wanted, or all that are free, by the places of their GPUs."""
    free: dict[int, FileLock] = {}
    for place, name in enumerate(names):
        lock = FileLock(folder / f"{name.replace('/', '_')}.lock")
        try:
            lock.acquire(blocking=False)
        except Timeout:
            continue
        free[place] = lock
        if len(free) == wanted:
            break
    return free
