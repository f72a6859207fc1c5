"""What must hold on real CUDA besides speed: a resumed training, a lock, fewer copies at once."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from equitune.actions import Rotate90, Trivial
from equitune.config import Training
from equitune.run.checkpoint import state_of
from equitune.run.loop import Objective, fit
from equitune.run.memory import relieved
from equitune.symmetrize import EquiTuned

PLAN = Training(steps=6, batch_size=4, learning_rate=1e-2)
OTHER = """
from equitune.run import devices
print(devices.prepare("cuda").index)
"""
SECONDS = 20  # after which a process that waits for a GPU is said to wait


def _network(device: torch.device) -> EquiTuned:
    torch.manual_seed(0)
    rotate = Rotate90()
    layers = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Dropout(0.5), nn.Flatten(), nn.LazyLinear(2))
    layers(torch.zeros(1, 3, 8, 8))
    return EquiTuned(layers, rotate, Trivial(rotate.group)).to(device)


def resume(device: torch.device, folder: Path) -> bool:
    """Say whether a training that was stopped ends with the weights of one that was not."""
    draw = torch.Generator().manual_seed(0)
    x = torch.rand(16, 3, 8, 8, generator=draw).to(device)

    def trained(stop: int | None, states: Path | None) -> EquiTuned:
        model, seen = _network(device), [0]

        def loss(rows: torch.Tensor) -> torch.Tensor:
            seen[0] += 1
            if stop is not None and seen[0] > stop:
                raise KeyboardInterrupt
            value: torch.Tensor = model(x[rows.to(device)]).square().mean()
            return value

        plan = Training(**{**vars(PLAN), "save_seconds": 0.0})
        objective = Objective(
            epoch=lambda generator: torch.randperm(16, generator=generator).split(4),
            loss=loss,
            validate=lambda: 0.0,
        )
        state = state_of(states, folder / "model.safetensors", {})
        fit(model, plan, objective, seed=0, state=state)
        return model

    whole = trained(None, None)
    try:
        trained(3, folder / "states")
    except KeyboardInterrupt:
        again = trained(None, folder / "states")
        pairs = zip(whole.parameters(), again.parameters(), strict=True)
        return all(torch.allclose(a, b, atol=1e-6) for a, b in pairs)
    return False


def lock(device: torch.device, folder: Path) -> bool:
    """Say whether another process takes another GPU, or waits where there is none."""
    code = [sys.executable, "-c", OTHER]
    try:
        done = subprocess.run(code, capture_output=True, text=True, timeout=SECONDS, check=True)
    except subprocess.TimeoutExpired:  # it waits for this process to end
        return torch.cuda.device_count() == 1
    return int(done.stdout) != device.index


def halving(device: torch.device, folder: Path) -> bool:
    """Say whether a step that does not fit is done with fewer copies, and has their values."""
    model = _network(device).eval()
    few, whole = torch.rand(4, 3, 8, 8, device=device), torch.cuda.mem_get_info(device)[1]
    expected, rows = model(few), 4096
    try:
        torch.cuda.empty_cache()
        held = torch.cuda.memory_allocated(device)
        one_copy = rows * 8 * 6 * 6 * 4 * 4  # bytes of a copy's activations, and room
        torch.cuda.set_per_process_memory_fraction(min((held + 3 * one_copy) / whole, 1.0), device)
        many = torch.rand(rows, 3, 8, 8, device=device)
        relieved(model, lambda: model(many).sum().backward())
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, device)
    smaller = model.chunk_size is not None
    return smaller and torch.allclose(model(few), expected, atol=1e-5)


CHECKS: dict[str, Callable[[torch.device, Path], bool]] = {
    each.__name__: each for each in (resume, lock, halving)
}
