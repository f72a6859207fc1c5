"""How messages show what somebody wrote."""

import pytest

from equitune.io.names import LISTED, nearest, shorten, show


@pytest.mark.parametrize(
    ("word", "known", "end"),
    [
        ("finetun", ["finetune", "equitune"], "; did you mean 'finetune' or 'equitune'?"),
        ("xyz", ["finetune", "equitune"], "; expected one of finetune, equitune"),
        ("gpt2", ["plain", "equi"], "; it is called 'plain' now"),
        ("gpt2", ["gpt2-xl", "equi"], "; did you mean 'gpt2-xl'?"),
        ("a", [], "; nothing is known there"),
        ("a" * 1000, ["equi"], "; expected one of equi"),
    ],
    ids=["similar", "none similar", "renamed", "renamed elsewhere", "nothing known", "too long"],
)
def test_an_unknown_name_is_answered_with_what_could_have_been_meant(word, known, end):
    assert nearest(word, known) == end


def test_a_long_list_of_names_is_cut():
    known = [f"{number:03}" for number in range(100)]
    answer = nearest("z", known)
    assert answer.endswith(f"{known[LISTED - 1]}, …")
    assert known[LISTED] not in answer


@pytest.mark.parametrize(
    "value",
    ["x" * 10_000, list(range(10_000)), [[[[[[1]]]]]], 10**5000],
    ids=["text", "list", "nested", "number"],
)
def test_any_value_is_one_short_line(value):
    line = show(value)
    assert len(line) <= 200
    assert "\n" not in line


def test_a_short_text_is_left_as_it_is():
    assert shorten("abcde", 5) == "abcde"
    assert shorten("abcdef", 5) == "abcd…"
