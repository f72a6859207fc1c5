"""The arithmetic of growth, and that works run at their sizes; how long they take is not tested."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from equitune.results import tables

pytest.importorskip("transformers")

SIZES = (10, 20, 40, 80)


@pytest.fixture(scope="module")
def growth(script):
    return script("growth")


@pytest.fixture(scope="module")
def cases(script):
    return script("growth_cases")


@pytest.fixture(scope="module")
def cores(script):
    return script("growth_cores")


@pytest.fixture
def case(cases):
    """What nothing is done for."""
    return cases.Growth(
        variable="examples",
        experiment="scan",
        model="LSTM",
        what="evaluate",
        detail="batch 2",
        order=2,
        works={size: cases.Work(lambda: None) for size in SIZES},
        at_most=1,
    )


def powers(exponents):
    """Seconds of every size in rounds, each of which follows a power of its own."""
    return [tuple(0.5 * size**exponent for size in SIZES) for exponent in exponents]


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0, 2.0])
def test_the_slope_of_a_power_is_its_exponent(growth, exponent):
    assert growth.slope(SIZES, *powers([exponent])) == pytest.approx(exponent)


def test_the_slope_of_what_is_no_power_is_that_of_least_squares(growth):
    values = (3.0, 5.0, 4.0, 9.0)
    x, y = np.log(SIZES), np.log(values)
    x, y = x - x.mean(), y - y.mean()
    assert growth.slope(SIZES, values) == pytest.approx((x @ y) / (x @ x))


def test_the_interval_is_that_of_student(growth):
    slopes = [0.9, 1.0, 1.3]
    mean = sum(slopes) / 3
    deviation = (sum((each - mean) ** 2 for each in slopes) / 2) ** 0.5
    half = 4.302652729911275 * deviation / 3**0.5  # the table's value for two degrees of freedom
    assert growth.interval(slopes) == pytest.approx((mean - half, mean + half))


def test_too_few_rounds_are_refused_before_anything_is_measured(growth, monkeypatch, capsys):
    with pytest.raises(ValueError, match="2 rounds: expected 3 or more"):
        growth.interval([1.0, 1.1])
    monkeypatch.setattr(growth, "report", lambda *_: pytest.fail("something is measured"))
    monkeypatch.setattr(sys, "argv", ["growth.py", "--output", "x.csv", "--rounds", "2"])
    with pytest.raises(SystemExit):
        growth.main()
    assert "--rounds 2: expected 3 or more" in capsys.readouterr().err


def test_times_become_sizes_a_slope_and_a_hundredfold(growth, case):
    *sizes, fitted, computed = growth.rows(case, powers([0.9, 1.0, 1.3]), "seconds")
    assert [each["setting"] for each in sizes] == [f"examples {n}, batch 2" for n in SIZES]
    assert [each["ratio"] for each in sizes] == pytest.approx([1, 2, 4, 8])
    assert {(each["benchmark"], each["unit"], each["order"]) for each in sizes} == {
        ("growth", "seconds", 2)
    }
    low, high = growth.interval([0.9, 1.0, 1.3])
    assert fitted["benchmark"] == "growth_slope"
    assert (fitted["ratio"], fitted["n"], fitted["at_most"]) == (pytest.approx(1.0), 3, 1)
    assert (fitted["low"], fitted["high"]) == pytest.approx((low, high))
    assert fitted["setting"] == "examples 10 to 80, batch 2"
    assert computed["benchmark"] == "growth_hundredfold"
    assert computed["setting"] == "examples 8000, batch 2"
    assert computed["note"] == "computed from the slope, not measured"
    assert computed["ratio"] == pytest.approx(100)
    assert (computed["low"], computed["high"]) == pytest.approx((100**low, 100**high))
    assert (computed["denominator_value"], computed["value"]) == pytest.approx((40, 4000))


def test_bytes_have_a_slope_without_an_interval_or_an_aim(growth, case):
    *sizes, fitted, computed = growth.rows(case, powers([0.5]), "bytes")
    assert {each["benchmark"] for each in sizes} == {"growth_memory"}
    assert {each["numerator"] for each in sizes} == {"evaluate, peak memory"}
    assert (fitted["ratio"], computed["ratio"]) == pytest.approx((0.5, 10))
    for each in (fitted, computed):
        assert (each["low"], each["high"], each["at_most"]) == (None, None, None)


def test_a_group_grows_by_its_own_order(growth, case):
    case = replace(case, variable="|G|", order=None)
    *sizes, fitted, computed = growth.rows(case, powers([1.0] * 3), "seconds")
    assert [each["order"] for each in sizes] == [*SIZES]
    assert fitted["order"] == computed["order"] == 80


def test_work_on_cores_is_counted_by_the_clock_and_has_no_hundredfold(
    growth, cases, case, monkeypatch
):
    clocks = []

    def alternate(works, rounds, clock):
        clocks.append(clock)
        return [(1.0, 1.5)] * rounds

    monkeypatch.setattr(growth, "alternate", alternate)
    works = {n: cases.Work(lambda: None, steps=3 * n) for n in (1, 2)}
    case = replace(case, variable="cores", works=works, memory=False)
    one, two, fitted = growth.measure(case, 3)
    assert clocks == [growth.time.perf_counter]
    assert (one["value"], two["value"], two["ratio"]) == pytest.approx((3, 4, 4 / 3))
    assert fitted["ratio"] == pytest.approx(np.log2(4 / 3))


def test_what_cannot_be_measured_is_a_row_that_says_so(growth, case):
    (row,) = growth.measure(replace(case, note="one core alone"), 3)
    assert (row["n"], row["note"], row["ratio"]) == (0, "one core alone", None)


def test_memory_is_that_of_torch_of_python_and_of_the_weights(growth, cases):
    def work():
        return torch.zeros(100_000), bytearray(300_000)

    found = growth.most_held(cases.Work(work, held=1_000_000))
    assert 1_700_000 <= found < 1_750_000
    kept = []
    grown = growth.most_held(cases.Work(lambda: kept.append(bytearray(300_000)), times=2))
    assert grown >= 600_000


def test_each_order_has_a_group_of_that_order(cases):
    assert {n: make().group.order for n, make in cases.ACTIONS.items()} == {
        n: n for n in cases.Sizes().orders
    }


def test_no_two_copies_of_a_prompt_are_one(cases):
    model, ids = cases.gpt2(64, 8, 1), cases.prompts_of(5, 4, 64)
    first, second = model.action.orbit(ids)
    assert (first != second).any(1).all()


def test_processes_work_at_the_same_time(cores):
    done = []

    class Recorded:
        def begin(self, steps):
            done.append(("begin", steps))

        def finish(self):
            done.append(("finish",))

    cores.side_by_side([Recorded(), Recorded()], 3)
    assert done == [("begin", 3), ("begin", 3), ("finish",), ("finish",)]


def test_threads_are_those_asked_for_and_one_afterwards(cores):
    seen = []
    cores.threads(lambda: seen.append(torch.get_num_threads()), 2, 2)
    assert seen == [2, 2]
    assert torch.get_num_threads() == 1


def test_one_core_alone_is_not_measured(cores, cases, tmp_path, monkeypatch):
    monkeypatch.setattr(cores, "available", lambda: 1)
    found = list(cores.cores(cases.TINY, tmp_path))
    assert {each.note for each in found} == {"this process may use one core alone"}
    assert len(found) == 4


@pytest.mark.parametrize("name", ["scan_examples", "image_examples"])
def test_what_the_rules_do_with_examples_runs_at_every_size(
    growth, cases, name, tmp_path, monkeypatch
):
    done = []

    def alternate(works, rounds):
        for work in works:
            done.append(work())
        return [each[: len(works)] for each in powers([1.0] * rounds)]

    monkeypatch.setattr(growth, "alternate", alternate)
    monkeypatch.setattr(growth, "most_held", lambda work: 1)
    found = list(growth.MEASUREMENTS[name](cases.TINY, tmp_path))
    rows = [row for each in found for row in growth.measure(each, 3)]
    assert len(done) == sum(len(each.works) for each in found)
    aimed = {row["numerator"]: row["at_most"] for row in rows if row["benchmark"] == "growth_slope"}
    times = {"build dataset", "train for an epoch", "evaluate"}
    assert {what for what, aim in aimed.items() if aim == 1} >= times
    written = {path.name.rpartition(".")[2] for path in tmp_path.rglob("*") if path.is_file()}
    assert {"safetensors", "csv", "json"} <= written


def test_an_epoch_sees_every_example_once(script, cases, tmp_path, monkeypatch):
    examples, seen = script("growth_examples"), []

    def fit(model, plan, objective, seed):
        batches = objective.epoch(torch.Generator().manual_seed(seed))
        seen.append((plan.steps, torch.cat([*batches]).sort().values.tolist()))

    monkeypatch.setattr(examples, "fit", fit)
    examples._scan_epoch(examples.Pairs.encode([*examples.commands()][:70])).run()
    examples._image_epoch(cases.noise(70, examples.SIDE)).run()
    assert seen == [(3, [*range(70)])] * 2


@pytest.mark.parametrize("name", ["order", "vocabulary", "image_side", "model_size"])
def test_what_is_larger_holds_more(growth, cases, name, tmp_path):
    for each in growth.MEASUREMENTS[name](cases.TINY, tmp_path):
        assert len(each.works) == 2
        small, large = map(growth.most_held, each.works.values())
        assert small < large, each.what


@pytest.mark.slow
def test_all_of_it_runs_by_its_command(root, tmp_path):
    command = [sys.executable, root / "benchmarks/growth.py", "--rounds", "3", "--tiny"]
    output = tmp_path / "growth.csv"
    done = subprocess.run([*command, "--output", output], check=False)
    assert done.returncode == 0
    table = tables.read(output, tables.COST_COLUMNS)
    assert set(table["benchmark"]) == {
        *("growth", "growth_memory", "growth_slope", "growth_hundredfold")
    }
    assert not table.duplicated(list(tables.COST_KEYS)).any()
