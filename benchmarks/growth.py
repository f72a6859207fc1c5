"""How time and memory grow with the group, examples, vocabulary, images, models and cores.

A slope is that of log time over log size: 1 is linear, 2 quadratic. It is fitted by least squares
within a round, in which all sizes take turns; the median over the rounds is reported, with the 95 %
t interval of their mean. Seconds are the processor's, but for cores, where they are the clock's.
Bytes are the most that torch and Python allocate at once, each counted by itself, in one call, and
the weights that were there before. What a hundred times the largest size costs is computed from the
slope. The rule measure_growth_cost runs this; `--help` tells how to run it by hand.
"""

import statistics
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from growth_cases import (
    TINY,
    Growth,
    Sizes,
    Work,
    image_side,
    model_size,
    order,
    vocabulary,
)
from growth_cores import cores
from growth_examples import image_examples, scan_examples
from measuring import Row, alternate, command_line, most_allocated, report, row

from equitune.results import claims

LEAST_ROUNDS = 3
HUNDREDFOLD = 100
COMPUTED = "computed from the slope, not measured"
Samples = Sequence[tuple[float, ...]]  # of each round, of each size
Where = tuple[str, str, str, int]  # experiment, model, setting, |G|


def slope(sizes: Sequence[float], values: Sequence[float]) -> float:
    """The power with which values grow with sizes: that of the line through their logarithms."""
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


def interval(slopes: Sequence[float]) -> tuple[float, float]:
    """The 95 % t interval of the mean of slopes, one of each round.

    Raises:
        ValueError: there are too few for an interval.
    """
    if len(slopes) < LEAST_ROUNDS:
        raise ValueError(
            f"{len(slopes)} rounds: expected {LEAST_ROUNDS} or more, as fewer have no interval of "
            f"use: pass --rounds {LEAST_ROUNDS}"
        )
    return claims.interval(pd.Series(slopes))


def most_held(work: Work) -> int:
    """Most bytes of torch and of Python while a work is done, with the weights that it needs."""
    python = 0

    def traced() -> None:
        nonlocal python
        tracemalloc.start()
        for _ in range(work.times):
            work.run()
        python = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()

    allocated = most_allocated(traced)
    return work.held + allocated + python


def rows(growth: Growth, samples: Samples, unit: str) -> Iterator[Row]:
    """Each size against the smallest, the slope, and what a hundred times the largest would cost.

    Args:
        growth: what was measured.
        samples: values of all sizes, for each round; bytes, of one round, have no interval.
        unit: theirs.
    """
    memory = unit == "bytes"
    benchmark = "growth_memory" if memory else "growth"
    what = f"{growth.what}, peak memory" if memory else growth.what
    sizes, names = list(growth.works), (growth.experiment, growth.model)
    for place, size in enumerate(sizes):
        setting, sides = growth.setting(size), (what, f"{what}, {growth.variable} {sizes[0]}")
        pairs = [(each[place], each[0]) for each in samples]
        yield row(benchmark, *names, setting, growth.order or size, sides, pairs, unit)
    where = *names, growth.setting(f"{sizes[0]} to {sizes[-1]}"), growth.order or sizes[-1]
    fitted = slope_row(growth, where, what, samples)
    yield fitted
    if growth.variable != "cores":  # a hundred of them do not stand in one machine
        where = *names, growth.setting(HUNDREDFOLD * sizes[-1]), growth.order or sizes[-1]
        largest = statistics.median(each[-1] for each in samples)
        sides = what, f"{what}, {growth.variable} {sizes[-1]}"
        yield hundredfold_row(where, sides, fitted, largest, unit)


def slope_row(growth: Growth, where: Where, what: str, samples: Samples) -> Row:
    """The median slope over the rounds; of times with an interval and an aim."""
    slopes = [slope(list(growth.works), each) for each in samples]
    sides, pairs = (what, growth.variable), [(each, 1.0) for each in slopes]
    if what != growth.what:
        ends, aim = (None, None), None
    else:
        ends, aim = interval(slopes), growth.at_most
    fitted = row("growth_slope", *where, sides, pairs, "slope", at_most=aim)
    return fitted | dict(zip(("low", "high"), ends, strict=True))


def hundredfold_row(
    where: Where, sides: tuple[str, str], fitted: Row, largest: float, unit: str
) -> Row:
    """What a slope and its interval come to at a hundred times the largest size."""
    powers = {
        name: None if fitted[name] is None else HUNDREDFOLD ** fitted[name]
        for name in ("ratio", "low", "high")
    }
    values = {"value": powers["ratio"] * largest, "denominator_value": largest}
    computed = row("growth_hundredfold", *where, sides, [], unit, note=COMPUTED)
    return computed | powers | values | {"n": fitted["n"]}


def measure(growth: Growth, rounds: int) -> Iterator[Row]:
    """Memory first, while optimizers have no moments; then time, all sizes in turns."""
    works = list(growth.works.values())
    if growth.note:
        names = growth.experiment, growth.model, f"{growth.variable}, {growth.detail}", growth.order
        yield row("growth", *names, (growth.what, growth.variable), [], note=growth.note)
        return
    if growth.memory:
        if works[0].times == 1:
            works[0].run()  # what Python imports and keeps at a first call is not of this size
        yield from rows(growth, [tuple(map(most_held, works))], "bytes")
    runs = [work.run for work in works]
    if works[0].steps is None:
        yield from rows(growth, alternate(runs, rounds), "seconds")
        return
    times = alternate(runs, rounds, time.perf_counter)
    rates = [tuple(w.steps / t for w, t in zip(works, each, strict=True)) for each in times]
    yield from rows(growth, rates, "steps/second")


MEASUREMENTS: dict[str, Callable[[Sizes, Path], Iterator[Growth]]] = {
    each.__name__: each
    for each in (
        *(order, scan_examples, image_examples, vocabulary, image_side, model_size, cores),
    )
}


def main() -> None:
    """Read the arguments, take the measurements, write the rows."""
    parser = command_line(__doc__)
    parser.add_argument("--only", nargs="+", choices=MEASUREMENTS, default=list(MEASUREMENTS))
    parser.add_argument("--tiny", action="store_true", help="sizes that only try the script")
    arguments = parser.parse_args()
    if arguments.rounds < LEAST_ROUNDS:
        parser.error(f"--rounds {arguments.rounds}: expected {LEAST_ROUNDS} or more")
    torch.set_num_threads(1)
    sizes = TINY if arguments.tiny else Sizes()
    with tempfile.TemporaryDirectory() as folder:
        grown = chain.from_iterable(
            MEASUREMENTS[name](sizes, Path(folder)) for name in arguments.only
        )
        taken = (measure(growth, arguments.rounds) for growth in grown)
        report(chain.from_iterable(taken), arguments.output)


if __name__ == "__main__":
    main()
