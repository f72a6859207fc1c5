"""Tables: checked columns, an order of their own, honest summaries."""

import math

import pandas as pd
import pytest

from equitune.results import tables


def row(**changes):
    values = dict.fromkeys(tables.SCAN_COLUMNS, 0.5)
    values |= {"task": "add_jump", "architecture": "LSTM", "method": "equitune"}
    return values | {"group": "jump_run", "seed": 0, "parameters": 3} | changes


def part(tmp_path, name, *rows):
    path = tmp_path / name
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


def test_the_order_of_the_files_changes_nothing(tmp_path):
    first = part(tmp_path, "a.csv", row(seed=1), row(seed=0))
    second = part(tmp_path, "b.csv", row(seed=2, method="finetune"))
    keys = [*tables.SCAN_KEYS, "seed"]
    written = []
    for order in ([first, second], [second, first]):
        table = tables.gather(order, tables.SCAN_COLUMNS, keys)
        tables.write(table, tmp_path / "out.csv")
        written.append((tmp_path / "out.csv").read_bytes())
    assert written[0] == written[1]
    assert table["seed"].tolist() == [0, 1, 2]
    assert tuple(table.columns) == tables.SCAN_COLUMNS


def test_a_summary_has_mean_sd_and_n():
    rows = pd.DataFrame([row(seed=s, test_accuracy=a) for s, a in enumerate((0.2, 0.4, 0.9))])
    summary = tables.summarize(rows, tables.SCAN_KEYS, ["test_accuracy"])
    assert summary["mean"].tolist() == pytest.approx([0.5])
    assert summary["sd"].tolist() == pytest.approx([math.sqrt((0.09 + 0.01 + 0.16) / 2)])
    assert summary["n"].tolist() == [3]


def test_one_seed_has_no_standard_deviation():
    summary = tables.summarize(pd.DataFrame([row()]), tables.SCAN_KEYS, ["test_accuracy"])
    assert summary["sd"].isna().all()


def test_a_run_that_stands_twice_is_an_error(tmp_path):
    paths = [part(tmp_path, "a.csv", row()), part(tmp_path, "b.csv", row())]
    with pytest.raises(ValueError, match="same run: add_jump, LSTM, equitune, jump_run, 0"):
        tables.gather(paths, tables.SCAN_COLUMNS, [*tables.SCAN_KEYS, "seed"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "does not exist: run snakemake"),
        (b"", "is no CSV table"),
        (b"\xff\xfe\x00", "is no CSV table"),
        (b"task,method\n1,2\n", "lacks the columns architecture, group, seed"),
    ],
)
def test_a_bad_table_is_one_line_with_its_name(tmp_path, content, message):
    path = tmp_path / "scan.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        tables.read(path, tables.SCAN_COLUMNS)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
