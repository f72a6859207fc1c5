"""Where the seconds of a command go: starting Python, importing, the steps of a training.

The log of a command ends with them, and `equitune results profile` reads them there. Snakemake's
own count of the processor's seconds is taken now and then, and misses most of a short job.
"""

import builtins
import gc
import json
import os
import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

KINDS = ("start", "imports", "training", "processor")
_LINE = re.compile(r"^seconds (\{.*\})$", re.MULTILINE)
_seconds: dict[str, float] = {}


def add(kind: str, seconds: float) -> None:
    """Add seconds to those of a kind."""
    _seconds[kind] = _seconds.get(kind, 0.0) + seconds


@contextmanager
def counted() -> Iterator[None]:
    """Count a command: the processor's seconds before it, and the clock's in its imports.

    Imports are spared the garbage collector, which finds nothing in what they make: a fifth of
    their time.
    """
    _seconds.clear()
    add("start", time.process_time())
    original, thread, inside = builtins.__import__, threading.get_ident(), False

    def timed(*args: Any, **kwargs: Any) -> Any:
        nonlocal inside
        if inside or threading.get_ident() != thread:
            return original(*args, **kwargs)
        inside, began, collects = True, time.monotonic(), gc.isenabled()
        gc.disable()
        try:
            return original(*args, **kwargs)
        finally:
            inside = False
            if collects:
                gc.enable()
            add("imports", time.monotonic() - began)

    builtins.__import__ = timed
    try:
        yield
    finally:
        builtins.__import__ = original


def line() -> str:
    """Return the last line of a log."""
    _seconds["processor"] = sum(os.times()[:4])  # with that of processes which it waited for
    return f"seconds {json.dumps({kind: round(_seconds.get(kind, 0.0), 2) for kind in KINDS})}\n"


def read(log: str) -> Mapping[str, float]:
    """Return the seconds that a log ends with; of a command without them, nothing."""
    found = _LINE.findall(log)
    return json.loads(found[-1]) if found else {}
