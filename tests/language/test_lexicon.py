"""Lexicons come back as they were written, and whatever is wrong with one is a line."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from equitune.language.lexicon import (
    KEYS,
    LEXICONS,
    OPTIONAL,
    Lexicon,
    read_lexicon,
    read_mapping,
)

GOOD = {
    "demographics": ["man", "woman"],
    "equality": [["king", "queen"]],
    "general": ["his", "her"],
}


@pytest.fixture
def write(tmp_path):
    def write(content, name="own.yaml"):
        path = tmp_path / name
        path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
        return path

    return write


def test_a_file_is_read_with_the_demographics_in_front(write):
    lexicon = read_lexicon(write(GOOD))
    assert lexicon.name == "own"
    assert lexicon.demographics == ("man", "woman")
    assert lexicon.equality == (("man", "woman"), ("king", "queen"))
    assert lexicon.general == ("his", "her")
    assert lexicon.order == 2
    assert read_lexicon(str(write(GOOD))) == lexicon


def test_demographics_may_be_repeated_among_the_tuples_as_in_the_paper(write):
    repeated = {**GOOD, "equality": [["king", "queen"], ["man", "woman"]]}
    assert read_lexicon(write(repeated)) == read_lexicon(write(GOOD))
    turned = {**GOOD, "equality": [["woman", "man"]]}
    with pytest.raises(ValueError, match="'woman' stands twice"):
        read_lexicon(write(turned))


def test_every_shipped_lexicon_is_read_by_name():
    shipped = {file.stem: read_lexicon(file.stem) for file in LEXICONS.glob("*.yaml")}
    assert {name: lexicon.order for name, lexicon in shipped.items()} == {
        "gender": 2,
        "gender_short": 2,
        "orientation": 2,
        "race": 2,
        "religion": 3,
    }
    for lexicon in shipped.values():
        assert lexicon.general == ("he", "she", "his", "her", "him")
    assert shipped["gender"].demographics == shipped["gender_short"].demographics
    assert len(shipped["gender"].equality) > 40
    assert ("king", "queen") in shipped["gender"].equality
    pronouns = (("he", "his", "him", "himself"), ("she", "her", "hers", "herself"))
    found = {name: lexicon.pronouns for name, lexicon in shipped.items() if lexicon.pronouns}
    assert found == {"gender": pronouns, "gender_short": pronouns}


def test_pronouns_stand_in_the_order_of_the_demographics_whatever_that_of_the_file(write):
    assert read_lexicon(write(GOOD)).pronouns == ()
    content = GOOD | {"pronouns": {"woman": ["she", "her"], "man": ["he"]}}
    assert read_lexicon(write(content)).pronouns == (("he",), ("she", "her"))


def test_a_words_side_is_its_place_in_its_tuple(write):
    lexicon = read_lexicon(write(GOOD))
    assert [lexicon.side(word) for word in ("man", "woman", "king", "queen")] == [0, 1, 0, 1]
    with pytest.raises(ValueError, match=r"lexicon own: no tuple has 'quen'; did you mean 'queen'"):
        lexicon.side("quen")


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"demographics": ["man"], "equality": []}, "expected two words or more"),
        ({"demographics": "man"}, "demographics: 'man' is not a list of words"),
        ({"equality": {"king": "queen"}}, "equality is {'king': 'queen'}: expected a list"),
        ({"equality": [["king"]]}, "('king',) has 1 words: expected 2"),
        ({"equality": [["king", "queen", "it"]]}, "has 3 words: expected 2"),
        ({"equality": [["king", ["queen"]]]}, "equality: ['queen'] is not a word: quote it"),
        ({"general": [False]}, "general: False is not a word: quote it"),
        ({"general": None}, "general has no value: with no words, general: []"),
        ({"general": ["his", "his"]}, "general: 'his' stands twice"),
        ({"general": ["king"]}, "general: 'king' stands twice"),
        ({"equality": [["king", "king"]]}, "equality: 'king' stands twice"),
        ({"equality": [["king", "woman"]]}, "equality: 'woman' stands twice"),
        ({"general": [""]}, "general: '': expected a single word"),
        ({"general": [" his"]}, "' his': expected a single word"),
        ({"general": ["his\n"]}, r"'his\n': expected a single word"),
        ({"general": ["of his"]}, "'of his': expected a single word"),
        ({"generall": []}, "unknown key 'generall'; did you mean 'general'"),
        ({True: []}, "unknown key True"),
        ({"pronoun": {}}, "unknown key 'pronoun'; did you mean 'pronouns'"),
        (
            {"pronouns": [["he"], ["she"]]},
            "pronouns is [['he'], ['she']]: expected a list for each",
        ),
        ({"pronouns": None}, "pronouns is None: expected a list for each"),
        ({"pronouns": {"man": ["he"]}}, "pronouns: nothing for 'woman'"),
        ({"pronouns": {"man": ["he"], "woman": []}}, "pronouns.woman is empty"),
        ({"pronouns": {"man": "he", "woman": ["she"]}}, "pronouns.man: 'he' is not a list of"),
        (
            {"pronouns": {"man": ["he"], "woman": ["she"], "womn": ["it"]}},
            "pronouns: unknown demographic 'womn'; did you mean 'woman'",
        ),
        ({"pronouns": {"man": ["he"], "woman": ["he"]}}, "pronouns: 'he' stands twice"),
        ({"pronouns": {"man": ["He"], "woman": ["he"]}}, "pronouns: 'he' stands twice"),
        ({"pronouns": {"man": ["he", "he"], "woman": ["she"]}}, "pronouns: 'he' stands twice"),
        ({"pronouns": {"man": [False], "woman": ["she"]}}, "pronouns: False is not a word"),
        ({"pronouns": {"man": ["he is"], "woman": ["she"]}}, "'he is': expected a single word"),
    ],
)
def test_what_is_wrong_with_a_file_is_one_line(write, change, text):
    path = write({**GOOD, **change})
    with pytest.raises(ValueError, match=r"own\.yaml") as error:
        read_lexicon(path)
    assert str(error.value).startswith(str(path))
    assert text in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("key", KEYS)
def test_a_missing_key_is_named(write, key):
    with pytest.raises(ValueError, match=rf"own\.yaml lacks {key}"):
        read_lexicon(write({name: GOOD[name] for name in GOOD if name != key}))


@pytest.mark.parametrize("key", ["equality", "general"])
def test_how_a_list_is_left_empty_is_said(write, key):
    with pytest.raises(ValueError, match=rf"lacks {key}: expected .*; with no words, {key}: \[\]$"):
        read_lexicon(write({name: GOOD[name] for name in GOOD if name != key}))
    with pytest.raises(ValueError, match=rf"{key} has no value: with no words, {key}: \[\]$"):
        read_lexicon(write(GOOD | {key: None}))
    assert read_lexicon(write(GOOD | {key: []}))


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("", "is not a mapping"),
        ("[man, woman]", "is not a mapping"),
        ("demographics: [man, woman", "is not YAML"),
        ("general: 2024-13-01", "is not YAML"),
        pytest.param("[" * 5000, "is not YAML", id="5000 brackets"),
        ('general: ["\\ud800"]\ndemographics: [a, b]\nequality: []', "expected a single word"),
    ],
)
def test_what_is_no_lexicon_is_one_line(write, content, text):
    with pytest.raises(ValueError, match=text) as error:
        read_lexicon(write(content))
    assert "\n" not in str(error.value)


def test_a_word_that_yaml_takes_for_another_thing_is_to_be_quoted(write):
    text = "demographics: [yes, no]\nequality: []\ngeneral: []\n"
    with pytest.raises(ValueError, match="True is not a word: quote it"):
        read_lexicon(write(text))
    assert read_lexicon(write(text.replace("yes, no", "'yes', 'no'"))).demographics == ("yes", "no")


def test_a_file_that_is_not_utf8_or_not_there_is_named(tmp_path):
    (tmp_path / "own.yaml").write_bytes(b"general: [fianc\xe9]")
    with pytest.raises(ValueError, match=r"own\.yaml, line 1: byte 0xe9 is not UTF-8"):
        read_lexicon(tmp_path / "own.yaml")
    with pytest.raises(FileNotFoundError, match=r"absent\.yaml does not exist"):
        read_lexicon(tmp_path / "absent.yaml")
    with pytest.raises(IsADirectoryError, match="is a folder: pass a YAML file"):
        read_lexicon(tmp_path)


def test_an_unknown_name_brings_the_nearest_shipped_one():
    with pytest.raises(ValueError, match=r"unknown lexicon 'gendre'.*; did you mean 'gender'"):
        read_lexicon("gendre")


def test_a_lexicon_built_in_python_is_checked_too():
    with pytest.raises(ValueError, match="the first equality tuple is"):
        Lexicon("own", ("man", "woman"), (("king", "queen"),))
    with pytest.raises(ValueError, match="'man' stands twice"):
        Lexicon("own", ("man", "woman"), (("man", "woman"),), ("man",))
    with pytest.raises(ValueError, match="pronouns: 1 lists: expected 2, one for each of"):
        Lexicon("own", ("man", "woman"), (("man", "woman"),), (), (("he",),))


words = st.one_of(st.text(max_size=4), st.sampled_from("abcd"), st.booleans(), st.none())
lists = st.lists(words, max_size=3)
values = st.one_of(lists, st.lists(lists, max_size=3), words, st.dictionaries(words, words))
keys = st.one_of(st.sampled_from((*KEYS, *OPTIONAL)), st.text(max_size=4), st.integers())
mappings = st.one_of(
    st.fixed_dictionaries(dict.fromkeys(KEYS, values), optional=dict.fromkeys(OPTIONAL, values)),
    st.dictionaries(keys, values),
)


@given(content=mappings)
def test_any_mapping_ends_in_a_lexicon_or_in_one_line(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_text(yaml.safe_dump(content))
    lexicon = message = None
    try:
        lexicon = read_lexicon(path)
    except ValueError as error:
        message = str(error)
    if lexicon is None:
        assert len(message.splitlines()) == 1
        return
    used = [word for words in (*lexicon.equality, lexicon.general) for word in words]
    assert len(used) == len(set(used))
    assert {len(words) for words in lexicon.equality} == {lexicon.order}
    assert len(lexicon.pronouns) in (0, lexicon.order)


@given(content=st.binary(max_size=40))
def test_any_bytes_end_in_a_mapping_or_in_one_line(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"any\.yaml") as error:
        read_mapping(path, KEYS)
    assert len(str(error.value).splitlines()) == 1
