"""A list in bash's braces is that list, in its order."""

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equitune.plan import braces

NAMES = st.sampled_from(
    ["a", "b", "seed0", "seed1", "seed2", "seed10", "s01", "x.csv", "3", "4", "..", ""]
)
ODD = st.sampled_from(
    ["a b", "a,b", "{a}", "{a,b}", "$HOME", "it's", "a\nb", "*", "é", "~", "{1..3}"]
)
PATHS = st.lists(NAMES | NAMES | NAMES | ODD, min_size=1, max_size=4).map("/".join)
PRODUCTS = st.lists(st.lists(NAMES, min_size=1, max_size=3), min_size=1, max_size=3)
LISTS = st.lists(PATHS, max_size=8) | PRODUCTS.map(
    lambda parts: [f"{a}/{b}/end" for a in parts[0] for b in parts[-1]]
)


def expanded(texts):
    """The words that bash makes of each text."""
    word = "printf '%s\\0' \"$word\""
    script = "".join(f"for word in {text}; do {word}; done; printf '\\1'\n" for text in texts)
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    return [said.split("\0")[:-1] for said in done.stdout.split("\1")[:-1]]


@settings(max_examples=40)
@given(st.lists(LISTS, min_size=1, max_size=30))
def test_bash_makes_the_list_of_it(lists):
    assert expanded(map(braces, lists)) == lists
    options = expanded(braces(each, "--scores") for each in lists)
    assert options == [[f"--scores={path}" for path in each] for each in lists]


@pytest.mark.parametrize(
    ("paths", "text"),
    [
        ([], ""),
        (["a/b"], "a/b"),
        (["a/b", "a/b"], "a/{b,b}"),
        (["a/x", "b/x"], "{a,b}/x"),
        (["a", "b/c"], "a b/c"),
        ([f"r/{t}/seed{s}/m" for t in "ab" for s in range(3)], "r/{a,b}/seed{0..2}/m"),
        (["r/seed3/m", "r/seed7/m"], "r/seed{3,7}/m"),
        (["r/p/id/m", "r/f/id/m", "r/e/rot/m"], "r/{{p,f}/id,e/rot}/m"),
        (["r/a/m", "r/a b/m", "r/b/m"], "r/a/m 'r/a b/m' r/b/m"),
    ],
)
def test_what_paths_share_stands_once(paths, text):
    assert braces(paths) == text


def test_values_of_an_option_stand_behind_it_once():
    assert braces(["a", "b"], "--task") == "--task={a,b}"
    assert braces(["a", "b/c"], "--x") == "--x=a --x=b/c"
