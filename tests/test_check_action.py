"""Each law of an action is checked: a broken one is named with its elements, a kept one passes."""

import re

import pytest
import torch
from torch import nn

from equitune import EquiTuned, actions, check_action
from equitune.actions import Action, AxisPermutation, Flip, Regular, Rotate90, RotateFlip, Vectors
from equitune.equivariance import assert_equivariant, equivariance_report
from equitune.groups import CyclicGroup, SymmetricGroup

ROTATE = Rotate90()
C2, C4, S3 = CyclicGroup(2), CyclicGroup(4), SymmetricGroup(3)
TURN = torch.tensor([[0.0, -1.0], [1.0, 0.0]])  # of (row, column), counter-clockwise by 90°


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def action_of(group, act, **methods):
    """An action of one's own from its functions."""
    kind = type("Own", (Action,), {"act": staticmethod(act), **methods})
    return kind(group)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.int64])
@pytest.mark.parametrize("batch", [1, 3, 7])
def test_actions_of_the_package_pass(dtype, batch):
    x = torch.arange(batch * 2 * 6 * 6).reshape(batch, 2, 6, 6).to(dtype) - 40
    for action in (ROTATE, RotateFlip(), Flip(), actions.Trivial(S3), Regular(S3, axis=2)):
        check_action(action, x)
    ids = torch.randint(6, (batch, 5))
    check_action(actions.TokenPermutation(S3, S3.table), ids)


def test_what_x_may_be():
    check_action(ROTATE, torch.randn(2, 3, 4, 4, dtype=torch.complex64))
    check_action(ROTATE, torch.randn(0, 3, 4, 4))
    check_action(AxisPermutation(S3, S3.table, axis=0), torch.randn(6, 2), batched=False)
    check_action(ROTATE, torch.randn(4, 4), batched=False)
    check_action(ROTATE, torch.tensor([[[1.0, float("nan")], [float("inf"), 2.0]]]))
    with pytest.raises(TypeError, match="action is 3: expected an Action"):
        check_action(3, torch.randn(2, 2))
    with pytest.raises(TypeError, match="x is list: expected a tensor"):
        check_action(ROTATE, [1.0])


def in_place(g, x):
    return x.neg_() if g else x


BROKEN = {
    "identity": (C2, lambda g, x: -x, "the identity .* changes x by 2.0e"),
    "product": (
        C4,
        lambda g, x: torch.rot90(x, g % 3, (-2, -1)),
        r"g\(hx\) differs from \(gh\)x by .* for g = .* \(element 1\) and h = .*: make act",
    ),
    "right": (
        S3,
        lambda g, x: Regular(S3).inverse(g, x),
        "it holds with hg in place of gh, so act with the inverse",
    ),
    "shape": (C2, lambda g, x: x[:, :1] if g else x, r"act\(1, x\) has shape \(2, 1, 6, 6\)"),
    "dtype": (
        C2,
        lambda g, x: x.double(),
        "act.0, x. has dtype torch.float64, x has torch.float32",
    ),
    "no tensor": (C2, lambda g, x: None, "returned NoneType"),
    "in place": (C2, in_place, r"act\(1, x\) changes x itself: work on a copy"),
    "batch": (C2, lambda g, x: x.flip(0) if g else x, "dimension 0 must not move"),
    "not affine": (
        C2,
        lambda g, x: 1 / x if g else x,
        "not linear or affine: .* by .*; pass linear=False",
    ),
    "nan": (C2, lambda g, x: x * float("nan") if g else x, "g.hx. differs"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_law_is_named(name):
    group, act, message = BROKEN[name]
    x = torch.randn(2, 6, 6, 6)
    with pytest.raises(ValueError, match=f"Own of .* is not an action: .*{message}"):
        check_action(action_of(group, act), x)


def test_the_largest_difference_is_that_of_a_loop():
    def act(g, x):
        return x * [1.0, 2.0, 4.0, 9.0][g]

    x = torch.randn(2, 3, dtype=torch.float64)
    differences = {}
    for g in C4.generators:
        for h in C4.elements:
            goal = act((g + h) % 4, x)
            differences[g, h] = ((act(g, act(h, x)) - goal).abs().max() / goal.abs().max()).item()
    (g, h), largest = max(differences.items(), key=lambda pair: pair[1])
    text = f"by {largest:.1e} (relative) for g = {C4.names[g]} (element {g}) and h = {C4.names[h]} "
    with pytest.raises(ValueError, match=re.escape(text)):
        check_action(action_of(C4, act), x)


@pytest.mark.parametrize(
    ("method", "function", "message"),
    [
        ("inverse", lambda self, g, y: self.act(g, y) if isinstance(g, int) else y, "inverse"),
        ("orbit", lambda self, x: torch.stack([x] * 4), r"orbit\(x\)\[1\] differs from act"),
        ("unorbit", lambda self, ys: ys, r"unorbit\(orbit\(x\)\)\[1\] differs from x"),
        ("act_each", lambda self, g, x: x, r"act_each\(g, x\) differs"),
    ],
    ids=["inverse", "orbit", "unorbit", "act_each"],
)
def test_what_an_action_computes_in_its_own_way_must_agree_with_act(method, function, message):
    own = action_of(C4, lambda g, x: torch.rot90(x, g, (-2, -1)), **{method: function})
    with pytest.raises(ValueError, match=message):
        check_action(own, torch.randn(2, 4, 4))


def test_an_input_action_need_not_be_linear():
    inverse = action_of(C2, lambda g, x: 1 / x if g else x)
    check_action(inverse, torch.rand(2, 3, 4, 4) + 0.5, linear=False)


def test_an_affine_action_keeps_means():
    negative = action_of(C2, lambda g, x: 1 - x if g else x)
    check_action(negative, torch.rand(2, 3, 4, 4))


def test_rounding_is_no_fault_and_the_tolerance_can_be_chosen():
    def act(g, x):  # rotations by 120°, with sines that are rounded
        angle = torch.tensor(2 * torch.pi * g / 3)
        c, s = angle.cos(), angle.sin()
        return x @ torch.stack([torch.stack([c, s]), torch.stack([-s, c])]).to(x.dtype)

    own = action_of(CyclicGroup(3), act)
    check_action(own, torch.randn(5, 2))
    with pytest.raises(ValueError, match="differs"):
        check_action(own, torch.randn(5, 2), tolerance=0.0)


def field(matrix):
    """The action on vector fields (batch, 2, size, size) that turns components by a matrix."""

    def act(g, x):
        turn = torch.linalg.matrix_power(matrix, g).to(x.dtype)
        return torch.einsum("ij,bjhw->bihw", turn, ROTATE.act(g, x))

    return action_of(C4, act)


X = torch.linspace(-1, 1, 72).sin().reshape(1, 2, 6, 6)


def test_a_gradient_turns_as_written():
    """The plain loop: ∂rows, ∂columns of a turned image are the turned ones of the image."""
    f = torch.randn(6, 6, dtype=torch.float64)

    def slope(f, i, j, rows, columns):
        after, before = f[(i + rows) % 6, (j + columns) % 6], f[i - rows, j - columns]
        return (after - before) / 2

    turned = torch.rot90(f)
    for i in range(6):
        for j in range(6):  # the pixel (i, j) of the turned image is (j, 5 - i) of the image
            old = torch.stack([slope(f, j, 5 - i, 1, 0), slope(f, j, 5 - i, 0, 1)])
            new = torch.stack([slope(turned, i, j, 1, 0), slope(turned, i, j, 0, 1)])
            assert torch.equal(TURN.double() @ old, new)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_the_right_field_action_passes(dtype):
    right, x = field(TURN), torch.randn(3, 2, 6, 6, dtype=dtype)
    check_action(right, x, vectors=Vectors(ROTATE))
    check_action(right, x, vectors=Vectors(ROTATE, ("column", "-row")))  # x, and y upwards
    check_action(field(TURN.T), x, vectors=Vectors(ROTATE, ("column", "row")))  # optical flow


def test_vectors_that_do_not_turn_are_named():
    check_action(ROTATE, X)  # every law of an action holds
    message = (
        r"the vector components did not turn: .* \(element 1\); along axis 1 \('row', 'column'\) "
        r"must be multiplied by \[\[0, -1\], \[1, 0\]\], not by \[\[1, 0\], \[0, 1\]\]"
    )
    with pytest.raises(ValueError, match=message):
        check_action(ROTATE, X, vectors=Vectors(ROTATE))
    for components in (("row", "column"), ("column", "-row")):
        with pytest.raises(ValueError, match=r"turn the wrong way: .* not by \[\[0, 1\], \[-1, 0"):
            check_action(field(TURN.T), X, vectors=Vectors(ROTATE, components))


def test_vectors_of_other_layouts_and_groups():
    flow = action_of(C2, lambda g, x: x.flip(-2) * torch.tensor([1.0, -1.0]) if g else x)
    mirror = action_of(C2, lambda g, x: x.flip(-1) if g else x)
    check_action(flow, torch.randn(2, 3, 5, 2), vectors=Vectors(mirror, axis=-1))
    with pytest.raises(ValueError, match="turn the wrong way"):
        check_action(flow, torch.randn(2, 3, 5, 2), vectors=Vectors(mirror, ("column", "row"), -1))
    with pytest.raises(ValueError, match="does not move pixels as"):
        check_action(flow, torch.randn(2, 3, 5, 2), vectors=Vectors(actions.Trivial(C2), axis=-1))


@pytest.mark.parametrize(
    ("x", "vectors", "message"),
    [
        (X, Vectors(ROTATE, ("x", "y")), "component 'x': expected one of row, column, -row"),
        (X, Vectors(Flip()), r"pixels moves by CyclicGroup\(2\), the action by CyclicGroup\(4\)"),
        (X, Vectors(ROTATE, axis=2), r"expected 2 components .* along axis 2"),
        (X.long(), Vectors(ROTATE), "expected floating vectors"),
        (
            X,
            Vectors(
                AxisPermutation(
                    C4, [[(3 * g + v) % 4 if v < 4 else v for v in range(6)] for g in range(4)]
                )
            ),
            "is not a rotation, mirror image or shift",
        ),
    ],
    ids=["names", "group", "axis", "integers", "no isometry"],
)
def test_vectors_that_cannot_be_checked_are_refused(x, vectors, message):
    with pytest.raises(ValueError, match=message):
        check_action(ROTATE, x, vectors=vectors)


class Wrong(Action):
    """Moves by g⁻¹."""

    def act(self, g, x):
        return Regular(self.group).inverse(g, x)


def test_the_report_blames_a_broken_action_and_not_the_model():
    x = torch.randn(2, 6)
    for pair, which in (
        ((Wrong(S3), Regular(S3)), r"input_action \(Wrong\)"),
        ((Regular(S3), Wrong(S3)), r"output_action \(Wrong\)"),
    ):
        report = equivariance_report(nn.Identity(), *pair, x)
        assert report.startswith("Identity cannot be judged under SymmetricGroup(3)\n  cause: ")
        with pytest.raises(AssertionError, match=f"cause: {which} is not an action: g.hx. differs"):
            assert_equivariant(nn.Identity(), *pair, x)
    keep = actions.Trivial(S3)
    with pytest.raises(
        AssertionError, match=r"cause: input_action\[2\] \(Wrong\) is not an action"
    ):
        assert_equivariant(
            lambda x, n, y: x + n, (Regular(S3), None, Wrong(S3)), keep, x, 3, torch.randn(2, 6)
        )


class Gradient(nn.Module):
    """The gradient of an image, (batch, 1, size, size) to (batch, 2, size, size)."""

    def forward(self, x):
        x = x[:, 0]
        return torch.stack([(x.roll(-1, d) - x.roll(1, d)) / 2 for d in (-2, -1)], 1)


def test_the_report_sees_that_components_turn():
    """Before, the module whose output is right was blamed."""
    model, x = nn.Sequential(Gradient(), nn.Identity()), torch.randn(3, 1, 6, 6)
    assert_equivariant(model, ROTATE, field(TURN), x, vectors=Vectors(ROTATE))
    message = (
        r"cause: output_action: f\(gx\) is R g f\(x\) with a matrix R along axis 1, for \S+ with "
        r"R = \[\[0, -1\], \[1, 0\]\]"
    )
    for f in (model, model.forward):
        with pytest.raises(AssertionError, match=message):
            assert_equivariant(f, ROTATE, ROTATE, x)


def test_a_passing_model_of_an_action_that_leaves_components_is_refused_where_vectors_says_so():
    """EquiTuned follows any action; which one is right only the user can say."""
    net, x = nn.Conv2d(1, 2, 3, padding=1), torch.randn(3, 1, 6, 6)
    wrong, right = EquiTuned(net, ROTATE, ROTATE), EquiTuned(net, ROTATE, field(TURN))
    assert_equivariant(wrong, ROTATE, ROTATE, x)
    with pytest.raises(
        AssertionError, match=r"output_action \(Rotate90\) is not an action: the vec"
    ):
        assert_equivariant(wrong, ROTATE, ROTATE, x, vectors=Vectors(ROTATE))
    assert_equivariant(right, ROTATE, field(TURN), x, vectors=Vectors(ROTATE))


def test_an_output_action_that_cannot_be_averaged_is_named():
    swap = AxisPermutation(C2, [[0, 1], [1, 0]])

    class Odd(Action):
        """An action of C2 that is not linear."""

        def act(self, g, x):
            return 1 / x if g else x

    model = EquiTuned(nn.Sequential(nn.Linear(2, 2), nn.Softplus()).double(), swap, Odd(C2))
    with pytest.raises(AssertionError, match="cause: output_action cannot be averaged over: it is"):
        assert_equivariant(model, swap, Odd(C2), torch.rand(3, 2, dtype=torch.float64))
