"""What all benchmarks share: turns, medians, rows; how long anything takes is not tested."""

import itertools

import pytest

from equitune.results import tables

NAMES = ("floor", "image", "resnet18", "64 px", 4)


@pytest.fixture(scope="module")
def measuring(script):
    return script("measuring")


def test_works_take_turns_and_the_first_round_is_not_counted(measuring):
    done, ticks = [], itertools.count()
    works = [lambda: done.append("a"), lambda: done.append("b")]
    times = measuring.alternate(works, 2, lambda: next(ticks) ** 2)
    assert done == ["a", "b"] * 3
    # the clock is read before and after each work: from the fifth time on
    assert times == [(5**2 - 4**2, 7**2 - 6**2), (9**2 - 8**2, 11**2 - 10**2)]


def test_row_is_the_median_of_the_ratios_not_the_ratio_of_medians(measuring):
    samples = [(4.0, 1.0), (6.0, 3.0), (9.0, 3.0)]
    found = measuring.row(*NAMES, ("this", "that"), samples, at_most=1.05)
    assert tuple(found) == tables.COST_COLUMNS
    assert tuple(found[key] for key in tables.COST_KEYS) == (*NAMES, "this", "that")
    assert (found["low"], found["ratio"], found["high"]) == (2, 3, 4)
    assert (found["value"], found["denominator_value"], found["n"]) == (6, 3, 3)
    assert (found["at_least"], found["at_most"], found["note"]) == (None, 1.05, None)


def test_what_was_not_measured_stands_in_the_table_with_the_reason(measuring, tmp_path, capsys):
    row = measuring.row(*NAMES, ("escnn", "plain"), [], note="not installed: no escnn")
    measuring.report([row], tmp_path / "part.csv")
    assert "escnn / plain: not installed: no escnn" in capsys.readouterr().err
    table = tables.read(tmp_path / "part.csv", tables.COST_COLUMNS)
    assert table["n"].tolist() == [0]
    assert table["ratio"].isna().all()
    assert table["note"].tolist() == ["not installed: no escnn"]


def test_rows_say_what_machine_they_are_of(measuring):
    row = measuring.row(*NAMES, ("this", "that"), [(1.0, 1.0)])
    assert row["machine"] == measuring.processor() != ""
    assert row["cores"] >= 1
    assert row["torch"].startswith("2.")
