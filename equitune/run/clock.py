"""The time that training takes, and when its state is written next."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from equitune.config import Training
from equitune.run import times


class Timed(Protocol):
    """What the clock writes down."""

    seconds: float
    state_seconds: float


class Clock:
    """The time that training takes, without validations and saves, and when to save next."""

    def __init__(self, history: Timed) -> None:
        """Start it, with the seconds of earlier processes."""
        self.history, self.before = history, history.seconds
        self.began = self.started = self.saved = time.monotonic()
        self.cost = 0.0  # of the last save, in seconds

    def tick(self) -> None:
        """Write down the seconds so far."""
        seconds = self.before + time.monotonic() - self.started
        times.add("training", seconds - self.history.seconds)
        self.history.seconds = seconds

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave out what is done inside."""
        pause = time.monotonic()
        yield
        self.started += time.monotonic() - pause

    def save_is_due(self, settings: Training) -> bool:
        """Say whether the last save is long enough ago."""
        unsaved = time.monotonic() - self.saved
        return unsaved >= _interval(settings, self.saved - self.began, self.cost)

    @contextmanager
    def saving(self) -> Iterator[None]:
        """Leave out what is done inside, and write down what it costs."""
        pause = time.monotonic()
        yield
        self.saved = time.monotonic()
        self.cost = self.saved - pause
        self.history.state_seconds += self.cost
        self.started += self.cost


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
