"""Every action is a left action and does what plain Python loops do."""

import itertools
import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_points import S3, on_points

from equitune import actions
from equitune.actions import (
    Action,
    AxisPermutation,
    Flip,
    Regular,
    Rotate90,
    RotateFlip,
    TokenPermutation,
    Trivial,
)
from equitune.groups import (
    CyclicGroup,
    DihedralGroup,
    FiniteGroup,
    ProductGroup,
)

D4 = DihedralGroup(4)
C2S3 = ProductGroup(CyclicGroup(2), S3)
THREE_CYCLE = [1, 2, 0, 3, 4, 5]


def images(batch, dtype):
    return torch.arange(batch * 2 * 9, dtype=dtype).reshape(batch, 2, 3, 3)


def ids(batch, size):
    return torch.arange(batch * 5).remainder(size).reshape(batch, 5)


def cases():
    """Each action with a maker of inputs (batch, …) for it."""
    for action in (Rotate90(), RotateFlip(), Flip(), Trivial(S3)):
        yield action, images
    for group in (CyclicGroup(3), CyclicGroup(4), D4, S3, C2S3):
        words = TokenPermutation(group, on_points(group))
        yield words, lambda batch, dtype, n=words.size: ids(batch, n)
        n = group.order
        yield (
            Regular(group),
            lambda batch, dtype, n=n: torch.arange(batch * n * 2, dtype=dtype).reshape(batch, n, 2),
        )
        yield (
            words.on_logits(),
            lambda batch, dtype, n=words.size: torch.arange(batch * 3 * n, dtype=dtype).reshape(
                batch, 3, n
            ),
        )
    yield Regular(S3, axis=-2), lambda batch, dtype: torch.rand(batch, 6, 4).to(dtype)
    yield (
        AxisPermutation(S3, S3.permutations, 1),
        lambda batch, dtype: torch.rand(batch, 3, 2).to(dtype),
    )


CASES = list(cases())
each_action = pytest.mark.parametrize(
    ("action", "inputs"), CASES, ids=[f"{type(a).__name__}-{a.group!r}" for a, _ in CASES]
)
each_dtype = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])


@each_action
@each_dtype
def test_is_a_left_action(action, inputs, dtype):
    x, group = inputs(2, dtype), action.group
    assert torch.equal(action(group.identity, x), x)
    for g, h in itertools.product(group.elements, repeat=2):
        assert torch.equal(action(g, action(h, x)), action(group.multiply(g, h), x))


@each_action
@each_dtype
def test_inverse_undoes(action, inputs, dtype):
    x = inputs(2, dtype)
    for g in action.group.elements:
        moved = action(g, x)
        assert moved.dtype == x.dtype
        assert moved.shape == x.shape
        assert torch.equal(action.inverse(g, moved), x)
        assert torch.equal(action(g, action.inverse(g, x)), x)


@pytest.mark.parametrize(
    ("action", "x"),
    [
        (RotateFlip(), images(1, torch.float32)),
        (Regular(S3), torch.rand(1, 6)),
        (TokenPermutation(S3, on_points(S3)), torch.arange(8)[None]),
        (TokenPermutation(C2S3, on_points(C2S3)).on_logits(), torch.rand(1, 14)),
    ],
    ids=["images", "regular", "tokens", "logits"],
)
def test_is_faithful_and_no_right_action(action, x):
    """The check of a left action would pass for a trivial one, and on commuting elements."""
    group = action.group
    moved = [action(g, x) for g in group.elements]
    assert not any(torch.equal(a, b) for a, b in itertools.combinations(moved, 2))
    assert any(
        not torch.equal(action(g, action(h, x)), action(group.multiply(h, g), x))
        for g, h in itertools.product(group.elements, repeat=2)
    )


@each_action
@each_dtype
def test_orbit_is_the_stack_of_copies(action, inputs, dtype):
    x = inputs(2, dtype)
    copies = action.orbit(x)
    assert copies.shape == (action.group.order, *x.shape)
    for g in action.group.elements:
        assert torch.equal(copies[g], action(g, x))
    assert torch.equal(action.unorbit(copies), x.expand_as(copies))


@each_action
@each_dtype
def test_unorbit_moves_each_copy_by_its_inverse(action, inputs, dtype):
    x = inputs(2 * action.group.order, dtype)
    ys = x.reshape(action.group.order, 2, *x.shape[1:])
    moved_back = action.unorbit(ys)
    for g in action.group.elements:
        assert torch.equal(action(g, moved_back[g]), ys[g])


@each_action
@each_dtype
def test_one_element_for_each_example(action, inputs, dtype):
    order = action.group.order
    g = torch.arange(2 * order).flip(0) % order
    x = inputs(2 * order, dtype)
    moved = action(g, x)
    for i, element in enumerate(g.tolist()):
        assert torch.equal(moved[i : i + 1], action(element, x[i : i + 1]))
    assert torch.equal(action.inverse(g, moved), x)


@each_action
def test_config_round_trip(action, inputs):
    again = actions.from_config(json.loads(json.dumps(action.config())))
    x = inputs(2, torch.float32)
    assert type(again) is type(action)
    assert again.group == action.group
    assert torch.equal(again.orbit(x), action.orbit(x))
    assert repr(again) == repr(action)


def test_rotation_is_a_counter_clockwise_quarter_turn():
    picture = [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
    turned = [[picture[column][2 - row] for column in range(3)] for row in range(3)]
    assert turned == [[3, 6, 9], [2, 5, 8], [1, 4, 7]]
    x = torch.tensor(picture)
    assert Rotate90()(1, x).tolist() == turned
    assert RotateFlip()(1, x).tolist() == turned
    assert RotateFlip()(4, x).tolist() == [row[::-1] for row in picture]
    assert RotateFlip()(5, x).tolist() == [
        [picture[column][row] for column in range(3)] for row in range(3)
    ]  # mirrored, then turned: the transpose
    assert Flip()(1, x).tolist() == [row[::-1] for row in picture]
    assert Flip()(1, x[:2]).shape == (2, 3)


@pytest.mark.parametrize("group", [CyclicGroup(3), CyclicGroup(4), D4, S3, C2S3], ids=repr)
def test_tokens_and_logits_against_dictionaries(group):
    rows = on_points(group)
    words, size = TokenPermutation(group, rows), group.order + 2
    logits = torch.rand(2, 3, size)
    tokens = ids(3, size)
    for g in group.elements:
        image = dict(enumerate(rows[g]))
        assert words(g, tokens).tolist() == [[image[v] for v in row] for row in tokens.tolist()]
        moved = words.on_logits()(g, logits)
        back = words.on_logits().inverse(g, logits)
        for v in range(size):
            assert torch.equal(moved[..., image[v]], logits[..., v])  # (g·p)[g·v] = p[v]
            assert torch.equal(back[..., v], logits[..., image[v]])


@pytest.mark.parametrize("axis", [1, -1, 2])
def test_logits_on_any_axis(axis):
    words = TokenPermutation(S3, on_points(S3))
    x = torch.rand(4, 8, 8)
    action = words.on_logits(axis)
    last = words.on_logits(-1)
    for g in S3.elements:
        expected = last(g, x.transpose(axis, -1)).transpose(axis, -1)
        assert torch.equal(action(g, x), expected)
    assert torch.equal(action.unorbit(action.orbit(x)), x.expand(6, 4, 8, 8))


def test_regular_shifts_by_the_left():
    x = torch.rand(2, 6, 3)
    for g, h in itertools.product(S3.elements, repeat=2):
        assert torch.equal(Regular(S3)(g, x)[:, S3.multiply(g, h)], x[:, h])


@settings(max_examples=25)
@given(st.sampled_from([CyclicGroup(3), D4, S3, C2S3]), st.data())
def test_random_groups_and_vocabularies(original, data):
    """Groups and points renumbered at random, a random input: still a left action."""
    n = original.order
    label = data.draw(st.permutations(range(n)))
    place = data.draw(st.permutations(range(n + 2)))
    table = [[0] * n for _ in range(n)]
    rows = [[0] * (n + 2) for _ in range(n)]
    for g in range(n):
        for h in range(n):
            table[label[g]][label[h]] = label[original.multiply(g, h)]
        for v, w in enumerate(on_points(original)[g]):
            rows[label[g]][place[v]] = place[w]
    group = FiniteGroup(table)
    words = TokenPermutation(group, rows)
    shape = data.draw(st.lists(st.integers(1, 3), min_size=1, max_size=3))
    x = torch.randint(n + 2, shape)
    p = torch.rand(*shape, n + 2)
    g, h = data.draw(st.integers(0, n - 1)), data.draw(st.integers(0, n - 1))
    assert torch.equal(words(g, words(h, x)), words(group.multiply(g, h), x))
    logits = words.on_logits()
    assert torch.equal(logits(g, logits(h, p)), logits(group.multiply(g, h), p))
    one_hot = torch.nn.functional.one_hot(x, n + 2)
    assert torch.equal(logits(g, one_hot).argmax(-1), words(g, x))  # ids and logits agree


def test_generated_by_takes_its_own_order():
    words = TokenPermutation.generated_by([1, 2, 0, 4, 3])
    assert words.group == CyclicGroup(6)
    x = torch.arange(5)
    for k in range(6):
        expected = x
        for _ in range(k):
            expected = torch.tensor([[1, 2, 0, 4, 3][v] for v in expected.tolist()])
        assert torch.equal(words(k, x), expected)


def test_generated_by_takes_a_multiple_of_the_order():
    words = TokenPermutation.generated_by(THREE_CYCLE, order=6)
    assert words.group == CyclicGroup(6)
    assert torch.equal(words(4, torch.arange(6)), words(1, torch.arange(6)))
    assert TokenPermutation.generated_by(range(4)).group == CyclicGroup(1)
    with pytest.raises(ValueError, match=r"order 4 is not a multiple of 3.*order=3"):
        TokenPermutation.generated_by(THREE_CYCLE, order=4)
    with pytest.raises(ValueError, match=r"nothing is sent to \[1\], more than one point to \[0\]"):
        TokenPermutation.generated_by([0, 0, 2])
    with pytest.raises(ValueError, match=r"shape \(1, 2\)"):
        TokenPermutation.generated_by([[0, 1]])


def test_ids_keep_their_dtype():
    words = TokenPermutation.generated_by(THREE_CYCLE)
    assert words(1, torch.tensor([0], dtype=torch.int32)).dtype == torch.int32


def test_gradients_flow_back_to_the_moved_place():
    p = torch.rand(1, 6, requires_grad=True)
    TokenPermutation.generated_by(THREE_CYCLE).on_logits()(1, p)[0, 1].backward()
    assert p.grad.tolist() == [[1.0, 0, 0, 0, 0, 0]]  # 0 goes to 1


def test_a_zero_dimensional_tensor_is_one_element():
    x = images(2, torch.float32)
    assert torch.equal(Rotate90()(torch.tensor(1), x), Rotate90()(1, x))


class Negate(Action):
    """An action of one's own, which is not a permutation: element 1 of C2 changes the sign."""

    def act(self, g, x):
        return -x if g else x


def test_an_action_of_ones_own_needs_only_act():
    action = Negate(CyclicGroup(2))
    x = torch.rand(3, 2)
    assert torch.equal(action(torch.tensor([0, 1, 0]), x)[1], -x[1])
    assert torch.equal(action.unorbit(action.orbit(x)), x.expand(2, 3, 2))
    assert isinstance(actions.from_config(action.config()), Negate)
    with pytest.raises(NotImplementedError, match="Action must define act"):
        Action(CyclicGroup(2))(1, x)


def test_unknown_config_names_the_known():
    with pytest.raises(ValueError, match=r"unknown action 'Unheard': expected one of .*Rotate90"):
        actions.from_config({"action": "Unheard"})
