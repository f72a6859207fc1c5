"""The report on models whose inside is hidden, random or of mixed rows."""

import random
import warnings

import numpy as np
import pytest
import torch
from small_models import S3, images, network, symmetric_conv
from torch import nn

from equitune.actions import AxisPermutation, Regular, Rotate90, Trivial
from equitune.equivariance import assert_equivariant, equivariance_error, equivariance_report
from equitune.groups import CyclicGroup
from equitune.symmetrize import EquiTuned

ROTATE = Rotate90()
KEEP = Trivial(ROTATE.group)


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def broken():
    return network(second=nn.Conv2d(4, 4, 3, padding=1)).eval()


def scripted(model):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is deprecated
        return torch.jit.script(model)


def traced(model):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.trace(model, images())


def frozen(model):
    model = scripted(model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.freeze(model)


def exported(model):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.export.export(model, (images(),)).module()


def optimized(model):
    return torch.compile(model, backend="eager")


@pytest.mark.parametrize("make", [scripted, traced, frozen, exported], ids=lambda f: f.__name__)
def test_no_cause_is_named_where_the_inside_cannot_be_watched(make):
    report = equivariance_report(make(broken()), ROTATE, KEEP, images())
    assert "is NOT equivariant" in report
    assert report.splitlines()[-1] == (
        "  cause: not looked for, as the inside of a scripted, traced or exported module cannot be "
        "watched; run the report on the plain module"
    )
    good = make(network().eval())
    assert_equivariant(good, ROTATE, KEEP, images())


@pytest.mark.parametrize("make", [scripted, traced, exported], ids=lambda f: f.__name__)
def test_a_hidden_part_is_blamed_itself_and_not_what_follows(make):
    """Hooks on a scripted part are not called: the layer after it was blamed."""
    part = make(nn.Sequential(nn.Conv2d(2, 2, 3, padding=1), nn.Tanh()).eval())
    model = nn.Sequential(part, nn.Tanh(), symmetric_conv(2, 2))
    with pytest.raises(AssertionError, match=r"cause: 0 \((Sequential|GraphModule)\) is the first"):
        assert_equivariant(model, ROTATE, ROTATE, images())
    assert model[0] is part
    model[0] = make(nn.Sequential(symmetric_conv(2, 2), nn.Tanh()).eval())
    model[2] = nn.Conv2d(2, 2, 3, padding=1)
    with pytest.raises(AssertionError, match=r"cause: 2 \(Conv2d\) is the first"):
        assert_equivariant(model, ROTATE, ROTATE, images())


def in_place(model):
    model.compile(backend="eager")
    return model


def part_of_one(model):
    return nn.Sequential(optimized(model))


@pytest.mark.parametrize("make", [optimized, in_place, part_of_one], ids=lambda f: f.__name__)
@pytest.mark.parametrize("run_before", [False, True])
def test_a_compiled_module_is_watched_uncompiled(make, run_before):
    model = make(broken())
    if run_before:  # then no hook inside is called any more
        model(images())
    report = equivariance_report(model, ROTATE, KEEP, images())
    assert report.startswith("Sequential (compiled) is NOT equivariant")
    assert ".second (Conv2d) is the first" in report.replace("cause: second", "cause: .second")
    assert "_orig_mod" not in report


def test_what_compiling_breaks_is_blamed_on_compiling():
    def careless(graph, _):
        return lambda *inputs: [y + torch.arange(y.numel()).view_as(y) for y in graph(*inputs)]

    model = torch.compile(nn.Sequential(symmetric_conv(2, 2)), backend=careless)
    with pytest.raises(
        AssertionError, match=r"cause: torch\.compile: without it the model follows"
    ):
        assert_equivariant(model, ROTATE, ROTATE, images())
    whole = torch.compile(EquiTuned(nn.Conv2d(2, 2, 3, padding=1), ROTATE, KEEP), backend="eager")
    with pytest.raises(AssertionError, match="does not move as output_action says"):
        assert_equivariant(whole, ROTATE, ROTATE, images())


class Borrows(nn.Module):
    """Uses the weights of its submodules, and calls none."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(2, 2, 3)

    def forward(self, x):
        return torch.conv2d(x, self.layer.weight, padding=1)


def test_submodules_that_are_not_called_are_not_judged():
    with pytest.raises(AssertionError, match="cause: not found, as Borrows calls none of its"):
        assert_equivariant(Borrows(), ROTATE, ROTATE, images())


class Noisy(nn.Module):
    """An invariant model with noise on its features, from a generator of its own or the global."""

    def __init__(self, size=1.0, generator=None, bad=0.0):
        super().__init__()
        self.size, self.generator, self.bad = size, generator, bad

    def forward(self, x):
        y = x.mean((-2, -1)) + self.bad * x[..., 0, 0]
        return y + self.size * torch.randn(y.shape, generator=self.generator)


class NoisyElsewhere(nn.Module):
    """Draws from NumPy and Python."""

    def forward(self, x):
        return x.mean((-2, -1)) + float(np.random.rand()) + random.random()


def test_noise_is_not_called_an_error():
    """Before: "too large for rounding: the model does not follow the group"."""
    report = equivariance_report(Noisy(), ROTATE, KEEP, images())
    assert report.startswith("Noisy may or may not be equivariant")
    assert "noise: two runs on one input differ by " in report
    assert "verdict: cannot be told from noise: pass seed=0" in report
    assert "cause" not in report
    with pytest.raises(AssertionError, match="cannot be told from noise"):
        assert_equivariant(Noisy(), ROTATE, KEEP, images())


@pytest.mark.parametrize("model", [Noisy(), NoisyElsewhere()], ids=["torch", "numpy"])
def test_with_a_seed_every_pass_has_the_same_noise(model):
    x = images()
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()
    python_state = random.getstate()
    assert_equivariant(model, ROTATE, KEEP, x, seed=3)
    report = equivariance_report(model, ROTATE, KEEP, x, seed=3)
    assert "noise: the same in every pass; other noise changes f(x) by" in report
    assert "rows" not in report  # copies together get other noise; nothing is mixed
    assert equivariance_error(model, ROTATE, KEEP, x, seed=3).max() < 1e-6
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert np.array_equal(np.random.get_state()[1], numpy_state[1])
    assert random.getstate() == python_state


@pytest.mark.parametrize("seed", [None, 3])
def test_a_generator_of_the_models_own_is_set_and_put_back(seed):
    generator = torch.Generator().manual_seed(5)
    state = generator.get_state()
    model = Noisy(generator=generator)
    assert_equivariant(model, ROTATE, KEEP, images(), seed=seed, generator=generator)
    assert torch.equal(generator.get_state(), state)
    report = equivariance_report(model, ROTATE, KEEP, images(), seed=3)
    assert "from the same noise too" in report
    assert "cannot be told from noise: pass as generator= the one" in report


def test_a_fault_is_seen_beside_noise():
    bad = Noisy(size=1e-3, bad=1.0)
    for settings in ({}, {"seed": 0}):
        report = equivariance_report(bad, ROTATE, KEEP, images(), **settings)
        assert "is NOT equivariant" in report
        assert "too large for rounding" in report
    report = equivariance_report(Noisy(bad=0.5), ROTATE, KEEP, images(), seed=0)
    assert "with the same noise in every pass the model does not follow the group" in report


@pytest.mark.parametrize("settings", [{}, {"seed": 0}], ids=["any", "seed"])
def test_noise_is_not_called_mixing(settings):
    report = equivariance_report(
        EquiTuned(Noisy(), ROTATE, KEEP), ROTATE, KEEP, images(), **settings
    )
    assert "noise: " in report
    assert "mixes" not in report


def test_a_module_in_evaluation_mode_has_no_noise():
    report = equivariance_report(network(drop=nn.Dropout(0.5)), ROTATE, KEEP, images())
    assert "noise" not in report


class Clip(nn.Module):
    """Similarities of images and texts: a row depends on all rows of the batch."""

    def __init__(self):
        super().__init__()
        self.image, self.text = nn.Linear(32, 4), nn.Linear(5, 4)

    def forward(self, image, text):
        return self.image(image.flatten(1)) @ self.text(text).T


class Softmax(nn.Module):
    def forward(self, x):
        return x.flatten(1).softmax(0)


class TimeFirst(nn.Module):
    """A recurrent net that takes the batch for time."""

    def __init__(self):
        super().__init__()
        self.embed, self.cells, self.read = nn.Linear(3, 3), nn.GRU(3, 3), nn.Linear(3, 2)

    def forward(self, x):
        return self.read(self.cells(self.embed(x))[0])


SWAP = AxisPermutation(CyclicGroup(2), [[0, 1, 2, 3], [1, 0, 3, 2]], axis=1)


@pytest.mark.parametrize(
    ("module", "action", "inputs", "named"),
    [
        (Softmax(), ROTATE, (torch.randn(3, 2, 4, 4),), r"module \(Softmax\) mixes the rows of"),
        (Clip(), (ROTATE, KEEP), (torch.randn(3, 2, 4, 4), torch.randn(3, 5)), r"module \(Clip\)"),
        (TimeFirst(), SWAP, (torch.randn(3, 4, 3),), r"\(TimeFirst\) mixes .* in cells \(GRU\): "),
        (
            nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(4, track_running_stats=False)),
            SWAP,
            (torch.randn(3, 4, 3),),
            r"\(Sequential\) mixes the rows of its batch in 1 \(BatchNorm1d\)",
        ),
    ],
    ids=["softmax", "clip", "time first", "norm"],
)
def test_a_module_that_mixes_rows_is_named(module, action, inputs, named):
    group = (action[0] if isinstance(action, tuple) else action).group
    model = EquiTuned(module, action, Trivial(group))
    with pytest.raises(AssertionError, match=f"EquiTuned cannot be judged .*\n  cause: .*{named}"):
        assert_equivariant(model, action, Trivial(group), *inputs)
    model._tried = True  # as after a first call on inputs that show nothing, such as zeros
    with pytest.raises(AssertionError, match=named):
        assert_equivariant(model, action, Trivial(group), *inputs)
    alone = EquiTuned(module, action, Trivial(group), chunk_size=1)
    assert_equivariant(alone, action, Trivial(group), *inputs)
    assert "rows" not in equivariance_report(alone, action, Trivial(group), *inputs)


def test_rows_that_are_mixed_are_remarked_in_other_models():
    """By the difference that a plain loop finds."""
    model, x = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), Softmax()), images()[:2]
    report = equivariance_report(model, ROTATE, KEEP, x)
    alone = model(x)
    together = model(torch.cat([x] * 4))[:2]
    change = (together - alone).abs().max() / alone.abs().max()
    assert f"batch, first in 2 (Softmax): a row's output changes by {change:.1e}" in report
    assert "verdict: exact" in report or "verdict: equal" in report
    assert "rows" not in equivariance_report(network(), ROTATE, KEEP, x)
    fixed = exported(network().eval())
    assert "rows: whether they are mixed is not known, as" in equivariance_report(
        fixed, ROTATE, KEEP, images()
    )


def test_inputs_without_a_batch_pass_as_they_are():
    class Scaled(nn.Module):
        def forward(self, x, scale, names):
            return x * scale[0] + len(names)

    actions = (Regular(S3), None, None)
    x, scale = torch.randn(4, 6), torch.tensor([2.0, 3.0])
    assert_equivariant(Scaled(), actions, Regular(S3), x, scale, ["a"], seed=1)
    assert_equivariant(
        EquiTuned(Scaled(), actions, Regular(S3)), actions, Regular(S3), x, scale, ""
    )
