"""How far two runs agree, and every random generator that a run draws from.

torch and NumPy are imported where they are used, as the command line imports this module too.
"""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import torch

Level = Literal["fast", "seeded", "bitwise"]

_level: Level = "seeded"


def choose(level: Level) -> None:
    """Say how far two runs of one configuration must agree.

    Args:
        level: "fast": statistically; on a GPU kernels are chosen by trial, and matrix products may
            be rounded to TensorFloat-32. "seeded": every random draw is the same, and on a CPU
            every bit; on a GPU sums may be taken in another order. "bitwise": every bit on a GPU
            too; an operation that cannot is an error that names it.
    """
    global _level
    _level = level
    if level == "bitwise":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when CUDA starts


def level() -> Level:
    """Return the level that was chosen, for the record."""
    return _level


def apply() -> None:
    """Set torch up for the level, with one thread: numbers do not depend on the number of cores."""
    import torch

    torch.set_num_threads(1)
    torch.set_float32_matmul_precision("high" if _level == "fast" else "highest")
    torch.backends.cudnn.benchmark = _level == "fast"
    bitwise = _level == "bitwise"
    if (
        torch.are_deterministic_algorithms_enabled() != bitwise
    ):  # to set it imports torch's compiler
        torch.use_deterministic_algorithms(bitwise)


def seeded(seed: int) -> torch.Generator:
    """Seed all global generators (weights, dropout, augmentation); return one for the data."""
    import numpy as np
    import torch

    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
    return torch.Generator().manual_seed(seed)


def random_states() -> dict[str, Any]:
    """Return the states of all global generators, as `torch.load(weights_only=True)` takes them."""
    import numpy as np
    import torch

    numpy = np.random.get_state(legacy=False)
    assert isinstance(numpy, dict)
    numpy["state"]["key"] = torch.from_numpy(numpy["state"]["key"].astype(np.int64))
    return {
        "python": random.getstate(),
        "numpy": numpy,
        "cpu": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "mps": torch.mps.get_rng_state() if torch.backends.mps.is_available() else None,
    }


def restore_random_states(states: dict[str, Any]) -> None:
    """Put all global generators back to where `random_states` found them."""
    import numpy as np
    import torch

    random.setstate(states["python"])
    numpy = states["numpy"]
    key = numpy["state"]["key"].numpy().astype(np.uint32)
    np.random.set_state(numpy | {"state": numpy["state"] | {"key": key}})
    torch.set_rng_state(states["cpu"])
    if len(states["cuda"]) == torch.cuda.device_count() and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(states["cuda"])
    if states["mps"] is not None and torch.backends.mps.is_available():
        torch.mps.set_rng_state(states["mps"])
