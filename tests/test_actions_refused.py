"""What is no action, or no input of one, is refused in one line."""

import pytest
import torch
from small_points import S3, on_points

from equitune.actions import (
    AxisPermutation,
    Regular,
    Rotate90,
    RotateFlip,
    TokenPermutation,
    Trivial,
)
from equitune.groups import (
    CyclicGroup,
)


@pytest.mark.parametrize(
    ("group", "rows", "message"),
    [
        (CyclicGroup(2), [[0, 1, 2]], r"shape \(1, 3\): expected \(2, points\)"),
        (CyclicGroup(2), [[0, 1, 2], [1, 1, 2]], r"row 1 is not a permutation of 0 … 2"),
        (CyclicGroup(2), [[0, 1], [1, 2]], r"nothing is sent to \[0\]"),
        (CyclicGroup(2), [[0, 1, 2], [1, 2, 0]], r"not a group action: 1·\(1·v\) is 2 for v = 0"),
        (CyclicGroup(2), [[1, 0], [0, 1]], "not a group action"),
        (CyclicGroup(4), [[0, 1, 2], [1, 2, 0], [2, 0, 1], [0, 1, 2]], "not a group action"),
    ],
    ids=[
        "too few rows",
        "no permutation",
        "no closed set",
        "wrong product",
        "wrong identity",
        "wrong order",
    ],
)
def test_rows_must_be_an_action(group, rows, message):
    with pytest.raises(ValueError, match=message):
        TokenPermutation(group, rows)
    with pytest.raises(ValueError, match=message):
        AxisPermutation(group, rows)


def test_a_right_action_is_refused():
    """The rows of inverses multiply the wrong way round on a non-abelian group."""
    inverses = [on_points(S3)[S3.inverse(g)] for g in S3.elements]
    with pytest.raises(ValueError, match="not a group action"):
        TokenPermutation(S3, inverses)


def test_rows_of_floats_are_refused():
    with pytest.raises(TypeError, match=r"dtype float64: expected integers"):
        TokenPermutation(CyclicGroup(1), [[0.0, 1.0]])


@pytest.mark.parametrize("action", [Rotate90(), RotateFlip()], ids=["Rotate90", "RotateFlip"])
def test_images_must_be_square(action):
    with pytest.raises(ValueError, match=r"\(1, 3, 4, 5\): .*square images.*Flip\(\)"):
        action(1, torch.rand(1, 3, 4, 5))
    with pytest.raises(ValueError, match="square"):
        action(1, torch.rand(4))


@pytest.mark.parametrize("bad", [-1, 8, 100])
def test_ids_outside_the_vocabulary_are_refused(bad):
    words = TokenPermutation(S3, on_points(S3))
    x = torch.tensor([[0, bad]])
    for call in (lambda: words(1, x), lambda: words.orbit(x), lambda: words(torch.tensor([1]), x)):
        with pytest.raises(ValueError, match=f"token id {bad} is outside the vocabulary 0 … 7"):
            call()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bool, torch.uint8])
def test_ids_must_be_integers(dtype):
    with pytest.raises(TypeError, match=r"token ids have dtype .*on_logits\(\)"):
        TokenPermutation(S3, on_points(S3))(1, torch.ones(2, 3, dtype=dtype))


def test_an_axis_of_another_length_is_refused():
    with pytest.raises(ValueError, match=r"axis 1 of \(2, 5\) is 5 long: .* moves 6 entries"):
        Regular(S3)(1, torch.rand(2, 5))
    with pytest.raises(ValueError, match=r"axis 1 of \(6,\) is missing"):
        Regular(S3)(1, torch.rand(6))
    with pytest.raises(ValueError, match="is the batch"):
        Regular(S3, axis=0)(torch.zeros(6, dtype=torch.long), torch.rand(6))


@pytest.mark.parametrize(
    "action", [Rotate90(), Trivial(CyclicGroup(4)), Regular(CyclicGroup(4))], ids=repr
)
def test_bad_elements_are_refused(action):
    x = torch.rand(4, 4, 4)
    with pytest.raises(ValueError, match="4 is not an element"):
        action(4, x)
    with pytest.raises(ValueError, match="-1 is not an element"):
        action.inverse(-1, x)
    with pytest.raises(TypeError, match=r"1\.5 is not an element"):
        action(1.5, x)
    with pytest.raises(ValueError, match=r"g holds 4, no element of CyclicGroup\(4\)"):
        action(torch.tensor([0, 1, 2, 4]), x)
    with pytest.raises(ValueError, match=r"g has shape \(3,\) and x \(4, 4, 4\)"):
        action.inverse(torch.tensor([0, 1, 2]), x)
    with pytest.raises(TypeError, match="expected integers"):
        action(torch.rand(4), x)
    with pytest.raises(ValueError, match="expected the 4 copies"):
        action.unorbit(torch.rand(3, 2, 4, 4))
