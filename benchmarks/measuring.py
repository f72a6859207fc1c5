"""What every benchmark shares: the clock, works in turns, the rows of cost.csv, the command line.

All sides of a measurement run in one process on one thread, in turns. What is reported is the
median over the rounds of the ratio within a round, so that a noisy machine does not decide it.
"""

import argparse
import gc
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch.profiler import ProfilerActivity, profile

from equitune.results import tables

Row = dict[str, Any]
Clock = Callable[[], float]


def seconds(work: Callable[[], object], clock: Clock = time.process_time) -> float:
    """Seconds that one call takes, by default those of the processor.

    On an idle machine they are the clock's, on a shared one without the waiting.
    """
    began = clock()
    work()
    return clock() - began


def alternate(
    works: Sequence[Callable[[], object]], rounds: int, clock: Clock = time.process_time
) -> list[tuple[float, ...]]:
    """Seconds of every work in every round, after one round that is not counted."""
    times = [tuple(seconds(work, clock) for work in works) for _ in range(rounds + 1)]
    return times[1:]


def most_allocated(work: Callable[[], object]) -> int:
    """Most bytes that torch holds while a call runs, more than it held before."""
    gc.collect()  # what an earlier work leaves behind must not be freed while this is recorded
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
        work()
    # the trace of a long work, which has the same numbers, would be hundreds of megabytes
    events = record.profiler.kineto_results.events()
    blocks = [event for event in events if event.name() == "[memory]"]
    held = accumulate(block.nbytes() for block in sorted(blocks, key=lambda b: b.start_ns()))
    return max(held, default=0)


def row(
    benchmark: str,
    experiment: str,
    model: str,
    setting: str,
    order: int,
    sides: tuple[str, str],
    samples: Sequence[tuple[float, float]],
    unit: str = "seconds",
    **more: Any,
) -> Row:
    """A row of the table.

    Args:
        benchmark: its name.
        experiment: "scan", "image" or "language".
        model: the architecture.
        setting: sizes, in words.
        order: of the group.
        sides: what is measured, and what it is divided by.
        samples: both, for each round; none where nothing could be measured.
        unit: theirs.
        **more: at_least= or at_most=, the aim; note=; machine=, where it is not a processor.
    """
    ratios = [above / below for above, below in samples]
    columns = list(zip(*samples, strict=True)) or [(), ()]
    numbers = {
        "ratio": middle(ratios),
        "low": min(ratios, default=None),
        "high": max(ratios, default=None),
        "value": middle(columns[0]),
        "denominator_value": middle(columns[1]),
    }
    names = benchmark, experiment, model, setting, order, *sides
    return {
        **dict.fromkeys(tables.COST_COLUMNS),
        **dict(zip(tables.COST_KEYS, names, strict=True)),
        **numbers,
        "n": len(samples),
        "unit": unit,
        "machine": processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        **more,
    }


def middle(values: Sequence[float]) -> float | None:
    """The median, none of no values."""
    return statistics.median(values) if values else None


def processor() -> str:
    """The processor's name, as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.partition(": ")[2] for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def command_line(document: str, rounds: int = 5) -> argparse.ArgumentParser:
    """The options that all benchmarks have; a script adds its own."""
    parser = argparse.ArgumentParser(description=document.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--output", type=Path, required=True, help="rows of cost.csv")
    return parser


def report(rows: Iterable[Row], output: Path) -> None:
    """Say each row as soon as it is there, then write all."""
    taken = []
    for each in rows:
        what = f"{each['benchmark']} {each['model']} {each['setting']}, |G| = {each['order']}"
        found = f"{each['ratio']:.4g}" if each["n"] else each["note"]
        sys.stderr.write(f"{what}: {each['numerator']} / {each['denominator']}: {found}\n")
        taken.append(each)
    tables.write(pd.DataFrame(taken, columns=list(tables.COST_COLUMNS)), output)
