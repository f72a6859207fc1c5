"""Processes that share the suite's tests agree on what they are called, and in which order."""

import os
import subprocess
import sys

import division
import ids
import pytest
import torch

# collects all tests by a clock that goes ahead by the seconds given
COLLECT = """
import sys, time
now, ahead = time.time, float(sys.argv[1])
time.time = lambda: now() + ahead
import pytest
sys.exit(pytest.main(["--collect-only", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]))
"""
HERE = {"PYTHONHASHSEED": "1", "TZ": "UTC", "LC_ALL": "C.UTF-8"}
THERE = {"PYTHONHASHSEED": "2", "TZ": "Asia/Kathmandu", "LC_ALL": "C"}


ALL = 1000  # tests of the suite, at least


def collected(root, ahead, **environment):
    """The tests that a process of its own collects."""
    done = subprocess.run(
        [sys.executable, "-c", COLLECT, str(ahead)],
        cwd=root,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:]
    return [line for line in done.stdout.splitlines() if "::" in line]


def test_every_process_collects_the_same_tests_in_the_same_order(root, request):
    first = [item.nodeid for item in request.session.items]  # by this process
    if len(first) < ALL:  # it was asked for a part of them
        first = collected(root, 0, **HERE)
    second = collected(root, 365 * 24 * 3600, **THERE)
    assert len(first) >= ALL
    assert [pair for pair in zip(first, second, strict=True) if len(set(pair)) > 1] == []


class Thing:
    """Its text holds its address."""


@pytest.mark.parametrize(
    "value",
    [b"1", Thing(), torch.ones(1), [1] * 101, [b"1"], {"a": Thing()}, {Thing: 1}],
    ids=["bytes", "object", "tensor", "long", "bytes inside", "object inside", "key"],
)
def test_a_value_without_a_text_of_its_own_is_given_none(value):
    assert ids.name(value) is None


def test_a_value_is_named_by_what_it_holds():
    assert ids.name("a text") == "a text"
    assert ids.name(torch.float32) == "float32"
    assert ids.name(Thing) == "Thing"
    assert ids.name(collected) == "collected"
    assert ids.name(None) == "None"
    assert ids.name([1, ("a", None), {"b": 0.5}]) == "[1, ['a', None], {'b': 0.5}]"
    # of a set no order is promised
    words = [str(number) for number in range(100)]
    assert ids._literal(set(words)) == ids._literal(set(reversed(words)))
    assert ids.name({3, 1, 2}) == "{1, 2, 3}"


def test_a_value_without_an_id_ends_the_collection(pytestconfig):
    refuse = pytestconfig.hook.pytest_make_parametrize_id
    with pytest.raises(pytest.UsageError, match=r"content has a value without an id, of type byt"):
        refuse(config=pytestconfig, val=b"1", argname="content")
    assert refuse(config=pytestconfig, val={"a": 1}, argname="content") == "{'a': 1}"


def test_the_files_that_begin_first_are_there(root):
    assert [file for file in division.LONGEST if not (root / file).is_file()] == []
    assert len(set(division.LONGEST)) == len(division.LONGEST)
    ranks = [division.rank(f"{file}::test_x") for file in (*division.LONGEST, "tests/test_cli.py")]
    assert ranks == sorted(set(ranks))
