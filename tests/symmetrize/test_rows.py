"""A module that mixes the rows of its batch is named, or computed copy by copy."""

import pytest
import torch
from small_models import Picture
from torch import nn

from equitune.actions import Flip, Rotate90, RotateFlip, Trivial
from equitune.diagnosis.rows import mixes_rows, row_mixing
from equitune.symmetrize import EquiTuned

ROTATE = Rotate90()
KEEP = Trivial(ROTATE.group)


class Contrast(nn.Module):
    """As CLIP: similarities of all images and all texts, (images, texts)."""

    def __init__(self):
        super().__init__()
        self.image, self.text = nn.Linear(2 * 16, 4), nn.Linear(5, 4)

    def forward(self, images, texts):
        return self.image(images.flatten(1)) @ self.text(texts).T


class OverBatch(nn.Module):
    """A softmax over the wrong dimension."""

    def __init__(self):
        super().__init__()
        self.out = nn.Linear(2 * 16, 3)

    def forward(self, x):
        return self.out(x.flatten(1)).softmax(0)


class TimeFirst(nn.Module):
    """A recurrent network that takes (time, batch, …) and is given (batch, time, …)."""

    def __init__(self, both=False):
        super().__init__()
        self.cell = nn.GRU(16, 4, bidirectional=both)

    def forward(self, x):
        return self.cell(x.flatten(2))[0]


def loop(module, action, x, *others):
    """1/|G| Σ_g M(gx), one copy after the other."""
    return sum(module(action(g, x), *others) for g in action.group.elements) / action.group.order


@pytest.mark.parametrize("action", [ROTATE, RotateFlip(), Flip()], ids=repr)
@pytest.mark.parametrize(
    "module", [OverBatch(), TimeFirst(), TimeFirst(both=True)], ids=["batch", "time", "both"]
)
def test_a_module_that_mixes_rows_is_refused_or_runs_copy_by_copy(module, action):
    x, keep = torch.randn(3, 2, 4, 4), Trivial(action.group)
    model = EquiTuned(module, action, keep)
    for _ in range(2):  # nor does a second call pass
        with pytest.raises(ValueError, match=r"mixes the rows .* pass chunk_size=1 and dedupe"):
            model(x)
    alone = EquiTuned(module, action, keep, chunk_size=1)
    torch.testing.assert_close(alone(x), loop(module, action, x))


def test_all_pairs_of_a_batch():
    """As many texts as images, but each copy's rows are compared with all copies' texts."""
    module = Contrast()
    images, texts = torch.randn(3, 2, 4, 4), torch.randn(3, 5)
    with pytest.raises(ValueError, match=r"Contrast mixes the rows .* None as the action"):
        EquiTuned(module, (ROTATE, KEEP), KEEP)(images, texts)
    expected = loop(module, ROTATE, images, texts)
    alone = EquiTuned(module, (ROTATE, KEEP), KEEP, chunk_size=1)
    torch.testing.assert_close(alone(images, texts), expected)
    for chunk_size in (None, 1, 2):
        model = EquiTuned(module, (ROTATE, None), KEEP, chunk_size=chunk_size)
        for few in (texts, texts[:2]):
            expected = loop(module, ROTATE, images, few)
            torch.testing.assert_close(model(images, few), expected)


class Labelled(nn.Module):
    """A model with inputs that have no batch: a scale, a table and names."""

    def forward(self, x, scale, table, names):
        return x.flatten(1)[:, :2] * scale @ table + len(names)


def test_inputs_without_a_batch_pass_as_they_are():
    x, table = torch.randn(3, 1, 4, 4), torch.randn(2, 2, requires_grad=True)
    others = (2.0, table, ["ant", "bee"])
    model = EquiTuned(Labelled(), (ROTATE, None, None, None), KEEP, chunk_size=1)
    torch.testing.assert_close(model(x, *others), loop(Labelled(), ROTATE, x, *others))
    (grad,) = torch.autograd.grad(model(x, *others).square().sum(), table)
    (expected,) = torch.autograd.grad(loop(Labelled(), ROTATE, x, *others).square().sum(), table)
    torch.testing.assert_close(grad, expected)
    with pytest.raises(ValueError, match="input_action is None throughout"):
        EquiTuned(Labelled(), (None, None), KEEP)
    with pytest.raises(TypeError, match=r"input 1 is float: .* pass None as its action"):
        EquiTuned(Labelled(), (ROTATE, KEEP, None, None), KEEP)(x, *others)


def test_a_model_with_inputs_without_a_batch_is_saved(tmp_path):
    model = EquiTuned(Contrast(), (ROTATE, None), KEEP)
    model.save_pretrained(tmp_path)
    again = EquiTuned.from_pretrained(tmp_path, Contrast())
    inputs = torch.randn(3, 2, 4, 4), torch.randn(2, 5)
    assert again.input_actions[1] is None
    assert torch.equal(again(*inputs), model(*inputs))


class Remembering(nn.Module):
    """Changes a buffer, an attribute and the random generator at each call."""

    def __init__(self):
        super().__init__()
        self.register_buffer("seen", torch.zeros(()))
        self.calls = 0

    def forward(self, x):
        self.seen += 1
        self.calls += 1
        return x.flatten(1) + 0 * torch.rand(1)


def test_looking_leaves_no_trace():
    module = Remembering().train()
    state = torch.get_rng_state()
    parts = [[torch.randn(3, 4)], [torch.randn(3, 4)]]
    state = torch.get_rng_state()
    assert mixes_rows(module, parts, [True]) == 0.0
    assert (module.seen.item(), module.calls, module.training) == (0.0, 0, True)
    assert torch.equal(torch.get_rng_state(), state)


class Noisy(nn.Module):
    def forward(self, x):
        return torch.nn.functional.dropout(x.flatten(1))


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_chance_and_rounding_are_no_mixing(batch):
    x = torch.randn(batch, 2, 5, 5)
    for module in (Noisy(), Picture(nn.BatchNorm2d).train(), Picture().bfloat16()):
        dtype = next((p.dtype for p in module.parameters()), torch.float32)
        EquiTuned(module, RotateFlip(), Trivial(RotateFlip().group))
        parts = [[x.to(dtype)], [x.to(dtype).flip(-1)]]
        assert mixes_rows(module, parts, [True]) == 0.0


def test_mixing_is_measured_relative_to_the_largest_output():
    parts = [[torch.tensor([[1.0], [3.0]])], [torch.tensor([[5.0], [7.0]])]]
    assert row_mixing(lambda x: x - x.mean(0), parts, [True]) == 2.0  # -3 for -1
    assert row_mixing(lambda x: x, parts, [True]) == 0.0
    assert row_mixing(lambda x: x @ x.T, parts, [True]) == float("inf")

    def masked(x):  # an output may hold infinite values, as masked logits do
        return torch.cat([x - x.mean(0), torch.full_like(x, -torch.inf)], 1)

    assert row_mixing(masked, parts, [True]) == 2.0
