"""Blend is its formula with an error of b times the model's; sample draws elements in training."""

import itertools

import pytest
import torch
from small_models import S3, Picture, Square, Words, models, rows_of
from torch import nn

from equitune import Blend, Canonical, Mean, Select, Weighted
from equitune.actions import Regular, Rotate90, RotateFlip, TokenPermutation
from equitune.symmetrize import EquiTuned

ROTATE = Rotate90()


@pytest.mark.parametrize("b", [0.0, 0.3, 1.0])
def test_the_error_is_b_times_that_of_the_model(b):
    for module, action, output_action, x in models(torch.float64):
        model = EquiTuned(module, action, output_action, Blend(b))
        mean = EquiTuned(module, action, output_action)
        torch.testing.assert_close(model(x), (1 - b) * mean(x) + b * module(x))
        with torch.no_grad():
            for g in action.group.elements:
                error = model(action(g, x)) - output_action(g, model(x))
                plain = module(action(g, x)) - output_action(g, module(x))
                torch.testing.assert_close(error, b * plain, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("learned", [True, False])
def test_b_is_saved_and_learned(tmp_path, learned):
    x = torch.randn(3, 2, 4, 4)
    model = EquiTuned(Picture(), ROTATE, ROTATE, Blend(0.3, learned=learned))
    assert (model.combine.get_extra_state() is None) == learned
    if learned:
        (model(x) - model.module(x)).square().sum().backward()
        assert model.combine.b.grad < 0  # towards the model as it is
        with torch.no_grad():
            model.combine.b += 0.1
    model.save_pretrained(tmp_path)
    again = EquiTuned.from_pretrained(tmp_path, Picture(), Blend(learned=learned))
    b, saved = (torch.as_tensor(each.combine.b).item() for each in (again, model))
    assert b == saved == pytest.approx(0.4 if learned else 0.3)
    assert torch.equal(again(x), model(x))
    assert f"b={0.4 if learned else 0.3:g}" in repr(again)
    with pytest.raises(ValueError, match=r"does not fit the module|Blend\(learned="):
        EquiTuned.from_pretrained(tmp_path, Picture(), Blend(learned=not learned))


def test_blend_with_chunks_and_several_outputs():
    class Two(Picture):
        def forward(self, x):
            y = super().forward(x)
            return y, y.exp()

    module, x = Two().double(), torch.randn(3, 2, 4, 4, dtype=torch.float64)
    tree = (ROTATE, ROTATE)
    y = EquiTuned(module, ROTATE, tree, Blend(0.25), chunk_size=1)(x)
    mean = EquiTuned(module, ROTATE, tree)(x)
    for found, average, plain in zip(y, mean, module(x), strict=True):
        torch.testing.assert_close(found, 0.75 * average + 0.25 * plain)


class Shown(nn.Module):
    """Keeps what it is given."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def forward(self, x):
        self.seen.append(x)
        return x * torch.arange(16.0).view(4, 4)


@pytest.mark.parametrize("chunk_size", [None, 1])
def test_sample_draws_in_training_and_takes_all_in_evaluation(chunk_size):
    module, x = Shown(), torch.randn(1, 1, 4, 4)
    rotate = RotateFlip()
    model = EquiTuned(module, rotate, rotate, sample=2, chunk_size=chunk_size)
    assert "sample=2 of 8 elements in training, all in evaluation" in repr(model)
    copies = rotate.orbit(x)[:, 0]
    drawn = set()
    for _ in range(60):
        module.seen.clear()
        y = model(x)
        rows = torch.cat(module.seen)[-2:]
        places = [next(g for g in range(8) if torch.equal(copies[g], row)) for row in rows]
        assert len(set(places)) == 2
        expected = sum(rotate.inverse(g, Shown()(rotate(g, x))) for g in places) / 2
        torch.testing.assert_close(y, expected)
        drawn |= set(places)
    assert drawn == set(range(8))
    assert model.orbit_outputs(x).shape[0] == 8
    assert torch.equal(model.eval()(x), EquiTuned(Shown(), rotate, rotate)(x))


def test_the_mean_over_all_samples_is_the_mean():
    action, module, x = Regular(S3), Square(6), torch.randn(3, 6)
    outputs = EquiTuned(module, action, action).orbit_outputs(x)
    pairs = list(itertools.combinations(range(6), 2))
    parts = [Mean()(outputs[list(pair)], action, list(pair)) for pair in pairs]
    torch.testing.assert_close(sum(parts) / len(parts), Mean()(outputs, action))


def test_elements_as_a_tensor_are_the_same(monkeypatch):
    """As they are drawn while compiling."""
    words = TokenPermutation(S3, rows_of(S3))
    module, x = Words(8), torch.randint(8, (3, 4))
    net = nn.Sequential(nn.Linear(8, 1), nn.Softplus())
    for combine in (Mean(), Weighted(net), Select(lambda y: y[..., 0])):
        model = EquiTuned(module, words, words.on_logits(), combine, sample=3)
        results = []
        for elements in ([4, 1, 5], torch.tensor([4, 1, 5])):
            monkeypatch.setattr("equitune.symmetrize.drawn", lambda *_, e=elements: e)
            results.append(model(x))
        torch.testing.assert_close(*results)


def test_a_sampled_model_compiles():
    model = EquiTuned(Picture(), ROTATE, ROTATE, sample=2)
    torch.compiler.reset()
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    x = torch.randn(2, 2, 4, 4)
    assert compiled(x).shape == (2, 3, 4, 4)
    pairs = list(itertools.combinations(range(4), 2))
    outputs = model.orbit_outputs(x)
    possible = [Mean()(outputs[list(pair)], ROTATE, list(pair)) for pair in pairs]
    for _ in range(3):
        found = compiled(x)
        assert any(torch.allclose(found, y, atol=1e-6) for y in possible)


def test_what_a_sample_cannot_be_is_one_line():
    for sample in (0, 5):
        with pytest.raises(ValueError, match=f"sample is {sample}: expected 1 to 4"):
            EquiTuned(Picture(), ROTATE, ROTATE, sample=sample)
    for combine in (Blend(0.5), Canonical(lambda x: x[:, 0, 0, 0])):
        with pytest.raises(ValueError, match=r"sample=2 with .* expected Mean, Weighted or Sel"):
            EquiTuned(Picture(), ROTATE, ROTATE, combine, sample=2)
