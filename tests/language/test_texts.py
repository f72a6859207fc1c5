"""Texts of another system: read, paired, scored and compared without a model or prompts."""

import itertools
import json
import sys

import numpy as np
import pandas as pd
import pytest

from equitune import cli
from equitune.config import TextColumns
from equitune.language import fairness, own_scorer, prompts
from equitune.language.texts import read_texts

GROUPS = ("old", "young", "middle-aged")
ROWS = [
    {"text": f"Text {pair}, of {group}.\nMore", "group": group, "pair": str(pair)}
    for pair in range(3)
    for group in GROUPS
]
PAIRED = TextColumns(pair="pair")


def write(path, rows, columns=("text", "group", "pair")):
    """Write rows in the format that the file's name says."""
    if path.suffix == ".jsonl":
        path.write_text("\n\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    else:
        separator = "\t" if path.suffix == ".tsv" else ","
        table = pd.DataFrame(rows, columns=list(columns))
        table.to_csv(path, index=False, sep=separator, lineterminator="\r\n")
    return path


def read(path, columns=PAIRED):
    return read_texts(path, columns, "bot", "age")


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl"])
def test_every_row_is_a_text_of_its_group(tmp_path, suffix):
    samples = read(write(tmp_path / f"answers{suffix}", ROWS))
    found = [(x.continuation.replace("\r\n", "\n"), x.demographic, x.context) for x in samples]
    assert found == [(row["text"], row["group"], row["pair"]) for row in ROWS]
    assert {(x.model, x.method, x.axis, x.task, x.prompt) for x in samples} == {
        ("bot", "plain", "age", "texts", "")
    }
    unpaired = read(write(tmp_path / f"answers{suffix}", ROWS), TextColumns())
    assert {x.context for x in unpaired} == {""}
    assert [x.sample for x in unpaired if x.demographic == "old"] == [0, 1, 2]


def test_parquet_is_read_by_pandas(tmp_path, monkeypatch):
    file = tmp_path / "answers.parquet"
    file.write_bytes(b"what pandas reads")
    monkeypatch.setattr(pd, "read_parquet", lambda _: pd.DataFrame(ROWS))
    assert len(read(file)) == len(ROWS)

    def absent(_):
        raise ImportError("no pyarrow")

    monkeypatch.setattr(pd, "read_parquet", absent)
    with pytest.raises(ValueError, match="needs pyarrow: pip install pyarrow, or save the texts"):
        read(file)


def test_columns_have_the_names_they_have(tmp_path):
    rows = [{"answer": row["text"], "who": row["group"], "text": "other"} for row in ROWS]
    file = write(tmp_path / "a.csv", rows, ("answer", "who", "text"))
    samples = read(file, TextColumns(text="answer", group="who"))
    assert samples[0].continuation.startswith("Text 0")


def test_pairs_that_lack_a_group_are_left_out_with_a_count(tmp_path, caplog):
    samples = read(write(tmp_path / "a.csv", ROWS[:-1]))
    assert {x.context for x in samples} == {"0", "1"}
    assert "1 of 3 pairs lack a group and are left out" in caplog.text


@pytest.mark.parametrize(
    ("rows", "columns", "text"),
    [
        ([], PAIRED, "holds no texts: expected one in each row"),
        (ROWS[:1], PAIRED, "has one group, 'old': expected two or more"),
        (ROWS, TextColumns(group="grp"), "line 3: no column 'grp'; did you mean 'group'"),
        ([*ROWS, ROWS[0]], PAIRED, "pair '0' has two texts of 'old': expected one"),
        (ROWS[:1] + ROWS[4:5], PAIRED, "no pair has a text of 'old', 'young'"),
        ([ROWS[0], {"text": "", "group": "old", "pair": "1"}], PAIRED, "text is empty: fill it in"),
    ],
    ids=["none", "one group", "column", "twice", "no pair", "empty"],
)
def test_what_cannot_be_compared_is_one_line(tmp_path, rows, columns, text):
    file = write(tmp_path / "a.csv", rows)
    with pytest.raises(ValueError, match=r"a\.csv") as error:
        read(file, columns)
    assert text in str(error.value)
    assert "\n" not in str(error.value)


def test_another_suffix_and_a_missing_file_are_named(tmp_path):
    with pytest.raises(ValueError, match="does not exist: expected a file of texts"):
        read(tmp_path / "gone.csv")
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(ValueError, match=r"has suffix '\.txt'"):
        read(tmp_path / "a.txt")


def counts(values):
    """Counts (demographics, contexts, 4) of one text each, from regard +1, 0, -1."""
    places = {1: 0, 0: 1, -1: 2}
    found = np.zeros((*np.shape(values), 4), dtype=np.int64)
    for who, context in np.ndindex(np.shape(values)):
        found[who, context, places[int(values[who][context])]] = 1
    return found


def test_paired_texts_are_compared_pair_by_pair():
    random = np.random.default_rng(0)
    base = random.integers(-1, 2, size=200)
    worse = np.where(random.random(200) < 0.2, np.maximum(base - 1, -1), base)
    gap = fairness.regard_gap(counts([base, worse]))
    differences = base - worse
    assert gap.gap == pytest.approx(differences.mean())
    # the standard error of a mean of differences, in a plain formula
    half = 1.96 * differences.std(ddof=1) / 200**0.5
    assert (gap.low, gap.high) == pytest.approx((gap.gap - half, gap.gap + half), abs=0.006)
    assert gap.p_value < 1e-3
    assert gap.n == 400
    whole = counts([base, worse]).sum(1, keepdims=True)
    unpaired = fairness.regard_gap(whole)
    assert gap.high - gap.low < 0.6 * (unpaired.high - unpaired.low)


def test_the_permutation_test_is_that_of_all_exchanges():
    values = np.array([[1, 1, 0, 1, 0, 1, 1, -1, 1, 1], [0, 1, 0, -1, 0, 1, 0, -1, 1, 0]])
    gap = fairness.regard_gap(counts(values))
    differences = values[0] - values[1]
    signs = np.array(list(itertools.product((1, -1), repeat=10)))
    exact = (np.abs(signs @ differences) >= abs(differences.sum())).mean()
    assert gap.p_value == pytest.approx(exact, abs=0.015)


def test_pairs_without_a_difference_and_few_pairs_have_no_interval():
    same = counts([[1, 0] * 10, [1, 0] * 10])
    assert np.isnan(fairness.regard_gap(same).low)
    assert fairness.regard_gap(counts([[1] * 9, [0] * 9])).thin == (0, 0)


def test_three_groups_have_the_pair_that_differs_most():
    random = np.random.default_rng(1)
    values = random.integers(-1, 2, size=(3, 40))
    values[2] = np.minimum(values[2], 0)
    gap = fairness.regard_gap(counts(values))
    means = values.mean(1)
    first, second = gap.pair
    assert gap.gap == pytest.approx(means[first] - means[second])
    assert abs(gap.gap) == pytest.approx(max(means) - min(means))
    assert gap.low < gap.gap < gap.high


def test_from_a_table_to_the_tables_by_a_scorer_of_ones_own(tmp_path, monkeypatch):
    words = {"old": "bad", "young": "good"}
    rows = [
        {"text": f"This is {words[who] if n % 3 else 'plain'}.", "group": who, "pair": str(n)}
        for n in range(12)
        for who in words
    ]
    (tmp_path / "scorer_of_age.py").write_text(
        "def label(texts):\n"
        "    known = {'good': 'positive', 'bad': 'negative'}\n"
        "    return [known.get(text.split()[-1].strip('.'), 'neutral') for text in texts]\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    source = write(tmp_path / "answers.csv", rows)
    outputs = {name: tmp_path / f"{name}.csv" for name in ("regard", "fairness", "texts")}
    common = ["--source", source, "--model", "bot", "--axis", "age", "--output", "s.jsonl"]
    run = ["language", "texts", *common, "--columns", "{pair: pair}"]
    assert cli.run([*map(str, run)]) == 0
    scorer = "{kind: python, location: scorer_of_age:label}"
    run = ["language", "evaluate", "s.jsonl", "--scorer", scorer, "--seed", 0]
    options = {"--output": "regard", "--fairness": "fairness", "--texts": "texts"}
    run += [x for option, name in options.items() for x in (option, outputs[name])]
    assert cli.run([*map(str, run)]) == 0
    (row,) = pd.read_csv(outputs["fairness"]).to_dict("records")
    assert (row["model"], row["axis"], row["task"], row["pair"]) == (
        "bot",
        "age",
        "texts",
        "old/young",
    )
    assert row["regard_gap"] == pytest.approx(-2 * 8 / 12)
    assert row["regard_gap_low"] < row["regard_gap"] < row["regard_gap_high"] < 0
    assert row["n"] == 24
    shares = pd.read_csv(outputs["regard"]).set_index("demographic")
    assert shares.loc["young", "positive"] == pytest.approx(8 / 12)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("nothing", "'nothing' is not an import path: expected module:function"),
        ("no_such_module_at_all:f", "cannot be imported: No module named"),
        ("json:nothing", "cannot be imported: module 'json' has no attribute"),
        ("string:digits", "is str: expected a function"),
        ("broken_scorer:f", "cannot be imported: ZeroDivisionError: division by zero"),
    ],
    ids=["no colon", "no module", "no name", "no function", "fails"],
)
def test_a_scorer_that_cannot_be_had_is_one_line(path, text, tmp_path, monkeypatch):
    (tmp_path / "broken_scorer.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValueError, match="the scorer") as error:
        own_scorer.load_scorer(path)
    assert text in str(error.value)


def test_a_scorer_answers_for_itself():
    class Mine:
        def __call__(self, texts):
            return ["positive"] * len(texts)

        def recognises(self, texts):
            return [text == "known" for text in texts]

    class Half(Mine):
        def recognises(self, texts):
            return [True]

    scorer = own_scorer.OwnScorer(Mine(), "mine")
    assert scorer(["known", "x"]) == ["positive"] * 2
    assert scorer.recognises(["known", "x"]) == [True, False]
    assert own_scorer.OwnScorer(lambda texts: texts, "f").recognises(["a"]) == [True]
    with pytest.raises(ValueError, match="f gave 0 labels of 1 texts"):
        own_scorer.OwnScorer(lambda _: [], "f")(["a"])
    with pytest.raises(ValueError, match="gave 1 answers of 2 texts"):
        own_scorer.OwnScorer(Half(), "f").recognises(["a", "b"])


LONG = "a text of many words that goes on and on " * 9
FAULTS = {
    "label": (
        lambda texts: ["other" if x == "bold" else "good" for x in texts],
        "on the text 'zzz a text of many words",
        "unknown label 'good'",
    ),
    "error": (
        lambda texts: ["other" for x in texts if "b".index(x[0]) == 0],
        "failed on the text 'zzz a text of many words",
        "ValueError: 'substring not found' (test_texts.py, line ",
    ),
    "nothing": (lambda _: None, "the scorer mine:label", "gave None: expected a list of labels"),
    "text": (lambda _: "other", "the scorer mine:label", "gave 'other': expected a list of labels"),
}


@pytest.mark.parametrize(("label", "text", "said"), FAULTS.values(), ids=FAULTS.keys())
def test_a_scorer_that_fails_is_named_with_the_text(label, text, said):
    scorer = own_scorer.OwnScorer(label, "mine:label")
    with pytest.raises(ValueError, match=r"mine:label") as error:
        scorer(["bold", f"zzz {LONG}"])
    message = str(error.value)
    assert said in message
    assert text in message
    assert len(message) < 300
    assert "\n" not in message


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("他是医生。她是护士。", "他是医生。"),
        ("「はい。」と言った。", "「はい。」"),
        ("वह डॉक्टर है। वह नर्स है।", "वह डॉक्टर है।"),
        ("هل هو طبيب؟ نعم.", "هل هو طبيب؟"),
        ("Il est médecin. Elle aussi.", "Il est médecin."),
    ],
    ids=["Chinese", "Japanese", "Hindi", "Arabic", "French"],
)
def test_sentences_end_as_their_writing_ends_them(text, first):
    assert prompts.first_sentence(text) == first
