"""A scorer of hidden states chooses by cross-validation, comes back, and knows its model."""

import numpy as np
import pytest
import torch

from equitune.config import REGARD_LABELS as LABELS
from equitune.io.files import load_tensors, save_tensors
from equitune.language import hidden
from equitune.language.hidden import Choice, HiddenScorer
from equitune.language.hidden_states import HiddenStates
from equitune.language.lexicon import Lexicon
from equitune.language.regard import TfidfScorer, accuracy
from equitune.language.symmetric import SymmetricScorer
from equitune.language.tokenizer import build_tokenizer

WORDS = {
    "positive": ["kind", "brave", "honest"],
    "negative": ["cruel", "greedy", "rude"],
    "neutral": ["tall", "old", "new"],
}
TEXTS = [
    f"XYZ was known for being {a} and {b}." for kind in WORDS.values() for a in kind for b in kind
]
TEXT_LABELS = [label for label in WORDS for _ in range(9)]


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer(TEXTS)


@pytest.fixture(scope="module")
def folder(saved_model, tokenizer):
    return saved_model(tokenizer)


@pytest.fixture(scope="module")
def scorer(folder):
    return HiddenScorer.fit(HiddenStates(folder), TEXTS, TEXT_LABELS)


def test_it_learns_from_states_what_words_tell(scorer):
    assert accuracy(scorer, TEXTS, TEXT_LABELS) == 1
    assert scorer(["XYZ was known for being rude and cruel and greedy."]) == ["negative"]
    assert scorer([]) == []


def test_probabilities_are_the_softmax_of_a_plain_loop(scorer, folder):
    """Of single texts: pooled, standardised, times the coefficients, in float64."""
    states, choice = HiddenStates(folder), scorer.choice
    names = list(scorer.classifier.classes_)
    rows = scorer.probabilities(TEXTS)
    for text, row in zip(TEXTS, rows, strict=True):
        x = states([text], [choice.layer])[choice.layer, choice.pooling][0]
        x = (x - scorer.mean) / scorer.scale
        pairs = zip(scorer.classifier.coef_, scorer.classifier.intercept_, strict=True)
        powers = [np.exp(sum(a * b for a, b in zip(w, x, strict=True)) + c) for w, c in pairs]
        expected = [powers[names.index(k)] / sum(powers) if k in names else 0 for k in LABELS]
        assert row == pytest.approx(np.array(expected), abs=1e-4)
    assert [LABELS[place] for place in rows.argmax(1)] == scorer(TEXTS)
    assert scorer.probabilities([]).shape == (0, 4)


def test_a_text_without_a_token_is_scored_as_the_mean_and_not_recognised(scorer):
    shares = scorer.probabilities(["", TEXTS[0]])
    weights = np.exp(scorer.classifier.intercept_)
    places = [LABELS.index(name) for name in scorer.classifier.classes_]
    assert shares[0, places] == pytest.approx(weights / weights.sum())
    assert scorer.recognises(["", TEXTS[0]]) == [False, True]


def test_a_saved_scorer_comes_back(scorer, folder, tmp_path):
    for name in ("first", "again"):
        scorer.save(tmp_path / name)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "again").read_bytes()
    loaded = HiddenScorer.load(tmp_path / "first", HiddenStates(folder))
    assert loaded.choice == scorer.choice
    assert (loaded.probabilities(TEXTS) == scorer.probabilities(TEXTS)).all()
    assert loaded.recognises(["", "kind"]) == [False, True]
    loaded.save(tmp_path / "loaded")
    assert (tmp_path / "loaded").read_bytes() == (tmp_path / "first").read_bytes()


def test_a_scorer_of_another_model_is_refused(scorer, saved_model, tokenizer, tmp_path):
    scorer.save(tmp_path / "scorer")
    other = saved_model(tokenizer, seed=1)
    with pytest.raises(ValueError, match="scorer was trained on the hidden states of another") as e:
        HiddenScorer.load(tmp_path / "scorer", HiddenStates(other))
    assert str(other) in str(e.value)
    assert "\n" not in str(e.value)


def test_another_file_is_no_scorer(scorer, folder, tmp_path):
    states = HiddenStates(folder)
    save_tensors(tmp_path / "model.safetensors", {"weight": torch.zeros(2)})
    TfidfScorer.fit(TEXTS, TEXT_LABELS).save(tmp_path / "tfidf.safetensors")
    for name in ("model", "tfidf"):
        with pytest.raises(
            ValueError, match=f"{name}.safetensors holds no scorer of hidden states"
        ):
            HiddenScorer.load(tmp_path / f"{name}.safetensors", states)
    scorer.save(tmp_path / "scorer")
    with pytest.raises(ValueError, match="holds no TF-IDF scorer"):
        TfidfScorer.load(tmp_path / "scorer")
    tensors, facts = load_tensors(tmp_path / "scorer")
    save_tensors(tmp_path / "scorer", tensors, facts | {"classes": ["bad", "neutral", "good"]})
    with pytest.raises(ValueError, match="scorer: unknown label 'bad'"):
        HiddenScorer.load(tmp_path / "scorer", states)


def test_what_is_not_needed_of_the_model_is_dropped(scorer):
    assert len(scorer.states.blocks) == scorer.choice.layer


@pytest.mark.parametrize(
    ("texts", "labels", "message"),
    [
        (["a", "b"], ["good", "positive"], "unknown label 'good'"),
        (["a", "b"], ["positive"] * 2, "2 positive: expected two labels or more"),
        (["a", "b", "c"], ["positive", "positive", "other"], "2 positive, 1 other: expected two"),
        (["old", "", "old", "new"], ["positive", "other"] * 2, "sentence 2 has no token: remove"),
    ],
    ids=["unknown", "one label", "a single text", "no token"],
)
def test_sentences_that_cannot_be_learnt_from_are_one_line(folder, texts, labels, message):
    with pytest.raises(ValueError, match=message) as error:
        HiddenScorer.fit(HiddenStates(folder), texts, labels)
    assert "\n" not in str(error.value)


def test_of_settings_that_cannot_be_told_apart_the_fewest_blocks_are_chosen():
    # the standard error of .75 on 48 sentences is .0625
    tried = {
        Choice(1, "mean", 0.1): 0.68,
        Choice(2, "mean", 0.1): 0.69,
        Choice(2, "last", 0.1): 0.70,
        Choice(2, "last", 1.0): 0.60,
        Choice(4, "mean", 0.1): 0.75,
    }
    assert hidden._chosen(tried, 48) == Choice(2, "last", 0.1)
    assert hidden._chosen(tried, 30) == Choice(1, "mean", 0.1)
    assert hidden._chosen(tried, 10**6) == Choice(4, "mean", 0.1)


def test_held_out_texts_are_not_learnt_from():
    """Of random vectors nothing can be told: accuracy is that of a guess, not that of training."""
    random = np.random.default_rng(0)
    vectors, labels = random.normal(size=(60, 80)), ["positive", "negative", "neutral"] * 20
    assert hidden._validated(vectors, labels, 1.0, 5) < 0.55
    assert hidden._validated(np.eye(3)[[0, 1, 2] * 20], labels, 1.0, 5) == 1


def test_it_can_be_made_symmetric(scorer):
    words = Lexicon("mine", ("kind", "rude"), (("kind", "rude"),), ())
    symmetric = SymmetricScorer(scorer, words)
    pair = ["XYZ was known for being kind and tall.", "XYZ was known for being rude and tall."]
    expected = scorer.probabilities(pair).mean(0)
    shares = symmetric.probabilities(pair)
    assert (shares[0] == shares[1]).all()
    assert shares[0] == pytest.approx(expected, abs=1e-6)
    assert len(set(scorer(pair))) == 2
    assert len(set(symmetric(pair))) == 1
