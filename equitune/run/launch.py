"""A command started as several ranks: `equitune --ranks 2 …`, as torchrun would start it.

The launcher takes GPUs that no other job has before it starts the ranks, one for each, and ends as
they end. Under srun, which starts one launcher on each node, all of them start ranks of one
training.
"""

import logging
import os
import sys
import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING

from equitune.run import devices, interruption, world

if TYPE_CHECKING:
    from torch.distributed.launcher.api import LaunchConfig

CPU = ("cpu", "mps")
PORTS = 20000, 20000  # the first for trainings across nodes, and how many


def launch(arguments: Sequence[str], ranks: int) -> int:
    """Run this command as several ranks, and return its exit code.

    Args:
        arguments: of `equitune`.
        ranks: on this machine.

    Raises:
        ValueError: there are more ranks than GPUs.
    """
    import torch
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import elastic_launch

    if _device(arguments) not in CPU and torch.cuda.is_available():
        names = devices.visible_gpus(torch.cuda.device_count())
        own = devices.own_gpus(names, ranks)
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(names[place] for place in own)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    # a rank that fails says so itself
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    try:
        elastic_launch(_plan(ranks), sys.executable)("-m", "equitune", *arguments)
    except ChildFailedError as error:
        return max(error.get_first_failure()[1].exitcode, 1)
    except SignalException:  # passed on to the ranks, which have kept their state
        return interruption.EXIT_CODE
    return 0


def _plan(ranks: int) -> "LaunchConfig":
    """Return how the ranks find each other."""
    from torch.distributed.launcher.api import LaunchConfig

    several = world.nodes()
    if several == 1:
        return LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=ranks,
            run_id=uuid.uuid4().hex,
            rdzv_backend="c10d",
            rdzv_endpoint="localhost:0",
            local_addr="localhost",
            max_restarts=0,
        )
    job = os.environ["SLURM_JOB_ID"]
    first, many = PORTS
    return LaunchConfig(
        min_nodes=several,
        max_nodes=several,
        nproc_per_node=ranks,
        run_id=job,
        rdzv_backend="static",
        # srun runs on the first node of the job
        rdzv_endpoint=f"{os.environ['SLURM_LAUNCH_NODE_IPADDR']}:{first + int(job) % many}",
        rdzv_configs={"rank": int(os.environ["SLURM_NODEID"]), "timeout": 900},
        max_restarts=0,
    )


def _device(arguments: Sequence[str]) -> str:
    """Return the value of --device, "auto" without one."""
    for place, word in enumerate(arguments):
        name, _, value = word.partition("=")
        if name == "--device":
            return value or next(iter(arguments[place + 1 :]), "")
    return "auto"
