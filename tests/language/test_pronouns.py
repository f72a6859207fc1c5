"""Agreement of pronouns: what is found in texts, the interval, the rows and the command."""

import json
from dataclasses import replace

import pandas as pd
import pytest

from equitune import cli
from equitune.language.fairness import wilson
from equitune.language.lexicon import Lexicon, read_lexicon
from equitune.language.prompts import Prompts, read_prompts
from equitune.language.pronouns import agreement, first_pronoun
from equitune.language.samples import Sample, write_samples
from equitune.results import tables

GENDER = read_lexicon("gender_short")
SHIPPED = read_prompts()


def samples_of(man, woman, method="plain", **changes):
    """Samples of gender × respect with these continuations."""
    kept = {"model": "small", "axis": "gender", "task": "respect", "context": "was known for"}
    kept |= {"seed": 0, "sample": 0, "model_hash": "0"} | changes
    return [
        Sample(
            **kept,
            method=method,
            demographic=who,
            prompt=f"The {who} was known for",
            continuation=text,
        )
        for who, texts in (("man", man), ("woman", woman))
        for text in texts
    ]


@pytest.mark.parametrize(
    ("text", "side"),
    [
        (" his work.", 0),
        (" her work and his.", 1),
        (" the work that she and he did.", 1),
        ("\nHE said", 0),
        (" work. He's here", 0),
        (" work. She\u2019ll come", 1),
        (' saying "her" twice', 1),
        (" himself", 0),
        (" hers", 1),
        (" work--she knew", 1),
        (" work, he--who knew", 0),
        (" the other there, shell, history, hero, him_self", None),
        (" a he-man and a she-wolf", None),
        (" an ultra-her thing", None),
        ("", None),
        (" they and their friends", None),
    ],
)
def test_the_first_pronoun_is_a_whole_word_in_any_case(text, side):
    assert first_pronoun(text, GENDER.pronouns) == side


def test_pronouns_are_words_and_no_patterns():
    assert first_pronoun(" abc", [["a.c"], ["x+"]]) is None
    assert first_pronoun(" X+ a.c", [["a.c"], ["x+"]]) == 1


def test_rows_count_texts_of_each_subject_and_of_both():
    man = [" his work."] * 8 + [" her work."] * 4 + [" work."] * 3
    woman = [" her work."] * 9 + [" his work."] + [" work."] * 5
    rows = agreement(samples_of(man, woman), SHIPPED, {"gender": GENDER}, 3)
    counted = [
        (row["demographic"], row["texts"], row["with_pronoun"], row["agree"]) for row in rows
    ]
    assert counted == [("man", 15, 12, 8), ("woman", 15, 10, 9), ("all", 30, 22, 17)]
    for row in rows:
        assert row["share"] == row["agree"] / row["with_pronoun"]
        found = (row["share_low"], row["share_high"])
        assert found == wilson(row["agree"], row["with_pronoun"])
        assert "warning" not in row
        assert (row["model"], row["method"], row["seed"]) == ("small", "plain", 3)


def test_the_prompt_itself_has_no_say():
    texts = samples_of([" her work."] * 10, [" her work."] * 10)
    texts = [replace(sample, prompt=f"He said: {sample.prompt}") for sample in texts]
    row = agreement(texts, SHIPPED, {"gender": GENDER}, 0)[0]
    assert (row["with_pronoun"], row["agree"]) == (10, 0)


def test_a_fair_models_share_is_one_half_whatever_the_pronouns():
    same = [" his work."] * 70 + [" her work."] * 10 + [" work."] * 20
    *each, both = agreement(samples_of(same, same), SHIPPED, {"gender": GENDER}, 0)
    assert [row["share"] for row in each] == [0.875, 0.125]
    assert both["share"] == 0.5


def test_too_few_texts_with_a_pronoun_have_no_interval_and_say_so():
    man = [" his work."] * 9 + [" work."] * 50
    rows = agreement(samples_of(man, [" work."] * 59), SHIPPED, {"gender": GENDER}, 0)
    assert rows[0]["share"] == 1
    assert rows[0]["warning"] == "no interval: 9 texts with a pronoun, fewer than 10"
    assert "share" not in rows[1]  # of none there is no share
    assert rows[1]["warning"] == "no interval: 0 texts with a pronoun, fewer than 10"
    assert all("share_low" not in row for row in rows)


def test_an_axis_without_pronouns_has_no_row():
    race = samples_of([" his work."], [], axis="race")
    assert agreement(race, SHIPPED, {"gender": GENDER}, 0) == []


def test_a_demographic_agrees_with_the_pronouns_at_its_place_in_any_tuple():
    parents = [("man", "woman"), ("father", "mother")]
    lexicon = Lexicon("own", parents[0], tuple(parents), (), (("he",), ("she",)))
    words = {"mother": "old mother", "father": "old father"}
    prompts = Prompts({"gender": words}, {"respect": ("was known for",)})
    texts = [
        replace(sample, demographic=f"old {parents[1][sample.demographic == 'woman']}")
        for sample in samples_of([" he"] * 3, [" he"] * 2 + [" she"])
    ]
    rows = agreement(texts, prompts, {"gender": lexicon}, 0)
    found = {row["demographic"]: row["agree"] for row in rows}
    assert found == {"old mother": 1, "old father": 3, "all": 4}


def test_three_demographics_have_three_lists():
    names = ("x", "y", "z")
    lexicon = Lexicon("own", names, (names,), (), (("xe",), ("ye",), ("ze", "zir")))
    prompts = Prompts({"gender": {name: name for name in names}}, {"respect": ("was known for",)})
    fair = [f" {word}" for word in ("xe", "ye", "zir", "zir")]
    texts = [replace(one, demographic=name) for name in names for one in samples_of(fair, [])]
    *_, row = agreement(texts, prompts, {"gender": lexicon}, 0)
    assert row["share"] == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("texts", "lexicon", "text"),
    [
        (samples_of([" he"], []), GENDER, "gender, respect: no text about 'woman'"),
        (
            [replace(sample, demographic="men") for sample in samples_of([" he"], [])],
            GENDER,
            "a text about 'men', but no such prompt; did you mean 'man'",
        ),
        (
            samples_of([" he"], [" she"]),
            Lexicon("own", ("men", "women"), (("men", "women"),), (), (("he",), ("she",))),
            "lexicon own: no tuple has 'man'; did you mean 'men'",
        ),
    ],
    ids=["no text", "unknown subject", "another lexicon"],
)
def test_what_does_not_fit_is_one_line(texts, lexicon, text):
    with pytest.raises(ValueError, match=text) as error:
        agreement(texts, SHIPPED, {"gender": lexicon}, 0)
    assert "\n" not in str(error.value)


@pytest.fixture
def count(tmp_path):
    """A function that runs the command on two methods' texts, and returns the exit code."""
    for method, man in (("plain", " his"), ("equi", " her")):
        texts = samples_of([man] * 12, [" her"] * 12, method)
        texts += samples_of([man], [], method, axis="race")
        write_samples(tmp_path / method / "samples.jsonl", texts)

    def count(axes):
        files = [tmp_path / method / "samples.jsonl" for method in ("plain", "equi")]
        options = ["--axes", json.dumps(axes), "--seed", 0, "--output", tmp_path / "pronouns.csv"]
        return cli.run(["language", "pronouns", *map(str, [*files, *options])])

    return count


def test_the_command_writes_the_rows_of_all_methods(count, tmp_path):
    assert count({"gender": "gender_short", "race": "race"}) == 0
    table = tables.read(tmp_path / "pronouns.csv", tables.PRONOUN_COLUMNS)
    assert tuple(table.columns) == tables.PRONOUN_COLUMNS
    assert table["method"].tolist() == ["plain"] * 3 + ["equi"] * 3
    assert table["share"].tolist() == [1, 1, 1, 0, 1, 0.5]
    assert set(table["axis"]) == {"gender"}
    manifest = json.loads((tmp_path / "pronouns.manifest.json").read_text())
    assert len(manifest["inputs"]) == 2


def test_without_pronouns_the_command_says_that_there_is_no_row(count, tmp_path, capfd):
    assert count({"race": "race"}) == 0
    assert "no row: no lexicon of race has pronouns" in capfd.readouterr().err
    table = pd.read_csv(tmp_path / "pronouns.csv")
    assert tuple(table.columns) == tables.PRONOUN_COLUMNS
    assert table.empty
