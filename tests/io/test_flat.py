"""Settings come back from a word of a command line as they were, to the type of each value."""

import json
import math
import shlex

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from equitune.io import flat

NUMBERS = st.booleans() | st.integers() | st.floats() | st.none()
WORDS = st.from_regex(flat.TEXT, fullmatch=True) | st.from_regex(flat.CYCLES, fullmatch=True)
LIKE = st.sampled_from(["1", "1e5", "-0", "true", "null", "NaN", "a+b", "a+b/c", "", "a=b", "a,b"])
CYCLES = st.lists(st.lists(st.from_regex(r"[A-Za-z]\w?", fullmatch=True), max_size=3), max_size=3)
VALUES = NUMBERS | WORDS | LIKE | st.text() | CYCLES | st.lists(NUMBERS, max_size=2)
KEYS = st.from_regex(flat.KEY, fullmatch=True) | st.text()


def same(one, other):
    """Whether two values are equal, to their types and to the sign of a zero."""
    if isinstance(one, dict) and isinstance(other, dict):
        return [*one] == [*other] and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float) and math.isnan(one):
        return isinstance(other, float) and math.isnan(other)
    return type(one) is type(other) and repr(one) == repr(other)


@given(st.dictionaries(KEYS, VALUES, max_size=4))
@example({"rate": 1e-05, "name": "a b"})
@example({"cycles": [["jump", "run"], ["walk", "look"]]})
def test_settings_come_back_as_they_were(settings):
    text = flat.write(settings)
    assert same(flat.read(text, "--training"), settings)
    if not text.startswith("{"):
        assert shlex.quote(text) == text


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"steps": 10, "rate": 0.001, "schedule": "cosine"}, "steps=10,rate=0.001,schedule=cosine"),
        ({"on": True, "subset": None}, "on=true,subset=null"),
        ({"commands": [["a", "b"]], "actions": [["A", "B"], ["C", "D"]]}, None),
        ({"image.weights": "imagenet"}, "image.weights=imagenet"),
        ({}, "{}"),
        ({"betas": [0.9, 0.98]}, '{"betas":[0.9,0.98]}'),
        ({"name": "a b", "steps": 1}, '{"name":"a b","steps":1}'),
        ({"revision": "12e34567"}, '{"revision":"12e34567"}'),
    ],
)
def test_what_is_flat_stands_without_quotes_and_all_else_as_json(settings, text):
    assert flat.write(settings) == (text or "commands=a+b,actions=A+B/C+D")


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("{steps: 3, rate: .5}", {"steps": 3, "rate": 0.5}),
        ("steps: 3", {"steps": 3}),
        (json.dumps({"rate": 1e-05}), {"rate": 1e-05}),
        ("words", "words"),
        ("name=", {"name": ""}),
    ],
)
def test_yaml_and_json_are_taken_as_before(text, read):
    assert flat.read(text, "--x") == read


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("steps=3,batch", "--x is 'steps=3,batch': 'batch' is not key=value: expected key=value,"),
        ("steps=3, rate=1", "' rate=1' is not key=value: expected key=value,key=value without sp"),
        ("steps=3,steps=4", "the key 'steps' stands twice: keep one"),
        ('{"steps": 3, "steps": 4}', "--x is not YAML: line 1: the key 'steps' stands twice"),
    ],
)
def test_what_cannot_be_read_is_one_line(text, message):
    with pytest.raises(ValueError, match="--x is") as told:
        flat.read(text, "--x")
    assert message in str(told.value)
    assert "\n" not in str(told.value)


NAMES = st.from_regex(flat.NAME, fullmatch=True)
INNER = st.dictionaries(NAMES | st.text(), NUMBERS | st.text(), max_size=2)


@given(st.dictionaries(NAMES, VALUES | INNER | st.dictionaries(NAMES, INNER), max_size=3))
@example({"options": {"momentum": 0.1, "a": {"b": 1}}, "empty": {}, "odd": {"a.b": 1}})
def test_what_stands_in_mappings_comes_back_from_dotted_keys(settings):
    text = flat.write(flat.dotted(settings))
    assert same(flat.nested(flat.read(text, "--x"), "--x"), settings)


def test_keys_of_a_mapping_are_joined_by_dots():
    settings = {"upsample": 2, "options": {"momentum": 0.1, "drop": {"rate": 0.5}}}
    text = "upsample=2,options.momentum=0.1,options.drop.rate=0.5"
    assert flat.write(flat.dotted(settings)) == text


@pytest.mark.parametrize("text", ["options=1,options.a=2", "options.a=2,options=1"])
def test_a_key_with_a_value_has_no_keys_in_it(text):
    with pytest.raises(ValueError, match=r"^--x: '?options'? has a value, and .*: keep one$"):
        flat.nested(flat.read(text, "--x"), "--x")
