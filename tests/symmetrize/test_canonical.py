"""Canonical chooses by the input: its formula, its ties, its gradients, and what is refused."""

import pytest
import torch
from small_models import (
    GROUPS,
    S3,
    TOLERANCE,
    Picture,
    Square,
    Words,
    check_equivariant,
    each_dtype,
    models,
    rows_of,
)
from torch import nn

from equitune import Canonical, Mean
from equitune.actions import Regular, Rotate90, RotateFlip, TokenPermutation, Trivial
from equitune.symmetrize import EquiTuned

ROTATE = Rotate90()
KEEP = Trivial(ROTATE.group)


def energy(x, *_):
    """Another number for each copy, of images as of ids."""
    flat = x.flatten(1).double()
    return (flat * torch.arange(1, flat.shape[1] + 1)).cos().sum(1)


def ties(x, *_):
    """Scores of which many are equal."""
    return energy(x).sign()


def by_hand(module, action, output_action, score, x, k=1):
    """For each example the mean over all copies whose scores are among the k smallest."""
    group, results = action.group, []
    for example in x:
        copies = [action(g, example[None]) for g in group.elements]
        scores = [round(float(score(each)), 9) for each in copies]
        limit = sorted(scores)[k - 1]
        chosen = [g for g in group.elements if scores[g] <= limit]
        moved = [output_action.inverse(g, module(copies[g])) for g in chosen]
        results.append(sum(moved) / len(moved))
    return torch.cat(results)


@each_dtype
@pytest.mark.parametrize("score", [energy, ties], ids=["one", "ties"])
@pytest.mark.parametrize("k", [1, 2])
def test_is_its_formula_and_equivariant(score, k, dtype):
    for module, action, output_action, x in models(dtype):
        model = EquiTuned(module, action, output_action, Canonical(score, top_k=k))
        expected = by_hand(module, action, output_action, score, x, k)
        torch.testing.assert_close(model(x), expected, rtol=1e-5, atol=TOLERANCE[dtype])
        check_equivariant(model, x, TOLERANCE[dtype])


@pytest.mark.parametrize("group", GROUPS, ids=repr)
def test_all_copies_are_the_mean(group):
    action, module = Regular(group), Square(group.order).double()
    x = torch.randn(4, group.order, dtype=torch.float64)
    expected = EquiTuned(module, action, action, Mean())(x)
    for combine in (Canonical(energy, top_k=group.order), Canonical(lambda x: x[:, 0] * 0)):
        torch.testing.assert_close(EquiTuned(module, action, action, combine)(x), expected)


class Counted(Picture):
    rows = 0

    def forward(self, x):
        self.rows += len(x)
        return super().forward(x)


@pytest.mark.parametrize("chunk_size", [None, 1, 3])
def test_the_module_runs_once_for_each_example(chunk_size):
    module, x = Counted(), torch.randn(5, 2, 4, 4)
    model = EquiTuned(module, RotateFlip(), RotateFlip(), Canonical(energy), chunk_size=chunk_size)
    expected = model(x)
    module.rows = 0
    assert torch.equal(model(x), expected)
    assert module.rows == 5
    module.rows = 0
    model(torch.ones(2, 2, 4, 4))  # symmetric: every copy is as good
    assert module.rows == 16
    assert model(x[:0]).shape == (0, 3, 4, 4)


def test_dedupe_computes_equal_copies_once():
    words = TokenPermutation(S3, rows_of(S3))
    module, x = Words(8).double(), torch.tensor([[6, 7, 7], [0, 1, 7]])
    plain = EquiTuned(module, words, words.on_logits(), Canonical(energy))
    expected = plain(x)
    module.rows = 0
    model = EquiTuned(module, words, words.on_logits(), Canonical(energy), dedupe=True)
    model._tried = True
    torch.testing.assert_close(model(x), expected)
    assert module.rows == 2  # all copies of the first sentence are equal


@pytest.mark.parametrize("classes", [True, False])
def test_traced_models_have_the_same_values(classes):
    module, x = Picture(classes=classes).double(), torch.randn(3, 2, 4, 4, dtype=torch.float64)
    output = KEEP if classes else ROTATE
    model = EquiTuned(module, ROTATE, output, Canonical(energy)).eval()
    expected = model(x)
    torch.compiler.reset()
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(x), expected)
    torch.testing.assert_close(torch.export.export(model, (x,)).module()(x), expected)


def straight_through(module, net, x, output_action):
    """Σ_g w(g) g⁻¹M(Σ_h w(h) hx) with w = p, of which the values are replaced by the choice's."""
    copies = ROTATE.orbit(x)
    scores = net(copies.flatten(0, 1)).reshape(4, len(x))
    p = (-scores).softmax(0)
    w = nn.functional.one_hot(scores.argmin(0), 4).T + p - p.detach()
    y = module((w[..., None, None, None] * copies).sum(0))
    moved = torch.stack([output_action.inverse(g, y) for g in range(4)])
    return (w.reshape(4, len(x), *[1] * (y.ndim - 1)) * moved).sum(0)


@pytest.mark.parametrize("chunk_size", [None, 1])
@pytest.mark.parametrize("classes", [True, False])
def test_the_score_has_the_straight_through_gradient(classes, chunk_size):
    module = Picture(classes=classes).double()
    net = nn.Sequential(nn.Flatten(), nn.Linear(32, 1)).double()
    x = torch.randn(3, 2, 4, 4, dtype=torch.float64)
    output = KEEP if classes else ROTATE
    model = EquiTuned(module, ROTATE, output, Canonical(net), chunk_size=chunk_size)
    y, expected = model(x), straight_through(module, net, x, output)
    torch.testing.assert_close(y, expected)
    parameters = [*net.parameters(), *module.parameters()]
    target = torch.randn_like(y)
    ours = torch.autograd.grad((y * target).sum(), parameters)
    theirs = torch.autograd.grad((expected * target).sum(), parameters)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-11)
    assert ours[0].abs().max() > 1e-6


def test_the_prior_is_a_cross_entropy_and_teaches_the_score():
    net = nn.Sequential(nn.Flatten(), nn.Linear(16, 1))
    model = EquiTuned(nn.Flatten(), ROTATE, KEEP, Canonical(net, prior=0))
    x = torch.rand(50, 1, 4, 4) * torch.linspace(0, 1, 4)[:, None]  # dark above
    scores = model.scores(x)
    assert scores.shape == (4, 50)
    logs = torch.log_softmax(-scores, 0)
    torch.testing.assert_close(model.combine.prior_loss(scores), -logs[0].mean())
    weighted = Canonical(net, prior=(2.0, 1.0, 1.0, 0.0)).prior_loss(scores)
    torch.testing.assert_close(weighted, -(logs[0] / 2 + logs[1] / 4 + logs[2] / 4).mean())
    optimizer = torch.optim.Adam(net.parameters(), lr=0.1)
    for _ in range(50):
        optimizer.zero_grad()
        model.combine.prior_loss(model.scores(x)).backward()
        optimizer.step()
    for g in range(4):  # however they come, they are turned upright
        assert torch.equal(model(ROTATE(g, x)), x.flatten(1))


def test_trees_and_arguments_by_name():
    class Heads(nn.Module):
        def __init__(self):
            super().__init__()
            self.picture = Picture().double()

        def forward(self, x, scale=1.0):
            y = self.picture(x) * scale
            return {"mask": y, "logits": y[:, :, 0, 1]}

    def score(x, scale=1.0):
        return energy(x)

    module, x = Heads(), torch.randn(3, 2, 4, 4, dtype=torch.float64)
    tree = {"mask": ROTATE, "logits": KEEP}
    y = EquiTuned(module, {"x": ROTATE}, tree, Canonical(score))(x=x, scale=2.0)
    for key, action in tree.items():
        expected = by_hand(lambda c, k=key: module(c, 2.0)[k], ROTATE, action, energy, x)
        torch.testing.assert_close(y[key], expected)


def test_is_saved_with_its_score(tmp_path):
    def net():
        return nn.Sequential(nn.Flatten(), nn.Linear(32, 1))

    model = EquiTuned(Picture(), ROTATE, ROTATE, Canonical(net(), prior=0))
    model.save_pretrained(tmp_path)
    again = EquiTuned.from_pretrained(tmp_path, Picture(), Canonical(net(), prior=0))
    x = torch.randn(3, 2, 4, 4)
    assert torch.equal(again(x), model(x))
    with pytest.raises(ValueError, match=r"saved with Canonical, not Mean: pass combine="):
        EquiTuned.from_pretrained(tmp_path, Picture())


def test_what_does_not_fit_is_one_line():
    with pytest.raises(ValueError, match="top_k is 0: expected 1"):
        Canonical(energy, top_k=0)
    for combine, text in [
        (Canonical(energy, top_k=5), "top_k is 5: expected at most the order of CyclicGroup"),
        (Canonical(energy, prior=[1, 2]), r"prior is \[1, 2\]: expected an element"),
        (Canonical(energy, prior=4), "4"),
    ]:
        with pytest.raises(ValueError, match=text):
            EquiTuned(Picture(), ROTATE, ROTATE, combine)
    x = torch.randn(2, 2, 4, 4)
    for score, text in [
        (lambda x: x.sum(), r"score gave shape \(\) for 8 copies"),
        (lambda x: x.flatten(1), r"score gave shape \(2, 32\) for a batch of 2"),
    ]:
        with pytest.raises(ValueError, match=text):
            EquiTuned(Picture(), ROTATE, ROTATE, Canonical(score))(x)
    model = EquiTuned(Picture(), ROTATE, ROTATE, Canonical(energy))
    with pytest.raises(ValueError, match="Canonical chooses by the input"):
        model.combine(model.orbit_outputs(x), ROTATE)
    with pytest.raises(ValueError, match="Canonical has no prior"):
        model.combine.prior_loss(model.scores(x))
    with pytest.raises(TypeError, match="combine is Mean: only Canonical has scores"):
        EquiTuned(Picture(), ROTATE, ROTATE).scores(x)
