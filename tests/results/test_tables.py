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
        (
            f"{','.join(tables.SCAN_COLUMNS)}\na,b,c,d,0,,0.5,1,1,1,1\na,b,c,d,0,,half,1,1,1,1\n".encode(),
            "test_accuracy is 'half': expected a number",
        ),
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


def test_names_that_look_like_numbers_or_missing_values_stay_as_they_are(tmp_path):
    path = tmp_path / "examples.csv"
    path.write_text("label,prediction,png,seed\n07,NA,,1\n7,null,x,2\n")
    table = tables.read(path, ["label", "prediction", "png", "seed"])
    assert table["label"].tolist() == ["07", "7"]
    assert table["prediction"].tolist() == ["NA", "null"]
    assert table["png"].isna().tolist() == [True, False]
    assert table["seed"].tolist() == [1, 2]


def test_a_part_without_rows_adds_none_and_changes_no_number(tmp_path):
    full = part(tmp_path, "a.csv", row(seed=3))
    empty = tmp_path / "b.csv"
    tables.write(pd.DataFrame(columns=tables.SCAN_COLUMNS), empty)
    for order in ([full, empty], [empty, full]):
        table = tables.gather(order, tables.SCAN_COLUMNS, tables.SCAN_KEYS)
        assert table["seed"].tolist() == [3]
        assert table["seed"].dtype == "int64"
    assert tables.gather([empty], tables.SCAN_COLUMNS, tables.SCAN_KEYS).empty


def test_the_first_seed_is_each_cells_own():
    rows = [("a", "x", 1), ("a", "x", 0), ("a", "y", 2), ("b", "x", 1), ("b", "x", 1)]
    table = pd.DataFrame(rows, columns=["dataset", "architecture", "seed"])
    kept = tables.first_seed(table).itertuples(index=False, name=None)
    assert list(kept) == [("a", "x", 0), ("a", "y", 2), ("b", "x", 1), ("b", "x", 1)]
