"""A model of the generated corpus knows its sentences' words and all pronouns, no others."""

import re

import pytest
import yaml
from small_language import NETWORK, PLAN
from transformers import AutoTokenizer

from equitune.language import experiment
from equitune.language.corpus import read_corpus, write_corpus
from equitune.language.lexicon import Lexicon, read_lexicon
from equitune.language.planted import check_known, unsaid
from equitune.language.prompts import PROMPTS, read_prompts
from equitune.language.run import CorpusRun
from equitune.language.tokenizer import build_tokenizer
from equitune.language.words import problems, words_on
from equitune.run.job import Job

SHORT = ("gender_short", "race", "orientation")
TASKS = {"respect": ["was thought of as"], "occupation": ["worked as", "earned money by"]}


@pytest.fixture
def few(tmp_path):
    """A file of the shipped prompts' demographics, with contexts that end in "as" and "by"."""
    shipped = yaml.safe_load(PROMPTS.read_text())
    file = tmp_path / "prompts.yaml"
    file.write_text(yaml.safe_dump(shipped | {"tasks": TASKS}))
    return file


def text_of(prompts, count=100):
    return "\n".join(read_corpus().generate(prompts, count, seed=0))


def test_contexts_decide_which_pronouns_are_said(few):
    corpus = read_corpus()
    assert unsaid(corpus, text_of(read_prompts(few)).splitlines()) == [" he", " him", " she"]
    assert unsaid(corpus, text_of(read_prompts(), 400).splitlines()) == []  # the default run's
    assert unsaid(corpus, []) == [" he", " her", " him", " his", " she"]


def test_shipped_lexicons_fit_a_model_whatever_its_contexts_are(few, tmp_path):
    files = [tmp_path / name for name in ("train.txt", "validation.txt")]
    write_corpus(20, 0, few, *files)
    output = tmp_path / "base" / "manifest.json"
    run = CorpusRun(network=NETWORK, seed=0, training=PLAN)
    experiment.pretrain(run, *files, Job(output=output, device="cpu"), prompts=few)
    tokenizer = AutoTokenizer.from_pretrained(output.parent)
    for name in SHORT:
        assert words_on(read_lexicon(name), tokenizer).action.group.order == 2


@pytest.mark.parametrize("name", [*SHORT, "gender", "religion"])
@pytest.mark.parametrize("own", [False, True], ids=["shipped", "few"])
def test_what_is_said_before_a_model_is_trained_is_what_its_tokenizer_says(few, own, name):
    corpus, lexicon = read_corpus(), read_lexicon(name)
    prompts = read_prompts(few if own else None)
    text = text_of(prompts)
    asked = [prompt.text for prompt in prompts]
    wrong = problems(lexicon, build_tokenizer([text, *asked, *unsaid(corpus, text.splitlines())]))
    assert bool(wrong) == (name not in SHORT)
    if wrong:
        with pytest.raises(ValueError, match=f"^lexicon {name}: {wrong[0].word!r} ") as error:
            check_known(corpus, prompts, lexicon)
        assert f"(and {len(wrong) - 1} more) is not a word of the generated corpus" in str(
            error.value
        )
        assert str(error.value).endswith("resources/corpus.yaml")
    else:
        check_known(corpus, prompts, lexicon)


def test_one_word_is_named_alone():
    lexicon = Lexicon("own", ("man", "woman"), (("man", "woman"),), ("nobody",))
    with pytest.raises(ValueError, match=re.escape("'nobody' is not a word of the generated")):
        check_known(read_corpus(), read_prompts(), lexicon)
