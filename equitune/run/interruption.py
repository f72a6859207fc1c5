"""Requests to stop: signals, and the end of the time that a job has.

A scheduler ends a job with SIGTERM, or kills it when its time is over. What can be taken up later
asks `reason` between two steps, keeps its state and raises `Interrupted`; all else stops at once.
"""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

EXIT_CODE = 75  # EX_TEMPFAIL of sysexits.h: the same command, again, may succeed
LONGEST_MARGIN = 60.0  # seconds that are left for writing a state

_asked: str | None = None  # why the process is to stop, by a signal
_raised: str | None = None  # the last `Interrupted` of this command
_deadline: float | None = None  # of the monotonic clock
_deferred = 0


class Interrupted(BaseException):
    """The process is to end, and the same command goes on later.

    No Exception, as KeyboardInterrupt is none: what mends errors must not take it for one.
    """


def listen() -> None:
    """Take SIGTERM and SIGINT as requests to stop."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _receive)


def begin() -> None:
    """Forget what was raised before: a command begins."""
    global _raised
    _raised = None


def raised() -> str | None:
    """Return why `Interrupted` was raised since the command began, None if it was not.

    A library may call Python from C and put an error of its own in its place, as torch does where
    it asks an object for its shape: whoever reports an error asks here first.
    """
    return _raised


def allot(minutes: float) -> None:
    """Say how long the process may run, from now; a tenth of it, at most a minute, is kept free.

    A scheduler counts from a few seconds earlier, when it gave the job its place.

    Raises:
        ValueError: minutes are not positive.
    """
    global _deadline
    if not minutes > 0:
        raise ValueError(f"minutes is {minutes}: expected a positive number")
    _deadline = time.monotonic() + 60 * minutes - min(6 * minutes, LONGEST_MARGIN)


def reason() -> str | None:
    """Return why the process is to stop now, or None where it may go on."""
    if _asked is None and _deadline is not None and time.monotonic() >= _deadline:
        return "its time is nearly over"
    return _asked


@contextmanager
def deferred() -> Iterator[None]:
    """Hold signals back, so that the block ends by itself once it has asked `reason`.

    A block that ends without asking has finished its work, and so has no reason to stop. A second
    SIGINT is not held back: somebody sits at the keyboard and is in a hurry.
    """
    global _asked, _deferred
    _deferred += 1
    try:
        yield
    finally:
        _deferred -= 1
        if not _deferred:
            _asked = None


def _receive(number: int, _frame: FrameType | None) -> None:
    global _asked, _raised
    if _deferred and (number == signal.SIGTERM or _asked is None):
        _asked = f"{signal.Signals(number).name} asks it to stop"
    elif number == signal.SIGINT:
        raise KeyboardInterrupt
    else:
        _raised = f"{signal.Signals(number).name} asks it to stop"
        raise Interrupted(_raised)
