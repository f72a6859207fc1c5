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


def test_a_summary_has_mean_sd_and_n():
    rows = pd.DataFrame([row(seed=s, test_accuracy=a) for s, a in enumerate((0.2, 0.4, 0.9))])
    summary = tables.summarize(rows, tables.SCAN_KEYS, ["test_accuracy"])
    assert summary["mean"].tolist() == pytest.approx([0.5])
    assert summary["sd"].tolist() == pytest.approx([math.sqrt((0.09 + 0.01 + 0.16) / 2)])
    assert summary["n"].tolist() == [3]


def test_one_seed_has_no_standard_deviation():
    summary = tables.summarize(pd.DataFrame([row()]), tables.SCAN_KEYS, ["test_accuracy"])
    assert summary["sd"].isna().all()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "does not exist: run snakemake"),
        (b"", "is not a CSV table"),
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
