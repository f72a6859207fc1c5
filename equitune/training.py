"""The one training loop: seeded, resumable, shown; it knows no experiment and no group.

An experiment says what a batch is, what the loss of a batch is and how the validation part is
scored; the loop does the rest. Its whole state is written at intervals, so that a job that was
killed goes on where it was and ends with the same weights as one that was not.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from equitune import interruption
from equitune.config import Training
from equitune.determinism import random_states, restore_random_states, seeded
from equitune.interruption import Interrupted
from equitune.memory import chunk_sizes, relieved, set_chunk_sizes
from equitune.progress import Progress
from equitune.states import State

logger = logging.getLogger(__name__)

OPTIMIZERS: dict[str, type[torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "sgd": torch.optim.SGD,
}


@dataclass
class History:
    """What a training run reports of itself.

    Attributes:
        seconds: wall-clock time spent in training steps, validation and saving left out.
        state_seconds: wall-clock time spent in writing the state.
        examples: training examples seen, repeats counted.
        validation: step → score on the validation part.
        resumed_at: the step at which the run last resumed, 0 if it never stopped.
        kept: the step whose weights the model ended with: the last, or with patience the best.
    """

    seconds: float = 0.0
    state_seconds: float = 0.0
    examples: int = 0
    validation: dict[int, float] = field(default_factory=dict)
    resumed_at: int = 0
    kept: int = 0


def make_optimizer(
    parameters: Sequence[nn.Parameter], settings: Training
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    """Build the optimizer and the learning-rate schedule that the settings name."""
    options: dict[str, Any] = {
        "lr": settings.learning_rate,
        "weight_decay": settings.weight_decay,
        "fused": True,
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


def fit(
    model: nn.Module,
    settings: Training,
    *,
    epoch: Callable[[torch.Generator], Sequence[Tensor]],
    loss: Callable[[Tensor], Tensor],
    validate: Callable[[], float],
    seed: int,
    label: str = "training",
    state: State | None = None,
) -> History:
    """Train a model for a number of steps, or until it gets no better on the validation part.

    With `settings.patience` the model ends with the weights that scored best on the validation
    part, else with the last ones. Where a GPU's memory runs out, the step is done again with half
    the `chunk_size` of what is equi-tuned.

    Args:
        model: the model, on its device; its parameters that require a gradient are trained.
        settings: optimizer, schedule, number of steps and intervals.
        epoch: draws the batches of one pass over the data from a generator: index tensors.
        loss: the scalar training loss of one batch of indices.
        validate: the score on the validation part, higher is better.
        seed: seeds the order of the data and dropout; call `seeded` yourself before making the
            model if its initial weights are to depend on it too.
        label: what progress lines are headed with.
        state: keeps what the run needs to go on; None: it cannot be resumed. It is left in place:
            remove it once the result has been written.

    Returns:
        The history of the run.

    Raises:
        ValueError: the loss is not finite (the message says at which step).
        MemoryError: a GPU's memory is too small for one copy of the orbit at a time.
        Interrupted: the process is to stop; the state has been written.
    """
    generator = seeded(seed)
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer, schedule = make_optimizer(parameters, settings)
    run = _Run(model, optimizer, schedule, generator, History())
    run.resume(state.load() if state else None)
    history, batches = run.history, list[Tensor]()
    began = started = saved = time.monotonic()
    cost = 0.0  # of the last save, in seconds
    before = history.seconds
    model.train()
    with Progress(label, settings.steps, start=run.step) as progress:
        while run.step < settings.steps and not run.exhausted(settings.patience):
            if not batches:
                run.epoch_state = generator.get_state()
                batches = list(epoch(generator))[run.position :]
                if not batches:
                    run.position = 0
                    continue
            batch = batches.pop(0)
            value = relieved(model, partial(_gradients, optimizer, loss, batch))
            if settings.gradient_clip:
                nn.utils.clip_grad_norm_(parameters, settings.gradient_clip)
            optimizer.step()
            schedule.step()
            run.step += 1
            run.position = run.position + 1 if batches else 0
            history.examples += len(batch)
            history.seconds = before + time.monotonic() - started
            due = settings.validate_every and run.step % settings.validate_every == 0
            if due or run.step == settings.steps:
                number = float(value.detach())
                if number != number or number in (float("inf"), float("-inf")):
                    raise ValueError(
                        f"{label}: the loss is {number} at step {run.step}: "
                        "lower learning_rate or set gradient_clip"
                    )
                pause = time.monotonic()
                model.eval()
                history.validation[run.step] = relieved(model, validate)
                if settings.patience and run.best_step() == run.step:
                    run.best = {k: x.detach().cpu().clone() for k, x in model.state_dict().items()}
                model.train()
                started += time.monotonic() - pause  # training time only
                progress.note(validation=history.validation[run.step])
            progress.note(loss=value.detach())
            progress.advance(run.step)
            stop = interruption.reason() if run.step < settings.steps else None
            unsaved = time.monotonic() - saved
            if state and (stop or unsaved >= _interval(settings, saved - began, cost)):
                if not batches:
                    run.epoch_state = generator.get_state()
                pause = time.monotonic()
                state.save(run.content())
                saved = time.monotonic()
                cost = saved - pause
                history.state_seconds += cost
                started += cost
            if stop:
                kept = "the same command goes on from there" if state else "nothing of it is kept"
                raise Interrupted(
                    f"{label}: {stop}, at step {run.step} of {settings.steps}: {kept}"
                )
    history.kept = run.step
    if run.best is not None:
        model.load_state_dict(run.best)
        history.kept = run.best_step()
    model.eval()
    return history


def _interval(settings: Training, trained: float, cost: float) -> float:
    """Return the seconds to the next save, at most `save_seconds`.

    They double, so that a process that is killed early has lost half its work at most, and a run
    gets on however often it is killed; but a save that takes long is not repeated soon.

    Args:
        settings: of the training.
        trained: seconds of this process's training that have been saved.
        cost: seconds that the last save took.
    """
    return min(max(trained, settings.save_seconds / 8, 40 * cost), settings.save_seconds)


def _gradients(
    optimizer: torch.optim.Optimizer, loss: Callable[[Tensor], Tensor], batch: Tensor
) -> Tensor:
    """Compute the gradients of a batch's loss, and return the loss."""
    optimizer.zero_grad(set_to_none=True)
    value = loss(batch)
    value.backward()  # type: ignore[no-untyped-call]
    return value


@dataclass
class _Run:
    """All that changes while training, so all that a resumed run needs."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    generator: torch.Generator
    history: History
    step: int = 0
    position: int = 0  # batches of the current epoch already used
    epoch_state: Tensor | None = None  # the generator's state at the start of that epoch
    best: dict[str, Tensor] | None = None  # the weights of the best validation, with patience

    def best_step(self) -> int:
        """Return the step of the best validation so far, the first of equals."""
        scores = self.history.validation
        return max(scores, key=scores.__getitem__)

    def exhausted(self, patience: int) -> bool:
        """Say whether the last `patience` validations brought nothing better; never if it is 0."""
        steps = list(self.history.validation)
        return 0 < patience < len(steps) - steps.index(self.best_step()) if steps else False

    def content(self) -> dict[str, Any]:
        """Return all that `resume` needs."""
        return {
            "step": self.step,
            "position": self.position,
            "model": self.model.state_dict(),
            "chunk_sizes": chunk_sizes(self.model),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "epoch": self.epoch_state,
            "best": self.best,
            "random": random_states(),
            "history": asdict(self.history),
        }

    def resume(self, content: dict[str, Any] | None) -> None:
        """Take up what `content` returned; None: start afresh."""
        if content is None:
            return
        self.model.load_state_dict(content["model"])
        set_chunk_sizes(self.model, content["chunk_sizes"])
        self.optimizer.load_state_dict(content["optimizer"])
        self.schedule.load_state_dict(content["schedule"])
        self.step, self.position = content["step"], content["position"]
        self.epoch_state, self.best = content["epoch"], content["best"]
        self.generator.set_state(content["epoch"])
        restore_random_states(content["random"])
        self.history = History(**content["history"])
        self.history.resumed_at = self.step
        logger.info("resumed at step %d", self.step)
