"""The one training loop: seeded, resumable, shown.

An experiment says what a batch is, what the loss of a batch is and how the validation part is
scored; the loop does the rest. Its whole state is written at intervals, so that a job that was
killed goes on where it was and ends with the same weights as one that was not.
"""

import logging
import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from equitune.config import Training
from equitune.run import interruption
from equitune.run.checkpoint import State
from equitune.run.clock import Clock
from equitune.run.determinism import random_states, restore_random_states, seeded
from equitune.run.interruption import Interrupted
from equitune.run.memory import chunk_sizes, relieved, set_chunk_sizes
from equitune.run.optimizers import make_optimizer
from equitune.run.precision import Updates
from equitune.run.progress import Progress
from equitune.run.ranks import Ranks, check_ranks, connect, divide, gradients

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Objective:
    """What a model is trained for.

    Attributes:
        epoch: draws the batches of one pass over the data from a generator: index tensors.
        loss: the scalar training loss of some indices, a mean.
        validate: the score on the validation part, higher is better.
        terms: how many terms the mean loss of some indices is taken over; None: one each. The
            parts of a batch are weighted by it.
        precision: "float32", or by autocast "bfloat16" or "float16".
    """

    epoch: Callable[[torch.Generator], Sequence[Tensor]]
    loss: Callable[[Tensor], Tensor]
    validate: Callable[[], float]
    terms: Callable[[Tensor], float] | None = None
    precision: str = "float32"


@dataclass
class History:
    """What a training run reports of itself.

    Attributes:
        seconds: wall-clock time spent in training steps, validation and saving left out.
        state_seconds: wall-clock time spent in writing the state.
        examples: training examples seen, repeats counted.
        validation: step → score on the validation part.
        loss: step → loss of the batch before each validation.
        resumed_at: the step at which the run last resumed, 0 if it never stopped.
        kept: the step whose weights the model ended with: the last, or with patience the best.
    """

    seconds: float = 0.0
    state_seconds: float = 0.0
    examples: int = 0
    validation: dict[int, float] = field(default_factory=dict)
    loss: dict[int, float] = field(default_factory=dict)
    resumed_at: int = 0
    kept: int = 0


def fit(
    model: nn.Module,
    settings: Training,
    objective: Objective,
    *,
    seed: int,
    label: str = "training",
    state: State | None = None,
    ranks: Ranks | None = None,
) -> History:
    """Train a model for a number of steps, or until it gets no better on the validation part.

    With `settings.patience` the model ends with the weights that scored best on the validation
    part, else with the last ones. Where a GPU's memory runs out, the step of a single process is
    done again with half the `chunk_size` of what is equi-tuned.

    Several ranks take the steps that one process would take: the loss of a batch is that of all
    its rows, whoever computes them, and all ranks end with the same weights. Dropout and
    augmentation draw from a generator of each rank's own.

    Args:
        model: the model, on its device; its parameters that require a gradient are trained.
        settings: optimizer, schedule, number of steps and intervals.
        objective: batches, loss and score; the same on every rank.
        seed: seeds the order of the data and dropout; call `seeded` yourself before making the
            model if its initial weights are to depend on it too.
        label: what progress lines are headed with.
        state: keeps what the run needs to go on; None: it cannot be resumed. It is left in place:
            remove it once the result has been written.
        ranks: the processes that train together; None: those that the launcher started.

    Returns:
        The history of the run.

    Raises:
        ValueError: the loss is not finite (the message says at which step), or a batch has fewer
            rows than ranks.
        MemoryError: a GPU's memory is too small for one copy of the orbit at a time.
        Interrupted: the process is to stop; the state has been written.
    """
    generator = seeded(seed)
    parameters = [p for p in model.parameters() if p.requires_grad]
    ranks = connect(parameters[0].device, settings.shard) if ranks is None else ranks
    check_ranks(settings, objective.precision)
    if ranks.place:
        torch.manual_seed(seed + (ranks.place << 32))
    content = ranks.first(state.load) if state else None
    if content is not None:
        model.load_state_dict(content["model"])
    step = ranks.joined(model)
    run = _Run(model, settings, objective, generator, ranks)  # after the weights are divided
    run.resume(content)
    clock = Clock(run.history)
    model.train()
    with Progress(label, settings.steps, start=run.step) as progress:
        while run.step < settings.steps and not run.exhausted():
            loss = ranks.total(run.take(step))
            clock.tick()
            due = settings.validate_every and run.step % settings.validate_every == 0
            if due or run.step == settings.steps:
                run.history.loss[run.step] = _finite(float(loss), label, run.step)
                with clock.paused():
                    run.score(step)
                progress.note(validation=run.history.validation[run.step])
            progress.note(loss=loss)
            progress.advance(run.step)
            stop = interruption.reason() if run.step < settings.steps else None
            stop, save = ranks.agree(stop, state is not None and clock.save_is_due(settings))
            if state and (stop or save):
                with clock.saving():
                    ranks.first(partial(state.save, run.content()))
            if stop:
                kept = "the same command goes on from there" if state else "nothing of it is kept"
                raise Interrupted(
                    f"{label}: {stop}, at step {run.step} of {settings.steps}: {kept}"
                )
    run.finish()
    return run.history


def _finite(loss: float, label: str, step: int) -> float:
    """Return a loss, or raise a ValueError if it is not finite."""
    if not math.isfinite(loss):
        raise ValueError(
            f"{label}: the loss is {loss} at step {step}: lower learning_rate or set gradient_clip"
        )
    return loss


class _Run:
    """All that changes while training, so all that a resumed run needs."""

    def __init__(
        self,
        model: nn.Module,
        settings: Training,
        objective: Objective,
        generator: torch.Generator,
        ranks: Ranks,
    ) -> None:
        """Begin, with an optimizer of the weights that are trained."""
        self.model, self.settings, self.objective = model, settings, objective
        self.generator, self.ranks = generator, ranks
        parameters = [p for p in model.parameters() if p.requires_grad]
        # torch has no fused SGD of divided weights
        whole = not (settings.shard and ranks.count > 1)
        fused = objective.precision != "float16" and (whole or settings.optimizer != "sgd")
        optimizer, self.schedule = make_optimizer(parameters, settings, fused=fused)
        self.updates = Updates(
            optimizer,
            parameters,
            settings.gradient_clip,
            device=parameters[0].device,
            precision=objective.precision,
        )
        self.history = History()
        self.step = 0
        self.position = 0  # batches of the current epoch already used
        self.epoch_state: Tensor | None = None  # the generator's state at the start of that epoch
        self.best: dict[str, Tensor] | None = None  # weights of the best validation, with patience
        # of the current epoch, not yet used; a list would move all that are left at every step
        self.batches: deque[Tensor] = deque()

    def next_batch(self) -> Tensor:
        """Return the next batch, of a new epoch where the current one is used up."""
        while not self.batches:
            self.epoch_state = self.generator.get_state()
            self.batches = deque(self.objective.epoch(self.generator)[self.position :])
            if not self.batches:
                self.position = 0
        return self.batches.popleft()

    def take(self, joined: Callable[[Callable[[], Tensor]], Tensor]) -> Tensor:
        """Take a step, and return this rank's share of the loss of its batch.

        Args:
            joined: what `Ranks.joined` returned.
        """
        ranks, each, batch = self.ranks, self.settings.accumulate, self.next_batch()
        parts = divide(batch, ranks.count * each, self.objective.terms or len)
        own = parts[ranks.place * each : (ranks.place + 1) * each]

        def loss(rows: Tensor) -> Tensor:
            with self.updates.autocast():
                return self.objective.loss(rows)

        def compute() -> Tensor:
            self.updates.optimizer.zero_grad(set_to_none=True)
            return gradients(ranks, joined, own, loss, self.updates.backward)

        value = relieved(self.model, compute, again=ranks.count == 1)
        if self.updates.step():
            self.schedule.step()
        self.step += 1
        self.position = self.position + 1 if self.batches else 0
        self.history.examples += len(batch)
        return value

    def score(self, joined: Callable[[Callable[[], Tensor]], Tensor]) -> None:
        """Validate, and with patience keep the weights if they are the best so far.

        Args:
            joined: what `Ranks.joined` returned.
        """
        self.model.eval()
        validate = partial(relieved, self.model, self.objective.validate)
        score = self.ranks.inside(joined, validate)
        self.history.validation[self.step] = self.ranks.all(score)[0]
        if self.settings.patience and self.best_step() == self.step:
            state = self.ranks.gathered(self.model.state_dict())
            self.best = {k: x.detach().cpu().clone() for k, x in state.items()}
        self.model.train()

    def finish(self) -> None:
        """Leave the model in evaluation mode with the weights that it is to keep."""
        self.history.kept = self.step
        self.ranks.restore()
        if self.best is not None:
            self.model.load_state_dict(self.best)
            self.history.kept = self.best_step()
        self.ranks.align(self.model)
        self.model.eval()

    def best_step(self) -> int:
        """Return the step of the best validation so far, the first of equals."""
        scores = self.history.validation
        return max(scores, key=scores.__getitem__)

    def exhausted(self) -> bool:
        """Say whether the last `patience` validations brought nothing better; never if it is 0."""
        steps, patience = list(self.history.validation), self.settings.patience
        return 0 < patience < len(steps) - steps.index(self.best_step()) if steps else False

    def content(self) -> dict[str, Any]:
        """Return all that `resume` needs."""
        if not self.batches:
            self.epoch_state = self.generator.get_state()
        return {
            "step": self.step,
            "position": self.position,
            "model": self.ranks.gathered(self.model.state_dict()),
            "chunk_sizes": chunk_sizes(self.model),
            "updates": self.ranks.gathered(self.updates.state_dict()),
            "schedule": self.schedule.state_dict(),
            "epoch": self.epoch_state,
            "best": self.best,
            "random": self.ranks.all(random_states()),
            "history": asdict(self.history),
        }

    def resume(self, content: dict[str, Any] | None) -> None:
        """Take up what `content` returned, but for the weights; None: start afresh."""
        if content is None:
            return
        set_chunk_sizes(self.model, content["chunk_sizes"])
        optimizer = content["updates"]["optimizer"]
        own = self.ranks.divided(optimizer, self.updates.optimizer)
        self.updates.load_state_dict({**content["updates"], "optimizer": own})
        self.schedule.load_state_dict(content["schedule"])
        self.step, self.position = content["step"], content["position"]
        self.epoch_state, self.best = content["epoch"], content["best"]
        self.generator.set_state(content["epoch"])
        restore_random_states(content["random"][self.ranks.place])
        self.history = History(**content["history"])
        self.history.resumed_at = self.step
        logger.info("resumed at step %d", self.step)
