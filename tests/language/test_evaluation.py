"""Evaluation: texts masked, cut and scored, and the three tables that come of them."""

from dataclasses import replace

import pandas as pd
import pytest
from scored_texts import BAD, GOOD, TEXTS, TFIDF, everywhere, samples_of, shares

from equitune.language import evaluation
from equitune.language.prompts import read_prompts
from equitune.language.samples import read_published, write_samples
from equitune.language.scorers import train_scorer
from equitune.language.sentiment import sentiment
from equitune.results import tables


def test_shares_and_gap_are_those_worked_out_by_hand(evaluate):
    regard, fairness, _ = evaluate(samples_of(TEXTS), seed=3)
    assert tuple(regard.columns) == tables.REGARD_COLUMNS
    assert tuple(fairness.columns) == tables.FAIRNESS_COLUMNS
    assert list(regard["demographic"]) == ["man", "woman"]
    assert shares(regard, "man") == [0.5, 0.25, 0.25, 0]
    assert shares(regard, "woman") == [0, 0.25, 0.5, 0.25]
    assert set(regard["n"]) == {4}
    assert set(regard["seed"]) == set(fairness["seed"]) == {3}
    (row,) = fairness.to_dict("records")
    assert (row["model"], row["method"], row["axis"], row["task"]) == (
        "small",
        "plain",
        "gender",
        "respect",
    )
    # man: (1 + -1/2) / 2, woman: (-1/2 + -1/2) / 2
    assert row["regard_gap"] == pytest.approx(0.75)
    assert pd.isna(row["regard_gap_low"])
    assert pd.isna(row["regard_gap_high"])
    assert pd.isna(row["p_value"])
    assert "no interval: 2 texts of man, was known for, fewer than 10" in row["warning"]
    assert row["pair"] == "man/woman"
    assert row["n"] == 8
    assert pd.isna(row["counterfactual_tv"])
    assert pd.isna(row["perplexity"])


def test_with_enough_texts_a_gap_has_its_interval(evaluate):
    many = {who: {c: t * 5 for c, t in parts.items()} for who, parts in TEXTS.items()}
    many["man"]["was known for"][0] = many["woman"]["was described as"][0] = " a man."
    _, fairness, _ = evaluate(samples_of(many))
    (row,) = fairness.to_dict("records")
    assert row["regard_gap_low"] < row["regard_gap"] < row["regard_gap_high"]
    assert 0 < row["p_value"] <= 1
    assert pd.isna(row["warning"])


def test_sentiment_is_the_mean_of_the_texts_that_were_scored(evaluate):
    texts = everywhere(" a cat.", " a cat.")
    texts["woman"] = texts["woman"] | {
        "was known for": [" a horrible crime. A kind man.", " a cat."]
    }
    regard, _, _ = evaluate(samples_of(texts))
    expected = sentiment(["XYZ was known for a horrible crime."])[0] / 4
    assert expected < -0.1
    assert list(regard["sentiment"]) == pytest.approx([0, expected])


def test_each_file_is_a_method_with_the_measures_of_its_folder(evaluate):
    methods = ("plain", "equi")
    measures = [
        pd.DataFrame([("gender", "respect", tv, 7.5)], columns=tables.MEASURE_COLUMNS)
        for tv in (0.25, 0)
    ]
    files = [samples_of(TEXTS, method) for method in methods]
    regard, fairness, texts = evaluate(*files, measures=measures)
    assert list(fairness["method"]) == list(methods)
    assert list(fairness["counterfactual_tv"]) == [0.25, 0]
    assert list(fairness["perplexity"]) == [7.5, 7.5]
    assert list(regard["method"]) == ["plain", "plain", "equi", "equi"]
    assert list(texts["method"].value_counts()) == [8, 8]


def test_the_first_texts_of_each_prompt_are_shown_whole(evaluate):
    several = {who: {c: [*t, " x. y."] for c, t in parts.items()} for who, parts in TEXTS.items()}
    _, _, texts = evaluate(samples_of(several))
    assert tuple(texts.columns) == tables.LANGUAGE_TEXT_COLUMNS
    assert len(texts) == 2 * 2 * evaluation.SHOWN
    first = texts.iloc[0]
    assert first["text"] == f"The man was known for a {GOOD} act."
    assert (first["context"], first["sample"], first["regard"]) == ("was known for", 0, "positive")


def test_the_order_of_the_texts_does_not_matter(evaluate):
    samples = samples_of(TEXTS)
    one, other = evaluate(samples), evaluate(samples[::-1])
    for table, again in zip(one[:2], other[:2], strict=True):
        pd.testing.assert_frame_equal(table, again)


def test_only_the_first_sentence_counts_unless_all_do(evaluate):
    texts = everywhere(f" a cat. A {BAD} act.")
    regard, _, _ = evaluate(samples_of(texts))
    assert shares(regard, "man") == [0, 1, 0, 0]
    regard, _, _ = evaluate(samples_of(texts), cut=False)
    assert shares(regard, "man") == [0, 0, 1, 0]


def test_a_prompt_without_texts_is_named(evaluate, tmp_path):
    samples = [
        s for s in samples_of(TEXTS) if (s.demographic, s.context[:7]) != ("woman", "was kno")
    ]
    with pytest.raises(ValueError, match="gender, respect: no text of 'The woman was known for'"):
        evaluate(samples)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"demographic": "dog"}, "a text of 'dog' 'was known for', but no such prompt: pass --pro"),
        ({"axis": "gendre"}, "unknown axis 'gendre'; did you mean 'gender'"),
        ({"task": "resect"}, "unknown task 'resect'; did you mean 'respect'"),
    ],
)
def test_a_text_of_no_known_prompt_is_named(evaluate, changes, message):
    samples = samples_of(TEXTS)
    with pytest.raises(ValueError, match=message) as caught:
        evaluate([*samples, replace(samples[0], **changes)])
    assert "\n" not in str(caught.value)


def test_measures_of_other_columns_are_named(evaluate):
    with pytest.raises(ValueError, match=r"measures\.csv.*perplexity"):
        evaluate(samples_of(TEXTS), measures=[pd.DataFrame({"axis": [], "task": []})])


def test_a_lexicon_that_is_none_is_named_before_anything_is_read(evaluate, tmp_path):
    with pytest.raises(ValueError, match="unknown lexicon 'gendr'"):
        evaluate(samples_of(TEXTS), axes={"gender": "gendr"})
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def published(shared, tmp_path_factory):
    """The 6 000 published texts, scored by the published sentences' TF-IDF: the tables."""
    folder, own = shared / "mirror" / "nlg-bias", tmp_path_factory.mktemp("published")
    source = folder / "generated" / "small_gpt2_generated_samples.tsv"
    write_samples(own / "samples.jsonl", read_published(source, read_prompts(), "published"))
    parts = [folder / f"{part}.tsv" for part in ("train", "dev", "test")]
    train_scorer(*parts, own / "scorer", own / "accuracy.csv")
    outputs = [own / f"{name}.csv" for name in ("regard", "fairness", "texts")]
    axes = {"gender": "gender_short", "race": "race", "orientation": "orientation"}
    evaluation.evaluate(
        *([own / "samples.jsonl"], [], TFIDF, own / "scorer", 0, evaluation.Outputs(*outputs)),
        axes=axes,
    )
    return [pd.read_csv(path) for path in outputs]


def test_the_published_texts_fill_every_cell(published):
    regard, fairness, texts = published
    cells = regard.groupby(["axis", "task"])["demographic"].nunique()
    assert len(regard) == 12
    assert list(cells) == [2] * 6
    assert set(regard["n"]) == {500}
    assert regard[list(tables.REGARD_LABELS)].sum(axis=1).to_numpy() == pytest.approx(1)
    assert set(fairness["n"]) == {1000}
    assert fairness[["counterfactual_tv", "perplexity"]].isna().all(axis=None)
    assert len(texts) == 60 * evaluation.SHOWN


def test_the_gap_of_a_published_cell_is_that_of_its_shares(published):
    """With as many texts in each context, the mean over contexts is the mean over texts."""
    regard, fairness, _ = published
    means = (regard["positive"] - regard["negative"]).to_numpy().reshape(6, 2)
    assert fairness["regard_gap"].to_numpy() == pytest.approx(means[:, 0] - means[:, 1])
    names = regard["demographic"].to_numpy().reshape(6, 2)
    assert list(fairness["pair"]) == ["/".join(pair) for pair in names]


def test_part_of_a_published_gap_is_the_scorers_own(published):
    _, fairness, _ = published
    rows = fairness.set_index(["axis", "task"])
    row = rows.loc["orientation", "respect"]
    assert row["regard_gap"] < row["symmetric_gap"] - 0.02  # -0.538 and -0.500
    assert row["symmetric_gap_high"] < 0
    assert fairness[["symmetric_gap_low", "symmetric_p_value"]].notna().all(axis=None)
    assert (fairness["empty"] == 0).all()
