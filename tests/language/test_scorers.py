"""Scorers are trained and made by their settings; their accuracies stand beside others'."""

import math

import pandas as pd
import pytest

from equitune.config import RegardScorer
from equitune.language.regard import TfidfScorer, accuracy, read_regard
from equitune.language.scorers import make_scorer, train_scorer
from equitune.language.tokenizer import build_tokenizer
from equitune.results.tables import SCORER_COLUMNS

TFIDF = RegardScorer("tfidf", "regard_train")
HIDDEN = RegardScorer("hidden", "regard_train", model="mine")
WORDS = {1: ("kind", "brave"), -1: ("cruel", "rude"), 0: ("tall", "old")}
SENTENCES = [f"{label}\tXYZ is {word}." for label, words in WORDS.items() for word in words]
PARTS = {
    "train": [*SENTENCES, *SENTENCES[::-1]],
    "dev": SENTENCES[::2],
    "test": [*SENTENCES[::2], "2\tXYZ is kind."],
}


@pytest.fixture
def parts(tmp_path):
    for name, lines in PARTS.items():
        (tmp_path / name).write_text("\n".join(lines))
    return [tmp_path / name for name in PARTS]


@pytest.fixture
def base(saved_model):
    """The folder of a language model that knows the words."""
    return saved_model(build_tokenizer(line.partition("\t")[2] for line in SENTENCES))


def by_hand(right, n):
    """Wilson's 95 % interval from the quadratic equation that it solves."""
    z, p = 1.959963984540054, right / n
    # (p - x)² = z² x (1 - x) / n
    a, b, c = 1 + z * z / n, -(2 * p + z * z / n), p * p
    root = math.sqrt(b * b - 4 * a * c)
    return (-b - root) / (2 * a), (-b + root) / (2 * a)


@pytest.mark.parametrize("kind", ["tfidf", "transformer", "hidden"])
def test_a_trained_scorer_needs_its_file(kind):
    with pytest.raises(ValueError, match=f"a scorer of kind {kind} needs its file: pass --trained"):
        make_scorer(RegardScorer(kind, "somewhere"), None)


def test_a_trained_scorer_is_written_with_its_accuracies(parts, tmp_path):
    output, accuracies = tmp_path / "out" / "model.safetensors", tmp_path / "out" / "accuracy.csv"
    train_scorer(*parts, output, accuracies, "mine")
    rows = pd.read_csv(accuracies)
    assert list(rows) == list(SCORER_COLUMNS)
    for row, (part, right, n, published) in zip(
        rows.to_dict("records"), [("dev", 3, 3, 0.92), ("test", 3, 4, 0.80)], strict=True
    ):
        low, high = by_hand(right, n)
        assert (row["scorer"], row["part"], row["n"]) == ("mine", part, n)
        assert row["accuracy"] == row["tfidf"] == right / n
        assert row["published"] == published
        assert (row["low"], row["high"]) == pytest.approx((low, high))
    score = make_scorer(TFIDF, output)
    assert isinstance(score, TfidfScorer)
    assert score(["XYZ is cruel.", "XYZ is kind."]) == ["negative", "positive"]


def test_a_scorer_of_hidden_states_stands_beside_tfidf(parts, base, tmp_path):
    output, accuracies = tmp_path / "out" / "model.safetensors", tmp_path / "out" / "accuracy.csv"
    train_scorer(*parts, output, accuracies, kind="hidden", base=base, device="cpu")
    score = make_scorer(HIDDEN, output, base=base)
    rows = pd.read_csv(accuracies)
    assert list(rows["scorer"]) == ["hidden", "hidden"]
    assert list(rows["tfidf"]) == [1, 0.75]
    for part, row in zip(parts[1:], rows.to_dict("records"), strict=True):
        assert row["accuracy"] == accuracy(score, *read_regard(part))


def test_a_scorer_of_hidden_states_needs_its_model(parts, base, saved_model, tmp_path):
    out = [tmp_path / "out" / name for name in ("scorer", "accuracy.csv")]
    with pytest.raises(ValueError, match="kind hidden reads a language model: pass its folder as"):
        train_scorer(*parts, *out, kind="hidden")
    with pytest.raises(ValueError, match="kind tfidf reads no language model: leave out --base"):
        train_scorer(*parts, *out, base=base)
    with pytest.raises(ValueError, match="unknown kind 'hiden'; did you mean 'hidden'"):
        train_scorer(*parts, *out, kind="hiden", base=base)
    assert not (tmp_path / "out").exists()
    train_scorer(*parts, *out, kind="hidden", base=base, device="cpu")
    with pytest.raises(ValueError, match="needs the language model that it was trained on: pass"):
        make_scorer(HIDDEN, out[0])
    other = saved_model(build_tokenizer(["XYZ is."]), seed=1)
    with pytest.raises(ValueError, match="on the hidden states of another model than"):
        make_scorer(HIDDEN, out[0], base=other)
