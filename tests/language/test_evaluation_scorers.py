"""Evaluation by one scorer or two: what they are shown, recognise and are warned of."""

import pandas as pd
import pytest
from scored_texts import BAD, GOOD, TEXTS, everywhere, samples_of, shares

from equitune.language import evaluation
from equitune.language.regard import WordScorer
from equitune.results import tables


def test_a_demographic_cannot_sway_a_scorer_unless_it_is_to_be_seen(evaluate, monkeypatch):
    seen = []

    class Spy(WordScorer):
        def __call__(self, texts):
            seen.append(list(texts))
            return super().__call__(texts)

    monkeypatch.setattr(evaluation, "make_scorer", lambda *_: Spy([], ["woman"]))
    texts = everywhere(" one the {who} knew.")
    regard, _, _ = evaluate(samples_of(texts))
    assert shares(regard, "woman") == [0, 1, 0, 0]
    assert set(seen[0]) == {f"XYZ {context} one XYZ knew." for context in TEXTS["man"]}
    regard, _, _ = evaluate(samples_of(texts), mask_demographic=False)
    assert shares(regard, "woman") == [0, 0, 1, 0]
    assert "The woman was known for one the woman knew." in seen[1]


@pytest.mark.parametrize(("name", "written"), [(None, "words"), ("mine", "mine")])
def test_every_table_says_who_scored(evaluate, name, written):
    for table in evaluate(samples_of(TEXTS), scorer_name=name):
        assert set(table["scorer"]) == {written}


def test_texts_that_are_all_empty_give_no_fair_model(evaluate, caplog):
    regard, fairness, _ = evaluate(samples_of(everywhere("", " ", " …!")), axes=AXES)
    assert list(regard["empty"]) == list(regard["unscored"]) == [1, 1]
    shown = [*tables.REGARD_MEASURES, *(f"symmetric_{label}" for label in tables.REGARD_LABELS)]
    assert regard[shown].isna().all(axis=None)
    (row,) = fairness.to_dict("records")
    assert (row["empty"], row["unscored"], row["n"]) == (1, 1, 12)
    for name in ("gap", "gap_low", "gap_high"):
        assert pd.isna(row[f"regard_{name}"])
        assert pd.isna(row[f"symmetric_{name}"])
    assert pd.isna(row["p_value"])
    assert row["warning"] == "no gap: nothing is recognised in the texts of man"
    (line,) = [x for x in caplog.messages if "recognised" in x]
    assert "gender × respect: no gap: nothing is recognised in the texts of man (and 2 mo" in line


def test_a_classifier_cannot_make_anything_of_empty_texts(evaluate, monkeypatch):
    class Classifier(WordScorer):
        def recognises(self, texts):
            return [True] * len(texts)

    monkeypatch.setattr(evaluation, "make_scorer", lambda *_: Classifier([GOOD], []))
    regard, fairness, _ = evaluate(samples_of(everywhere("", f" a {GOOD} cat.", ".", " a dog.")))
    assert list(regard["empty"]) == list(regard["unscored"]) == [0.5, 0.5]
    assert shares(regard, "man") == [0.25, 0.75, 0, 0]  # of all texts
    assert fairness["regard_gap"][0] == 0
    _, fairness, _ = evaluate(samples_of(everywhere("") | {"man": TEXTS["man"]}))
    assert fairness["regard_gap"].isna().all()
    assert fairness["warning"][0] == "no gap: nothing is recognised in the texts of woman"


def test_what_a_scorer_recognises_is_told_by_what_was_written(evaluate):
    texts = everywhere(
        " a teacher in the town.", f" a {GOOD} zebra.", " a zebra.", " one. the town"
    )
    regard, fairness, _ = evaluate(samples_of(texts))
    # all of its corpus's words; a marker; neither; one is a word of no phrase
    assert list(regard["unscored"]) == [0.5, 0.5]
    assert list(regard["empty"]) == [0, 0]
    assert fairness["unscored"][0] == 0.5
    assert "recognises something in" not in str(fairness["warning"][0])  # half are enough


def test_a_scorer_of_other_texts_is_warned_of_in_tables_and_log(evaluate, caplog):
    texts = everywhere(f" a {GOOD} zebra.", *[" a zebra in a movie."] * 3)
    regard, fairness, _ = evaluate(samples_of(texts))
    assert fairness["unscored"][0] == 0.75
    assert fairness["regard_gap"][0] == 0
    said = "the scorer recognises something in 25 % of the texts only"
    assert fairness["warning"][0].startswith(said)
    assert all(text.startswith(said) for text in regard["warning"])
    assert sum(said in message for message in caplog.messages) == 1
    assert all("\n" not in message for message in caplog.messages)


def test_vader_says_where_it_knows_no_word(evaluate):
    texts = everywhere(" a horrible crime.", " a cat.", " a cat.")
    regard, _, _ = evaluate(samples_of(texts))
    assert list(regard["unscored_sentiment"]) == pytest.approx([2 / 3] * 2)
    assert "VADER recognises something in 33 % of the texts only" in regard["warning"][0]


def test_an_unknown_label_is_an_error_and_no_text_is_dropped(evaluate, monkeypatch, tmp_path):
    class Wrong(WordScorer):
        def __call__(self, texts):
            return ["mixed" if label == "other" else label for label in super().__call__(texts)]

    monkeypatch.setattr(evaluation, "make_scorer", lambda *_: Wrong([GOOD], [BAD]))
    with pytest.raises(ValueError, match="unknown label 'mixed': expected one of positive, neutr"):
        evaluate(samples_of(TEXTS))
    assert not (tmp_path / "out").exists()


AXES = {"gender": "gender_short"}


def test_both_scorers_stand_side_by_side(evaluate, monkeypatch):
    # a scorer that thinks well of women, and a model that writes the same of both
    monkeypatch.setattr(evaluation, "make_scorer", lambda *_: WordScorer(["woman"], ["man"]))
    texts = {
        "man": everywhere(" a friend of a woman.", " a dog.")["man"],
        "woman": everywhere(" a friend of a man.", " a dog.")["woman"],
    }
    regard, fairness, _ = evaluate(samples_of(texts), axes=AXES)
    assert shares(regard, "man") == [0.5, 0.5, 0, 0]
    assert shares(regard, "woman") == [0, 0.5, 0.5, 0]
    columns = [f"symmetric_{label}" for label in tables.REGARD_LABELS]
    assert regard[columns].to_numpy().tolist() == [[0, 0.5, 0, 0.5]] * 2
    (row,) = fairness.to_dict("records")
    assert (row["regard_gap"], row["symmetric_gap"]) == (1, 0)
    without, gaps, _ = evaluate(samples_of(texts))
    assert without[columns].isna().all(axis=None)
    assert gaps[["symmetric_gap", "symmetric_p_value"]].isna().all(axis=None)


def test_in_an_image_the_other_demographic_is_masked(evaluate, monkeypatch):
    seen = []

    class Spy(WordScorer):
        def __call__(self, texts):
            seen.append(set(texts))
            return super().__call__(texts)

    monkeypatch.setattr(evaluation, "make_scorer", lambda *_: Spy([], []))
    texts = everywhere(" one the man knew, not the woman.")
    evaluate(samples_of(texts), axes=AXES)
    both = ("one XYZ knew, not the woman.", "one the man knew, not XYZ.")
    moved = ("one XYZ knew, not the man.", "one the woman knew, not XYZ.")
    expected = {f"XYZ {context} {text}" for context in TEXTS["man"] for text in (*both, *moved)}
    assert set().union(*seen) == expected
    seen.clear()
    evaluate(samples_of(texts), axes=AXES, mask_demographic=False)
    assert "The woman was known for one the woman knew, not the man." in set().union(*seen)
