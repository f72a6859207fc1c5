"""The optimizer and the learning-rate schedule that the settings of a training name."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from equitune.config import Training

OPTIMIZERS: dict[str, type[torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "sgd": torch.optim.SGD,
}


def make_optimizer(
    parameters: Sequence[nn.Parameter], settings: Training, *, fused: bool = True
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    """Build the optimizer and the learning-rate schedule that the settings name.

    Args:
        parameters: what is trained.
        settings: optimizer, rates and number of steps.
        fused: in one kernel. Not where first steps may be left out, as in float16: fused SGD then
            goes on with a momentum that it never wrote (torch 2.13).
    """
    options: dict[str, Any] = {
        "lr": settings.learning_rate,
        "weight_decay": settings.weight_decay,
        "fused": fused,
    }
    if settings.optimizer == "sgd":
        options["momentum"] = settings.momentum
    else:
        options["betas"] = tuple(settings.betas)
    optimizer = OPTIMIZERS[settings.optimizer](parameters, **options)
    schedules = torch.optim.lr_scheduler
    schedule: torch.optim.lr_scheduler.LRScheduler
    if settings.schedule == "one_cycle":
        steps, warmup = max(settings.steps, 1), settings.warmup
        if steps * warmup == 1:
            warmup *= 1 + 1e-6  # torch divides by the length of a rise, less its first step
        schedule = schedules.OneCycleLR(
            optimizer,
            settings.learning_rate,
            total_steps=steps,
            pct_start=warmup,
            cycle_momentum=False,
        )
    elif settings.schedule == "cosine":
        schedule = schedules.CosineAnnealingLR(optimizer, max(settings.steps, 1))
    else:
        schedule = schedules.ConstantLR(optimizer, factor=1.0)
    return optimizer, schedule
