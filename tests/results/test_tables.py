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
        (b"\xff\xfe\x00", "line 1: byte 0xff is not UTF-8"),
        (b"task,method\n1,2\n", "lacks the columns architecture, group, seed"),
        (
            f"{','.join(tables.SCAN_COLUMNS)}\na,b,c,d,0,,0.5,1,1,1,1\na,b,c,d,0,,half,1,1,1,1\n".encode(),
            "test_accuracy is 'half': expected a number",
        ),
    ],
    ids=["missing", "empty", "no UTF-8", "too few columns", "no number"],
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
    wide = tables.side_by_side(pd.DataFrame(rows))
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
    wide = tables.side_by_side(pd.DataFrame(rows))
    assert wide[["text_1", "text_2"]].values.tolist() == [["a", "b"]]


def test_texts_of_earlier_tables_name_no_scorer():
    rows = [text("man", "a", scorer=None), text("woman", "b", scorer=None)]
    wide = tables.side_by_side(pd.DataFrame(rows))
    assert wide[["scorer", "text_1", "text_2"]].values.tolist() == [["", "a", "b"]]


def test_three_demographics_have_columns_of_their_own():
    rows = [text(name, name[0], axis="religion") for name in ("Muslim", "Christian", "Jewish")]
    wide = tables.side_by_side(pd.DataFrame(rows))
    assert wide[["text_1", "text_2", "text_3"]].values.tolist() == [["C", "J", "M"]]


def test_a_measure_that_no_run_has_is_summarized_as_of_no_run():
    rows = [(0, 0.5, None), (1, 0.7, None)]
    table = pd.DataFrame(rows, columns=["seed", "regard_gap", "perplexity"]).assign(model="texts")
    table["perplexity"] = table["perplexity"].astype(float)
    summary = tables.summarize(table, ["model"], ["regard_gap", "perplexity"])
    counts = dict(zip(summary["measure"], summary["n"], strict=True))
    assert counts == {"perplexity": 0, "regard_gap": 2}
    assert summary["mean"].isna().tolist() == [True, False]


def test_what_several_scorers_say_is_not_averaged_together():
    rows = [("words", 0, 0.2), ("words", 1, 0.4), ("tfidf", 2, 0.9), (None, 3, 0.1)]
    table = pd.DataFrame(rows, columns=["scorer", "seed", "regard_gap"]).assign(model="small")
    summary = tables.summarize(table, ["model", "scorer"], ["regard_gap"])
    means = dict(zip(summary["scorer"].fillna("unnamed"), summary["mean"], strict=True))
    assert means == pytest.approx({"tfidf": 0.9, "words": 0.3, "unnamed": 0.1})


def test_the_first_seed_is_each_cells_own():
    rows = [("a", "x", 1), ("a", "x", 0), ("a", "y", 2), ("b", "x", 1), ("b", "x", 1)]
    table = pd.DataFrame(rows, columns=["dataset", "architecture", "seed"])
    kept = tables.first_seed(table).itertuples(index=False, name=None)
    assert list(kept) == [("a", "x", 0), ("a", "y", 2), ("b", "x", 1), ("b", "x", 1)]


def test_columns_that_were_added_later_are_empty_in_earlier_tables(tmp_path):
    path = tmp_path / "fairness.csv"
    old = [name for name in tables.FAIRNESS_COLUMNS if name not in tables.ADDED]
    assert old[-3:] == ["pair", "p_value", "n"]
    row = ["small", "plain", "race", "respect", 0, 0.1, 0, 0.2, 0.3, 8, "a/b", 0.5, 20]
    pd.DataFrame([row], columns=old).to_csv(path, index=False)
    table = tables.read(path, tables.FAIRNESS_COLUMNS)
    assert table[old].values.tolist() == [row]
    assert table[[*tables.ADDED & set(tables.FAIRNESS_COLUMNS)]].isna().all(axis=None)
    summary = tables.summarize(table, tables.FAIRNESS_KEYS, tables.FAIRNESS_MEASURES)
    assert dict(zip(summary["measure"], summary["n"], strict=True))["symmetric_gap"] == 0
    path.write_text(path.read_text().replace("p_value", "pvalue"))
    with pytest.raises(ValueError, match=r"fairness\.csv lacks the columns p_value; see results"):
        tables.read(path, tables.FAIRNESS_COLUMNS)


def test_a_warning_is_text(tmp_path):
    path = tmp_path / "regard.csv"
    path.write_text("warning,unscored\nNA,0.5\n,0\n")
    table = tables.read(path, ["warning", "unscored"])
    assert table["warning"].tolist()[0] == "NA"
    assert table["warning"].isna().tolist() == [False, True]


def test_a_method_that_has_another_name_now_is_read_under_it_and_said(tmp_path, caplog):
    old, new = tmp_path / "old.csv", tmp_path / "new.csv"
    old.write_text("method,value\ngpt2,1\nequi,2\n", encoding="utf-8")
    new.write_text("method,value\nplain,1\nequi,2\n", encoding="utf-8")
    assert list(tables.read(old, ("method", "value"))["method"]) == ["plain", "equi"]
    assert [record.getMessage() for record in caplog.records] == [
        f"{old}: method gpt2 is read as plain"
    ]
    caplog.clear()
    assert tables.read(new, ("method", "value")).equals(tables.read(old, ("method", "value")))
