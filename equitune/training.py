"""The one training loop: seeded, resumable, shown; it knows no experiment and no group.

An experiment says what a batch is, what the loss of a batch is and how the validation part is
scored; the loop does the rest. Its whole state is written at intervals, so that a job that was
killed goes on where it was and ends with the same weights as one that was not.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from equitune.config import Training
from equitune.files import atomic_write, configuration_hash
from equitune.progress import Progress

logger = logging.getLogger(__name__)

STATE_VERSION = 2

OPTIMIZERS: dict[str, type[torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "sgd": torch.optim.SGD,
}


@dataclass
class History:
    """What a training run reports of itself.

    Attributes:
        seconds: wall-clock time spent in training steps, validation left out.
        examples: training examples seen, repeats counted.
        validation: step → score on the validation part.
        resumed_at: the step at which the run last resumed, 0 if it never stopped.
        kept: the step whose weights the model ended with: the last, or with patience the best.
    """

    seconds: float = 0.0
    examples: int = 0
    validation: dict[int, float] = field(default_factory=dict)
    resumed_at: int = 0
    kept: int = 0


def seeded(seed: int) -> torch.Generator:
    """Seed torch's global generators (weights, dropout) and return one for the data."""
    torch.manual_seed(seed)
    return torch.Generator().manual_seed(seed)


def choose_device(device: str) -> torch.device:
    """Return the device that the configuration names; "auto" takes a GPU where there is one.

    Raises:
        ValueError: if the device does not exist on this machine.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"device {device!r} is not to be had here: set device: auto") from error
    return chosen


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
        schedule = schedules.OneCycleLR(
            optimizer,
            settings.learning_rate,
            total_steps=max(settings.steps, 1),
            pct_start=settings.warmup,
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
    state: Path | None = None,
) -> History:
    """Train a model for a number of steps, or until it gets no better on the validation part.

    With `settings.patience` the model ends with the weights that scored best on the validation
    part, else with the last ones.

    Args:
        model: the model, on its device; its parameters that require a gradient are trained.
        settings: optimizer, schedule, number of steps and intervals.
        epoch: draws the batches of one pass over the data from a generator: index tensors.
        loss: the scalar training loss of one batch of indices.
        validate: the score on the validation part, higher is better.
        seed: seeds the order of the data and dropout; call `seeded` yourself before making the
            model if its initial weights are to depend on it too.
        label: what progress lines are headed with.
        state: the file that keeps the run's state, named by `state_path`; None: the run cannot be
            resumed. It is left in place: `finish` removes it once the result has been written.

    Returns:
        The history of the run.

    Raises:
        ValueError: if the loss is not finite (the message says at which step).
    """
    generator = seeded(seed)
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer, schedule = make_optimizer(parameters, settings)
    run = _Run(model, optimizer, schedule, generator, History())
    run.resume(state)
    history, batches = run.history, list[Tensor]()
    started = saved = time.monotonic()
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
            value = loss(batch)
            optimizer.zero_grad(set_to_none=True)
            value.backward()  # type: ignore[no-untyped-call]
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
                history.validation[run.step] = validate()
                if settings.patience and run.best_step() == run.step:
                    run.best = {k: x.detach().cpu().clone() for k, x in model.state_dict().items()}
                model.train()
                started += time.monotonic() - pause  # training time only
                progress.note(validation=history.validation[run.step])
            progress.note(loss=value.detach())
            progress.advance(run.step)
            if state and time.monotonic() - saved >= settings.save_seconds:
                if not batches:
                    run.epoch_state = generator.get_state()
                run.save(state)
                saved = time.monotonic()
    history.kept = run.step
    if run.best is not None:
        model.load_state_dict(run.best)
        history.kept = run.best_step()
    model.eval()
    return history


def state_path(folder: Path | None, settings: Training, key: dict[str, Any]) -> Path | None:
    """Return the state file of a run, named by a hash of all that decides its result.

    Args:
        folder: where states stand; None: no state is kept.
        settings: of the training.
        key: all that decides the result besides, seed and checksums of the inputs included.
    """
    if folder is None:
        return None
    facts = {"version": STATE_VERSION, "training": asdict(settings), "key": key}
    return folder / f"{configuration_hash(facts)}.pt"


def finish(state: Path | None) -> None:
    """Remove the state of a run whose result has been written."""
    if state is not None:
        state.unlink(missing_ok=True)


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

    def save(self, path: Path) -> None:
        """Write the state atomically."""
        path.parent.mkdir(parents=True, exist_ok=True)
        state = {
            "version": STATE_VERSION,
            "step": self.step,
            "position": self.position,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "epoch": self.epoch_state,
            "best": self.best,
            "random": torch.get_rng_state(),
            "random_cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
            "history": asdict(self.history),
        }
        with atomic_write(path) as temporary:
            torch.save(state, temporary)

    def resume(self, path: Path | None) -> None:
        """Take up the state if there is one; one that cannot be read starts the run afresh."""
        if path is None or not path.exists():
            return
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            version = state["version"]
        except Exception as error:  # a truncated or foreign file raises what it likes
            reason = str(error).partition("\n")[0]
            logger.warning("%s is no readable state (%s): training starts afresh", path, reason)
            return
        if version != STATE_VERSION:
            logger.warning("%s is a state of version %s: training starts afresh", path, version)
            return
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.step, self.position = state["step"], state["position"]
        self.epoch_state, self.best = state["epoch"], state["best"]
        self.generator.set_state(state["epoch"])
        torch.set_rng_state(state["random"])
        if torch.cuda.is_available() and state["random_cuda"]:
            torch.cuda.set_rng_state_all(state["random_cuda"])
        self.history = History(**state["history"])
        self.history.resumed_at = self.step
        logger.info("resumed at step %d", self.step)
