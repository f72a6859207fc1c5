"""Where to compute: the device that a configuration names, of several GPUs one's own.

It knows no model.

Snakemake counts GPUs but does not say which one a job gets. So each process takes the first that
no other has, by a lock on a small file that the system drops when the process ends, however it
ends. Inside a job of a scheduler that hands out GPUs itself its choice stands.
"""

import fcntl
import logging
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import torch

from equitune import determinism

logger = logging.getLogger(__name__)

SCHEDULERS = ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "JOB_ID")  # set where one hands out GPUs
POLL_SECONDS = 1.0

_held: tuple[int, IO[bytes]] | None = None  # this process's GPU and the file it keeps locked


def prepare(device: str) -> torch.device:
    """Set torch up as the level of determinism asks, and return the device to compute on.

    Args:
        device: "auto": a GPU where there is one, else the CPU; "cpu", "mps"; "cuda": a GPU that no
            other process of this project has; "cuda:N": that one, whoever uses it.

    Raises:
        ValueError: the device does not exist on this machine.
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
        raise ValueError(f"device {device!r} is not to be had here: set device: auto") from error
    if chosen.type == "cuda" and chosen.index is None:
        chosen = torch.device("cuda", own_gpu(visible_gpus(torch.cuda.device_count())))
        torch.cuda.set_device(chosen)
    return chosen


def visible_gpus(count: int) -> list[str]:
    """Return a name for each GPU that this process sees, the same in processes that see others.

    Args:
        count: how many torch sees.
    """
    named = os.environ.get("CUDA_VISIBLE_DEVICES", "").replace(" ", "")
    names = [name for name in named.split(",") if name]
    return names[:count] if len(names) >= count else [str(place) for place in range(count)]


def own_gpu(names: Sequence[str], folder: Path | None = None) -> int:
    """Return the place of a GPU that no other process has, and keep it until this process ends.

    Waits while all are taken. A process that has one gets the same again.

    Args:
        names: of the GPUs, in the order in which torch counts them.
        folder: where the lock files stand, the same for all processes; None: in the temporary one.
    """
    global _held
    if any(name in os.environ for name in SCHEDULERS):
        return 0
    if _held is not None:
        return _held[0]
    folder = folder or Path(tempfile.gettempdir()) / f"equitune-gpus-{os.getuid()}"
    folder.mkdir(parents=True, exist_ok=True)
    waiting = False
    while True:
        for place, name in enumerate(names):
            file = open(folder / f"{name.replace('/', '_')}.lock", "wb")  # noqa: SIM115
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.close()
                continue
            _held = place, file
            return place
        if not waiting:
            logger.info("all %d GPUs have a job: waiting for one to end", len(names))
            waiting = True
        time.sleep(POLL_SECONDS)
