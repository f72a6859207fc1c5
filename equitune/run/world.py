"""Which rank this process is, as its launcher says in the environment. Imports no torch."""

import os
import sys


def count() -> int:
    """Return how many ranks train together; 1 without a launcher."""
    return int(os.environ.get("WORLD_SIZE", "1")) if "RANK" in os.environ else 1


def place() -> int:
    """Return this rank's number, from 0."""
    return int(os.environ["RANK"]) if count() > 1 else 0


def local_count() -> int:
    """Return how many of the ranks are on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", str(count())))


def local_place() -> int:
    """Return this rank's number among those on this machine, from 0."""
    return int(os.environ.get("LOCAL_RANK", "0")) if count() > 1 else 0


def nodes() -> int:
    """Return on how many nodes srun has started this command; 1 without srun."""
    return int(os.environ.get("SLURM_STEP_NUM_NODES", "1"))


def leave() -> None:
    """Part from the other ranks when all have finished; nothing for one process.

    A process that just ends while its threads still wait for the others is aborted now and then.
    """
    distributed = sys.modules.get("torch.distributed")
    if count() > 1 and distributed is not None and distributed.is_initialized():
        distributed.barrier()
        distributed.destroy_process_group()
