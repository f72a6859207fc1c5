"""Values come back from JSON as they were, or are refused by name."""

import json
import math

import numpy as np
import pytest
import torch

from equitune.actions import Rotate90
from equitune.groups import CyclicGroup, FiniteGroup, ProductGroup
from equitune.saving import values

KLEIN = [[0, 1, 2, 3], [1, 0, 3, 2], [2, 3, 0, 1], [3, 2, 1, 0]]


def again(value):
    return values.decode(json.loads(json.dumps(values.encode(value))))


@pytest.mark.parametrize(
    "value",
    [
        *(None, True, 1, 2**80, "ä\n", 0.1, -0.0, float("-inf"), [], (), {}),
        [1, (2.5, [None, {"tuple": (1,), "group": "x", "": False}]), "action"],
        CyclicGroup(3),
        FiniteGroup(KLEIN, names="abcd"),
        [ProductGroup(CyclicGroup(2), CyclicGroup(3))],
    ],
    ids=lambda value: repr(value)[:20],
)
def test_plain_values_and_groups_come_back(value):
    back = again(value)
    assert type(back) is type(value)
    assert back == value
    assert repr(back) == repr(value)
    if isinstance(value, FiniteGroup):
        assert back.names == value.names


def test_no_number_comes_back():
    assert math.isnan(again(math.nan))


@pytest.mark.parametrize(
    "dtype",
    [torch.float64, torch.float32, torch.bfloat16, torch.int64, torch.uint8, torch.bool],
    ids=str,
)
@pytest.mark.parametrize("shape", [(), (0, 2), (2, 3)], ids=str)
def test_tensors_come_back(dtype, shape):
    value = (torch.randn(3, 2) * 100).to(dtype).T[: shape[0] if shape else None]
    value = value[0, 0] if not shape else value.reshape(shape) if 0 in shape else value
    back = again(value)
    assert back.dtype == dtype
    assert torch.equal(back, value)
    back += True  # it may be written to


@pytest.mark.parametrize("dtype", ["<f8", ">i2", "bool", "complex64"])
def test_arrays_and_their_numbers_come_back(dtype):
    value = np.arange(6).reshape(2, 3).astype(dtype)
    for x in (value, value.T, value[:0], value[1, 2]):
        back = again(x)
        assert type(back) is type(x)
        assert back.dtype == x.dtype
        assert np.array_equal(back, x)


def test_actions_come_back():
    assert isinstance(again((Rotate90(),))[0], Rotate90)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (lambda: 1, "of type function"),
        ([{1: 2}], "of type dict"),
        ({1, 2}, "of type set"),
        (np.array(["a"]), "of type ndarray"),
        (torch.zeros(2**18 + 1), r"an array of 1\.0 MiB"),
        (np.zeros((2**18, 2)), r"an array of 4\.0 MiB"),
        (torch.ones(2, requires_grad=True), "a tensor that is trained"),
        (torch.zeros(2, device="meta"), "a tensor that is on the meta device"),
        (torch.Size([1]), "of type Size"),
    ],
    ids=["function", "keys", "set", "texts", "large", "large array", "trained", "meta", "size"],
)
def test_other_values_are_named(value, words):
    with pytest.raises(ValueError, match=words):
        values.encode(value)


def test_a_value_of_another_version_is_named():
    with pytest.raises(ValueError, match="unknown kind of value 'later'"):
        values.decode({"later": 1})
    with pytest.raises(ValueError, match=r"unknown kind of value '\{\}'"):
        values.decode({})
