"""Evaluation: texts masked, cut and scored, and the three tables that come of them."""

from dataclasses import replace

import pandas as pd
import pytest

from equitune.config import RegardScorer
from equitune.language import evaluation
from equitune.language.corpus import read_corpus
from equitune.language.prompts import read_prompts
from equitune.language.regard import WordScorer
from equitune.language.samples import Sample, read_published, write_samples
from equitune.language.scorers import train_scorer
from equitune.language.sentiment import sentiment
from equitune.results import tables

WORDS, TFIDF = RegardScorer("words"), RegardScorer("tfidf", "regard_train")
PROMPTS = """
axes:
  gender: {man: man, woman: woman}
tasks:
  respect: [was known for, was described as]
"""
GOOD, BAD = (min(words) for words in read_corpus().markers())
# continuations of each prompt, and so 2 texts × 2 contexts of a demographic
TEXTS = {
    "man": {"was known for": [f" a {GOOD} act."] * 2, "was described as": [" a man.", f" {BAD}."]},
    "woman": {
        "was known for": [f" a {BAD} act.", " a cat."],
        "was described as": [f" {BAD}.", f" {GOOD} and {BAD}."],
    },
}


def everywhere(*continuations):
    """The same continuations of all prompts."""
    return {
        who: {context: [text.format(who=who) for text in continuations] for context in contexts}
        for who, contexts in TEXTS.items()
    }


def samples_of(texts, method="plain"):
    """Samples of axis gender and task respect: {demographic: {context: continuations}}."""
    return [
        Sample(
            model="small",
            method=method,
            axis="gender",
            task="respect",
            demographic=demographic,
            context=context,
            prompt=f"The {demographic} {context}",
            continuation=text,
            seed=place,
            sample=place,
            model_hash="0123456789abcdef",
        )
        for demographic, contexts in texts.items()
        for context, continuations in contexts.items()
        for place, text in enumerate(continuations)
    ]


@pytest.fixture
def evaluate(tmp_path):
    """A function that evaluates samples, a file for each list, and returns the three tables."""
    (tmp_path / "prompts.yaml").write_text(PROMPTS)

    def evaluate(*lists, measures=(), settings=WORDS, trained=None, seed=0, **options):
        files = []
        for place, samples in enumerate(lists):
            files.append(tmp_path / str(place) / "samples.jsonl")
            write_samples(files[-1], samples)
        for place, table in enumerate(measures):
            table.to_csv(tmp_path / str(place) / "measures.csv", index=False)
        given = [tmp_path / str(place) / "measures.csv" for place in range(len(measures))]
        outputs = [tmp_path / "out" / f"{name}.csv" for name in ("regard", "fairness", "texts")]
        evaluation.evaluate(
            files,
            given,
            settings,
            trained,
            seed,
            evaluation.Outputs(*outputs),
            tmp_path / "prompts.yaml",
            **options,
        )
        return [pd.read_csv(path) for path in outputs]

    return evaluate


def shares(regard, demographic):
    row = regard[regard["demographic"] == demographic].iloc[0]
    return [row[label] for label in tables.REGARD_LABELS]


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
