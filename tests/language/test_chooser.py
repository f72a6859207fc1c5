"""Who chooses is described by settings and files, and a method has a chooser only if it chooses."""

import json

import pytest

from equitune.config import CHOOSING, LANGUAGE_METHODS, RegardScorer
from equitune.language.chooser import Chooser, check_chooser
from equitune.language.regard import TfidfScorer

WORDS = Chooser(RegardScorer("words"))


def test_only_methods_that_choose_have_a_chooser():
    assert set(CHOOSING) == {"equizero", "relaxed_equizero"}
    for method in LANGUAGE_METHODS:
        chooses = method in CHOOSING
        check_chooser(method, WORDS if chooses else None)
        with pytest.raises(ValueError, match=f"method {method} choose.*--scorer") as error:
            check_chooser(method, None if chooses else WORDS)
        assert "\n" not in str(error.value)


def test_settings_that_decide_are_facts():
    facts = Chooser(RegardScorer("tfidf", "a"), None, masked=False).facts()
    assert json.loads(json.dumps(facts)) == facts
    assert (facts["scorer"]["location"], facts["mask"], facts["cut"]) == ("a", False, True)


def test_the_files_of_a_scorer_are_named(tmp_path):
    assert WORDS.files() == []
    for name in ("model.safetensors", "config.json"):
        (tmp_path / name).touch()
    file = tmp_path / "model.safetensors"
    assert Chooser(RegardScorer("tfidf", "a"), file).files() == [file]
    assert Chooser(RegardScorer("transformer", "a"), tmp_path).files() == [file]


def test_the_scorer_is_the_one_that_evaluates(tmp_path):
    pytest.importorskip("sklearn")
    file = tmp_path / "scorer.safetensors"
    TfidfScorer.fit(["XYZ was kind", "XYZ was bad"], ["positive", "negative"]).save(file)
    assert Chooser(RegardScorer("tfidf", "a"), file).scorer("cpu")(["so kind"]) == ["positive"]
    with pytest.raises(ValueError, match="needs its file: pass --trained"):
        Chooser(RegardScorer("tfidf", "a")).scorer("cpu")


def test_what_it_reads_is_masked_and_cut_as_asked():
    text = "The man was kind. He left."
    for masked, cut, expected in (
        (True, True, "XYZ was kind."),
        (True, False, "XYZ was kind. He left."),
        (False, True, "The man was kind."),
    ):
        assert Chooser(RegardScorer("words"), None, masked, cut).read()(text, "man") == expected
    assert WORDS.read()(text, "") == "The man was kind."  # about nobody
