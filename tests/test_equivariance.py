"""The measured error is the written definition, and the report names the layer at fault."""

import math

import pytest
import torch
from small_models import images, network, symmetric_conv
from torch import nn

from equitune.actions import Action, Flip, Regular, Rotate90, TokenPermutation, Trivial
from equitune.equivariance import assert_equivariant, equivariance_error, equivariance_report
from equitune.groups import CyclicGroup, SymmetricGroup
from equitune.symmetrize import EquiTuned, Select

ROTATE = Rotate90()
KEEP = Trivial(ROTATE.group)
S3 = SymmetricGroup(3)


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_error_is_its_definition(dtype):
    module = nn.Linear(6, 6, dtype=dtype)
    action, x = Regular(S3), torch.randn(4, 6, dtype=dtype)
    with torch.no_grad():
        y = module(x)
        expected = [
            max(abs(a - b) for a, b in zip(p.flatten().tolist(), q.flatten().tolist(), strict=True))
            / max(abs(a) for a in y.flatten().tolist())
            for p, q in ((module(action(g, x)), action(g, y)) for g in S3.elements)
        ]
    errors = equivariance_error(module, action, action, x)
    assert errors.shape == (6,)
    assert errors.dtype == torch.float64
    assert errors.tolist() == pytest.approx(expected, rel=1e-6)
    assert errors[0] == 0
    assert (errors[1:] > 1e-2).all()


def test_a_wrong_inverse_is_found_on_a_non_abelian_group():
    """With moves by g in place of g⁻¹ elements of order 2 pass, those of order 3 do not."""

    class WrongWay(Action):
        def act(self, g, x):
            return Regular(self.group).inverse(g, x)

    x = torch.randn(2, 6)
    errors = equivariance_error(nn.Identity(), Regular(S3), WrongWay(S3), x)
    for g in S3.elements:
        assert (errors[g] == 0) == (S3.multiply(g, g) == S3.identity)


def test_relative_error_is_safe_at_zero():
    def step(x):  # 0 on x itself, not on its turned copies
        return (x != picture).float()

    picture = torch.arange(9.0).reshape(1, 1, 3, 3)
    assert equivariance_error(lambda x: 0 * x, ROTATE, ROTATE, picture).tolist() == [0.0] * 4
    errors = equivariance_error(step, ROTATE, ROTATE, picture)
    assert errors.tolist() == [0.0, math.inf, math.inf, math.inf]


def test_equal_infinities_are_equal_and_nan_fails():
    def masked(x):
        return x.clamp(max=1).masked_fill(x > 1, -math.inf)

    x = torch.randn(20, 2, 3, 3)
    assert equivariance_error(masked, ROTATE, ROTATE, x).tolist() == [0.0] * 4
    nan = lambda x: x * math.nan  # noqa: E731
    assert equivariance_error(nan, ROTATE, ROTATE, x).isnan().all()
    assert "gave nan" in equivariance_report(nan, ROTATE, ROTATE, x)
    with pytest.raises(AssertionError, match="NOT equivariant"):
        assert_equivariant(nan, ROTATE, ROTATE, x)


def test_integer_outputs_must_agree():
    model = EquiTuned(nn.Conv2d(2, 3, 3, padding=1), ROTATE, ROTATE)
    predict = lambda x: model(x).argmax(1)  # noqa: E731
    assert_equivariant(predict, ROTATE, ROTATE, images())
    assert "int64 outputs are exact" in equivariance_report(predict, ROTATE, ROTATE, images())
    plain = lambda x: model.module(x).argmax(1)  # noqa: E731
    with pytest.raises(AssertionError, match="above tolerance"):
        assert_equivariant(plain, ROTATE, ROTATE, images())


def test_modes_and_gradients_are_left_as_they_were():
    model = network(drop=nn.Dropout(0.9))
    model.norm.eval()
    before = [m.training for m in model.modules()]
    state = {k: v.clone() for k, v in model.state_dict().items()}
    equivariance_report(model, ROTATE, KEEP, images())
    assert_equivariant(model, ROTATE, KEEP, images())  # no dropout in evaluation mode
    assert [m.training for m in model.modules()] == before
    assert all(torch.equal(state[k], v) for k, v in model.state_dict().items())
    assert not any(m._forward_hooks for m in model.modules())
    assert all(p.grad is None for p in model.parameters())
    with pytest.raises(RuntimeError):
        equivariance_error(model, ROTATE, KEEP, torch.randn(1, 5, 4, 4))
    assert [m.training for m in model.modules()] == before


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_an_equivariant_model_passes(dtype):
    model = network().to(dtype)
    assert_equivariant(model, ROTATE, KEEP, images(dtype=dtype))
    report = equivariance_report(model, ROTATE, KEEP, images(dtype=dtype))
    assert report.startswith("Sequential is equivariant under CyclicGroup(4)")
    assert "verdict: equal up to rounding" in report or "verdict: exact" in report
    assert "cause" not in report
    assert f"one {str(dtype)[6:]} operation" in report


def test_report_lists_every_element():
    report = equivariance_report(nn.Linear(6, 6), Regular(S3), Regular(S3), torch.randn(2, 6))
    lines = report.splitlines()
    assert lines[0] == "Linear is NOT equivariant under SymmetricGroup(3)"
    assert [line.split()[0] for line in lines[2:8]] == list(S3.names)
    assert [("above" in line) for line in lines[2:8]] == [False, *[True] * 5]
    assert "too large for rounding" in report


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"first": nn.Conv2d(2, 4, 3, padding=1)}, r"first \(Conv2d\)"),
        ({"second": nn.Conv2d(4, 4, 3, padding=1)}, r"second \(Conv2d\)"),
        ({"second": symmetric_conv(4, 4, stride=2)}, r"second \(Conv2d\)"),
        ({"pool": nn.MaxPool2d(4)}, r"pool \(MaxPool2d\)"),
        ({"pool": nn.Identity(), "head": nn.Linear(144, 3)}, r"head \(Linear\)"),
    ],
    ids=["first", "second", "stride", "pool", "flattened"],
)
def test_report_names_the_first_layer_that_breaks(changes, named):
    """A stride of 2 on an even size and a flattened map are the usual suspects."""
    with pytest.raises(AssertionError, match=f"cause: {named} is the first submodule"):
        assert_equivariant(network(**changes), ROTATE, KEEP, images())


def test_report_names_nested_layers():
    model = nn.Sequential(nn.Sequential(symmetric_conv(2, 2), nn.Tanh(), nn.Conv2d(2, 2, 1)))
    assert_equivariant(model, ROTATE, ROTATE, images())
    model[0][2] = nn.Conv2d(2, 2, 3, padding=1)
    with pytest.raises(AssertionError, match=r"cause: 0\.2 \(Conv2d\)"):
        assert_equivariant(model, ROTATE, ROTATE, images())


class Adds(nn.Module):
    """Does something of its own between its submodules."""

    def __init__(self):
        super().__init__()
        self.conv = symmetric_conv(2, 2)

    def forward(self, x):
        return self.conv(x) + torch.arange(x.shape[-1])


def test_report_blames_no_submodule_for_what_happens_between():
    with pytest.raises(AssertionError, match="no submodule alone: what Adds does between"):
        assert_equivariant(Adds(), ROTATE, ROTATE, images())


class Slope(nn.Module):
    """Adds a slope in place."""

    def forward(self, x):
        return x.add_(torch.arange(x.shape[-1]))


def test_report_does_not_blame_the_layer_before_one_that_works_in_place():
    model = nn.Sequential(symmetric_conv(2, 2), Slope())
    with pytest.raises(AssertionError, match=r"cause: 1 \(Slope\)"):
        assert_equivariant(model, ROTATE, ROTATE, images())


def test_report_recognises_a_wrong_order():
    model = nn.Sequential(symmetric_conv(2, 2), nn.Tanh())
    with pytest.raises(AssertionError, match="right but in a wrong order: check output_action"):
        assert_equivariant(model, ROTATE, KEEP, images())


def test_report_takes_equituned_as_one():
    inner = nn.Sequential(nn.Conv2d(2, 2, 3, padding=1), nn.Tanh())
    whole = nn.Sequential(EquiTuned(inner, ROTATE, ROTATE, chunk_size=1), nn.Tanh())
    assert_equivariant(whole, ROTATE, ROTATE, images())
    whole.append(nn.Conv2d(2, 2, 3, padding=1))
    with pytest.raises(AssertionError, match=r"cause: 2 \(Conv2d\)"):
        assert_equivariant(whole, ROTATE, ROTATE, images())
    wrong = EquiTuned(inner, ROTATE, KEEP)
    with pytest.raises(AssertionError, match="does not move as output_action says"):
        assert_equivariant(wrong, ROTATE, ROTATE, images())


class Sign(Action):
    """The sign, which is not a permutation."""

    def act(self, g, x):
        return -x if g else x


def test_report_accepts_layers_that_move_by_the_input_action():
    sign = Sign(CyclicGroup(2))
    model = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Tanh(), nn.Linear(3, 2))
    with pytest.raises(AssertionError, match=r"cause: 2 \(Linear\)"):
        assert_equivariant(model, sign, sign, torch.randn(4, 3))


class Recurrent(nn.Module):
    """A token model, whose parts return tuples and are called more than once."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(8, 4)
        self.mix = nn.LSTM(4, 5, batch_first=True)
        self.out = nn.Linear(5, 8)

    def forward(self, x):
        return self.out(self.mix(self.embed(x))[0])


def test_token_models():
    rows = [[S3.multiply(g, h) for h in S3.elements] + [6, 7] for g in S3.elements]
    words = TokenPermutation(S3, rows)
    x = torch.randint(8, (3, 4))
    model = Recurrent()
    with pytest.raises(AssertionError, match=r"cause: embed \(Embedding\)"):
        assert_equivariant(model, words, words.on_logits(), x)
    assert_equivariant(EquiTuned(model, words, words.on_logits()), words, words.on_logits(), x)
    with torch.no_grad():
        model.embed.weight.fill_(1)
        model.out.weight.fill_(1)
    with torch.no_grad():
        model.out.bias.copy_(torch.arange(8.0))
    with pytest.raises(AssertionError, match="wrong order"):
        assert_equivariant(model, words, words.on_logits(), x)


def test_select_of_a_symmetric_input_stays_equivariant():
    model = EquiTuned(
        nn.Conv2d(2, 3, 3, padding=1), ROTATE, ROTATE, Select(lambda y: y.flatten(1).amax(1))
    )
    assert_equivariant(model, ROTATE, ROTATE, torch.ones(2, 2, 4, 4))


def test_tolerance_can_be_chosen():
    model = nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.AdaptiveAvgPool2d(1))
    assert_equivariant(model, ROTATE, KEEP, images(), tolerance=10.0)
    report = equivariance_report(model, ROTATE, KEEP, images(), tolerance=10.0)
    assert "within the tolerance given" in report
    with pytest.raises(AssertionError):
        assert_equivariant(network(), ROTATE, KEEP, images(), tolerance=-1.0)


def test_rounding_is_told_from_breaking():
    def noisy(x):
        return 1 + 1e-4 * x[..., :1, :1]

    report = equivariance_report(noisy, ROTATE, KEEP, torch.rand(1, 1, 3, 3))
    assert "more than usual rounding; repeat in float64" in report


def test_half_precision_has_its_own_tolerance():
    model = EquiTuned(network().bfloat16(), ROTATE, KEEP)
    assert_equivariant(model, ROTATE, KEEP, images(dtype=torch.bfloat16))


def test_complex_outputs():
    model = EquiTuned(nn.Conv2d(2, 2, 3, padding=1), ROTATE, ROTATE)

    def wave(x):
        return torch.polar(torch.ones_like(model(x)), model(x))

    assert_equivariant(wave, ROTATE, ROTATE, images())


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match=r"output_action is an action of CyclicGroup\(2\)"):
        equivariance_error(network(), ROTATE, Flip(), images())
    with pytest.raises(ValueError, match="0 inputs for 1 input actions"):
        equivariance_report(network(), ROTATE, KEEP)
    with pytest.raises(TypeError, match=r"returned a tuple of 1: .*output_action= a tree of"):
        assert_equivariant(lambda x: (x,), ROTATE, KEEP, images())
