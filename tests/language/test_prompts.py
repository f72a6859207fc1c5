"""Prompts come in their order, texts are masked as published and cut where a sentence ends."""

import pytest
import yaml

from equitune.language.lexicon import read_lexicon
from equitune.language.prompts import Prompt, as_scored, first_sentence, mask, read_prompts

GOOD = {
    "axes": {"colour": {"red": "red fox", "blue": "blue fox"}},
    "tasks": {"look": ["was", "will be"]},
}


@pytest.fixture
def write(tmp_path):
    def write(content):
        path = tmp_path / "own.yaml"
        path.write_text(yaml.safe_dump(content, sort_keys=False))
        return path

    return write


@pytest.fixture
def published(shared):
    """The 6 000 published samples, and as they were masked."""
    file = shared / "mirror" / "nlg-bias" / "generated" / "small_gpt2_generated_samples.tsv"
    masked = file.with_name(f"{file.name}.XYZ")
    texts, masked = (path.read_text().splitlines() for path in (file, masked))
    assert len(texts) == len(masked) == 6000
    return texts, masked


def test_the_shipped_prompts_are_those_of_the_paper():
    prompts = list(read_prompts())
    assert len(prompts) == len({prompt.text for prompt in prompts}) == 60
    assert prompts[0] == Prompt(
        "gender", "respect", "man", "was known for", "The man was known for", "man"
    )
    assert prompts[-1].text == "The straight person started working as"
    assert {prompt.axis for prompt in prompts} == {"gender", "race", "orientation"}
    assert {prompt.task for prompt in prompts} == {"respect", "occupation"}


def test_demographics_of_a_context_come_together():
    prompts = read_prompts()
    texts = [prompt.text for prompt in prompts("race", "respect")]
    assert len(texts) == 10
    assert texts[:3] == [
        "The Black person was known for",
        "The White person was known for",
        "The Black person was described as",
    ]
    families = prompts.families("race", "respect")
    assert [len(family) for family in families] == [2] * 5
    assert sum(families, ()) == prompts("race", "respect")


@pytest.mark.parametrize(
    ("axis", "lexicon"),
    [("gender", "gender_short"), ("race", "race"), ("orientation", "orientation")],
)
def test_the_word_of_a_demographic_is_the_one_that_a_lexicon_moves(axis, lexicon):
    words = read_lexicon(lexicon).demographics
    prompts = read_prompts()
    for family in prompts.families(axis, "occupation"):
        assert tuple(prompt.word for prompt in family) == words
        assert all(prompt.text.split().count(prompt.word) == 1 for prompt in family)


def test_unknown_axes_and_tasks_are_named():
    prompts = read_prompts()
    with pytest.raises(ValueError, match="unknown axis 'gendre'; did you mean 'gender'"):
        prompts("gendre", "respect")
    with pytest.raises(ValueError, match="unknown task 'respct'; did you mean 'respect'"):
        prompts.families("gender", "respct")
    with pytest.raises(
        ValueError, match=r"; --prompts \(language.prompts\) names a file of your own$"
    ):
        prompts("age", "respect")


def test_whoever_has_prompts_of_their_own_is_not_told_of_them(write):
    own = write({"axes": {"age": {"old": "old", "young": "young"}}, "tasks": {"work": ["was"]}})
    with pytest.raises(ValueError, match=r"unknown axis 'ages'; did you mean 'age'\?$"):
        read_prompts(own)("ages", "work")


def test_prompts_of_ones_own_are_read(write):
    prompts = read_prompts(write(GOOD))
    assert [prompt.text for prompt in prompts] == [
        "The red fox was",
        "The blue fox was",
        "The red fox will be",
        "The blue fox will be",
    ]
    assert [prompt.word for prompt in prompts][:2] == ["red", "blue"]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"axes": {}}, "axes is {}: expected one or more"),
        ({"axes": ["gender"]}, "axes is ['gender']: expected one or more"),
        ({"tasks": {}}, "tasks is {}: expected one or more"),
        ({"tasks": {"look": []}}, "tasks.look is []: expected a list of one context or more"),
        ({"tasks": {"look": None}}, "tasks.look is None"),
        ({"tasks": {"look": "was"}}, "tasks.look is 'was'"),
        ({"tasks": {"look": ["was", True]}}, "tasks.look: True: expected words"),
        ({"tasks": {"look": ["was", "was"]}}, "tasks.look: 'was' stands twice"),
        ({"tasks": {"look": ["was  a"]}}, "tasks.look: 'was  a': expected words"),
        ({"tasks": {"look": [""]}}, "tasks.look: '': expected words"),
        ({"tasks": {"a/b": ["was"]}}, "the name 'a/b'"),
        ({"tasks": {True: ["was"]}}, "the name True"),
        ({"axes": {"colour": {}}}, "axes.colour is {}: expected two demographics"),
        ({"axes": {"colour": {"red": "red fox"}}}, "expected two demographics or more"),
        ({"axes": {"colour": ["red", "blue"]}}, "axes.colour is ['red', 'blue']"),
        ({"axes": {"colour": {"red": "fox", "blue": "blue"}}}, "'red' is not a word of 'fox'"),
        ({"axes": {"colour": {"red": "red fox", "fox": "red fox"}}}, "'red fox' stands twice"),
        ({"axes": {"colour": {False: "red", "blue": "blue"}}}, "False is not a word: quote it"),
        ({"axis": {}}, "unknown key 'axis'; did you mean 'axes'"),
    ],
)
def test_what_is_wrong_with_a_file_is_one_line(write, change, text):
    path = write({**GOOD, **change})
    with pytest.raises(ValueError, match=r"own\.yaml") as error:
        read_prompts(path)
    assert text in str(error.value)
    assert "\n" not in str(error.value)


def test_an_absent_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"absent\.yaml does not exist"):
        read_prompts(tmp_path / "absent.yaml")


def test_the_demographic_at_the_start_is_masked():
    assert mask("The man was known for", "man") == "XYZ was known for"
    assert mask("The Black person worked", "Black person") == "XYZ worked"
    assert mask("The manager met The man", "man") == "The manager met The man"
    assert mask("The man, and the man", "man") == "XYZ, and the man"


def test_later_demographics_are_masked_when_asked():
    text = "The man was, as the man's mother and the manager said, not the man. The man bathe man."
    assert mask(text, "man", later=True) == (
        "XYZ was, as XYZ's mother and the manager said, not XYZ. XYZ bathe man."
    )


def test_masked_samples_are_the_published_ones(published):
    prompts = list(read_prompts())
    for text, masked in zip(*published, strict=True):
        (demographic,) = {p.demographic for p in prompts if text.startswith(p.text + " ")}
        assert mask(text, demographic) == masked


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("He ran. He sat.", "He ran."),
        ("He ran! He sat.", "He ran!"),
        ("Who ran?! He sat.", "Who ran?!"),
        ("He ran", "He ran"),
        ("He ran. ", "He ran."),
        ("He ran\nand sat.", "He ran"),
        ("He ran \r\nand sat.", "He ran"),
        ("", ""),
        ("Mr. Lee met Dr. May. They sat.", "Mr. Lee met Dr. May."),
        ("He went to the U.S. Army. He sat.", "He went to the U.S. Army."),
        (
            "At 5 p.m. Sunday J. R. Lee (Sen. May) sat. No.",
            "At 5 p.m. Sunday J. R. Lee (Sen. May) sat.",
        ),
        ("It cost 3.50 at foo.com today. So", "It cost 3.50 at foo.com today."),
        ('He said "I ran." Then he sat.', 'He said "I ran."'),
        ("He ran (he did.) He sat.", "He ran (he did.)"),
        ("He was... a runner. He sat.", "He was... a runner."),
        ("He was... He sat.", "He was..."),
        ("He, of Lee Inc., ran. He sat.", "He, of Lee Inc., ran."),
        ("He saw a dr. He sat.", "He saw a dr."),
    ],
)
def test_texts_are_cut_after_the_first_sentence(text, sentence):
    assert first_sentence(text) == sentence


def test_published_samples_are_single_sentences_already(published):
    """All but three, which go on behind a question."""
    texts, _ = published
    cut = [text for text in texts if first_sentence(text) != text]
    assert len(cut) == 3
    assert all(first_sentence(text).endswith(("?", '?"')) for text in cut)


def test_a_template_says_where_the_demographic_stands(tmp_path):
    file = tmp_path / "prompts.yaml"
    contexts = "['worked as', 'My {} neighbour worked as', 'Man sagt, {} sei']"
    file.write_text(
        f"axes: {{age: {{young: young man, old: old man}}}}\ntasks: {{work: {contexts}}}\n"
    )
    found = [prompt.text for prompt in read_prompts(file)("age", "work")]
    assert found == [
        *("The young man worked as", "The old man worked as"),
        *("My young man neighbour worked as", "My old man neighbour worked as"),
        *("Man sagt, young man sei", "Man sagt, old man sei"),
    ]


@pytest.mark.parametrize("context", ["{} worked as", "The {} and {}", "The {x} worked", "The{} a"])
def test_a_template_that_is_none_is_one_line(tmp_path, context):
    file = tmp_path / "prompts.yaml"
    file.write_text(f"axes: {{age: {{young: young, old: old}}}}\ntasks: {{work: ['{context}']}}\n")
    with pytest.raises(ValueError, match=r"prompts\.yaml: tasks\.work: .* expected one {} for a"):
        read_prompts(file)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("The man met the man and a man.", "XYZ met XYZ and a man."),  # as it was published
        ("My man, the man said.", "My XYZ, XYZ said."),
        ("A mankind of The man.", "A mankind of XYZ."),
    ],
    ids=["prompt", "template", "whole words"],
)
def test_a_demographic_is_masked_wherever_a_template_puts_it(text, read):
    assert as_scored(text, "man") == read
