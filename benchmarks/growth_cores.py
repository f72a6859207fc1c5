"""Work on one core and on two: by two threads of a process, and by two processes side by side.

By itself this is one of the processes: `python growth_cores.py LSTM` reads numbers of steps from
its input, takes them on one thread, and answers each with a line.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self

import image_cost
import torch
from growth_cases import JUMP, Growth, Sizes, Work, noise
from scan_cost import training_pass

from equitune.config import Seq2SeqModel, Training
from equitune.scan.data import Pairs
from equitune.scan.grammar import commands
from equitune.scan.models import build

Step = Callable[[], object]


def scan_step(batch: int = 32) -> Step:
    """A training step of SCAN's LSTM."""
    model = build("LSTM", Seq2SeqModel(), "equitune", JUMP)
    plan = Training(steps=1, batch_size=batch, learning_rate=1e-3)
    return training_pass(model, Pairs.encode([*commands()][-batch:]), plan)


def image_step(batch: int = 4, side: int = 64) -> Step:
    """A training step of an equi-tuned ResNet-18."""
    model = image_cost.classifier("resnet18", side, "rotate90")
    return image_cost.training_step(model, noise(batch, side))


@dataclass(frozen=True)
class Case:
    """A model whose steps are counted."""

    experiment: str
    detail: str
    order: int
    step: Callable[[], Step]
    steps: int  # in a measurement, of about half a second


CASES = {
    "LSTM": Case("scan", "batch 32", 2, scan_step, 6),
    "resnet18": Case("image", "64 px, batch 4", 4, image_step, 2),
}


class Process:
    """A process that waits to take steps of a case."""

    def __init__(self, name: str) -> None:
        """Start it, and wait until it has taken a first step."""
        command = [sys.executable, __file__, name]
        self.child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.child.stdin.close()  # type: ignore[union-attr]  # it ends with its input
        self.child.stdout.close()  # type: ignore[union-attr]
        self.child.wait()

    def begin(self, steps: int) -> None:
        """Have it take steps."""
        print(steps, file=self.child.stdin, flush=True)

    def finish(self) -> None:
        """Wait until it has."""
        if not self.child.stdout.readline():  # type: ignore[union-attr]
            raise RuntimeError(f"{self.child.args} ended with {self.child.wait()}: see its error")


def available() -> int:
    """How many cores this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)  # Linux alone has it
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def threads(step: Step, steps: int, count: int) -> None:
    """Take steps on this many threads, then go back to one."""
    torch.set_num_threads(count)
    try:
        for _ in range(steps):
            step()
    finally:
        torch.set_num_threads(1)


def side_by_side(processes: list[Process], steps: int) -> None:
    """Have each process take steps, all at the same time."""
    for each in processes:
        each.begin(steps)
    for each in processes:
        each.finish()


def cores(_: Sizes, __: Path) -> Iterator[Growth]:
    """Training steps on one core and on two."""
    note = "this process may use one core alone" if available() < 2 else None
    for name, case in CASES.items():
        with ExitStack() as stack:
            step = case.step()
            both = [] if note else [stack.enter_context(Process(name)) for _ in range(2)]
            ways = {
                "threads": lambda n, case=case, step=step: threads(step, case.steps, n),
                "processes": lambda n, case=case, both=both: side_by_side(both[:n], case.steps),
            }
            for way, run in ways.items():
                taken = {n: case.steps * (n if way == "processes" else 1) for n in (1, 2)}
                yield Growth(
                    variable="cores",
                    experiment=case.experiment,
                    model=name,
                    what=f"training steps, {way}",
                    detail=case.detail,
                    order=case.order,
                    works={n: Work(partial(run, n), steps=taken[n]) for n in (1, 2)},
                    memory=False,
                    note=note,
                )


def main() -> None:
    """Take steps until the input ends."""
    torch.set_num_threads(1)
    step = CASES[sys.argv[1]].step()
    for line in sys.stdin:
        for _ in range(int(line)):
            step()
        print("done", flush=True)


if __name__ == "__main__":
    main()
