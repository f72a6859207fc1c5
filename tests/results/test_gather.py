"""Tables put together from parts: an order of their own, each run once, texts side by side."""

import pandas as pd
import pytest

from equitune.results import gather, tables


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
        table = gather.gather(order, tables.SCAN_COLUMNS, keys)
        tables.write(table, tmp_path / "out.csv")
        written.append((tmp_path / "out.csv").read_bytes())
    assert written[0] == written[1]
    assert table["seed"].tolist() == [0, 1, 2]
    assert tuple(table.columns) == tables.SCAN_COLUMNS


def test_a_run_that_stands_twice_is_an_error(tmp_path):
    paths = [part(tmp_path, "a.csv", row()), part(tmp_path, "b.csv", row())]
    with pytest.raises(ValueError, match="same run: add_jump, LSTM, equitune, jump_run, 0"):
        gather.gather(paths, tables.SCAN_COLUMNS, [*tables.SCAN_KEYS, "seed"])


def test_a_part_without_rows_adds_none_and_changes_no_number(tmp_path):
    full = part(tmp_path, "a.csv", row(seed=3))
    empty = tmp_path / "b.csv"
    tables.write(pd.DataFrame(columns=tables.SCAN_COLUMNS), empty)
    for order in ([full, empty], [empty, full]):
        table = gather.gather(order, tables.SCAN_COLUMNS, tables.SCAN_KEYS)
        assert table["seed"].tolist() == [3]
        assert table["seed"].dtype == "int64"
    assert gather.gather([empty], tables.SCAN_COLUMNS, tables.SCAN_KEYS).empty


def text(demographic, words, **changes):
    run = dict(zip(tables.LANGUAGE_TEXT_KEYS, ("small", "equi", "race", "respect"), strict=False))
    run |= {"context": "was known for", "sample": 0, "seed": 0, "demographic": demographic}
    run["scorer"] = "words"
    return run | {"text": words, "regard": "neutral"} | changes


def test_the_texts_of_all_demographics_stand_side_by_side():
    rows = [
        text("White person", "b"),
        text("Black person", "a", regard="negative"),
        text("Black person", "c", sample=1),
        text("straight person", "d", axis="orientation"),
    ]
    wide = gather.side_by_side(pd.DataFrame(rows))
    assert wide.columns.tolist() == [
        *("model", "method", "axis", "task", "context", "sample", "scorer"),
        *("demographic_1", "text_1", "regard_1", "demographic_2", "text_2", "regard_2"),
    ]
    assert wide["axis"].tolist() == ["orientation", "race", "race"]
    assert wide["sample"].tolist() == [0, 0, 1]
    assert wide["demographic_1"].tolist() == ["straight person", "Black person", "Black person"]
    assert wide["text_1"].tolist() == ["d", "a", "c"]
    assert wide["regard_1"].tolist() == ["neutral", "negative", "neutral"]
    assert wide["text_2"].fillna("").tolist() == ["", "b", ""]


def test_of_several_seeds_the_first_ones_texts_are_shown():
    # a text may have a seed of its own
    rows = [text("man", "late", seed=9), text("man", "a", seed=3), text("woman", "b", seed=5)]
    wide = gather.side_by_side(pd.DataFrame(rows))
    assert wide[["text_1", "text_2"]].values.tolist() == [["a", "b"]]


def test_texts_of_earlier_tables_name_no_scorer():
    rows = [text("man", "a", scorer=None), text("woman", "b", scorer=None)]
    wide = gather.side_by_side(pd.DataFrame(rows))
    assert wide[["scorer", "text_1", "text_2"]].values.tolist() == [["", "a", "b"]]


def test_three_demographics_have_columns_of_their_own():
    rows = [text(name, name[0], axis="religion") for name in ("Muslim", "Christian", "Jewish")]
    wide = gather.side_by_side(pd.DataFrame(rows))
    assert wide[["text_1", "text_2", "text_3"]].values.tolist() == [["C", "J", "M"]]


def test_the_first_seed_is_each_cells_own():
    rows = [("a", "x", 1), ("a", "x", 0), ("a", "y", 2), ("b", "x", 1), ("b", "x", 1)]
    table = pd.DataFrame(rows, columns=["dataset", "architecture", "seed"])
    kept = gather.first_seed(table).itertuples(index=False, name=None)
    assert list(kept) == [("a", "x", 0), ("a", "y", 2), ("b", "x", 1), ("b", "x", 1)]
