"""EquiTuned against plain loops, the Reynolds operator as a projection, and its economies."""

import copy
import doctest
import itertools
import json
import os

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from equitune import symmetrize
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
from equitune.groups import CyclicGroup, DihedralGroup, ProductGroup, SymmetricGroup
from equitune.symmetrize import EquiTuned, Mean, Select, Weighted

S3 = SymmetricGroup(3)
GROUPS = [
    CyclicGroup(3),
    CyclicGroup(4),
    DihedralGroup(4),
    S3,
    ProductGroup(CyclicGroup(2), S3),
]
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-12}


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def rows_of(group):
    """The group on its own elements and on two points that stay."""
    rows = [[group.multiply(g, h) for h in group.elements] for g in group.elements]
    return [[*row, group.order, group.order + 1] for row in rows]


class Picture(nn.Module):
    """A small image model: (batch, 2, size, size) to (batch, 3, size, size) or classes."""

    def __init__(self, norm=nn.Identity, dropout=0.0, classes=False):
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3, padding=1)
        self.norm = norm(4)
        self.drop = nn.Dropout(dropout)
        self.out = nn.Conv2d(4, 3, 3, padding=1)
        self.classes = classes

    def forward(self, x):
        x = self.out(self.drop(self.norm(self.conv(x)).tanh()))
        return x.mean((-2, -1)) if self.classes else x


class Words(nn.Module):
    """A small token model: ids (batch, positions) to logits (batch, positions, vocabulary)."""

    def __init__(self, size):
        super().__init__()
        self.embed = nn.Embedding(size, 6)
        self.mix = nn.GRU(6, 5, batch_first=True)
        self.out = nn.Linear(5, size)
        self.rows = 0

    def forward(self, x):
        self.rows += len(x)
        return self.out(self.mix(self.embed(x))[0])


class Square(nn.Module):
    """A linear map without bias, (batch, size, …) to (batch, size, …) along dimension 1."""

    def __init__(self, size, out=None):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out or size, size))

    def forward(self, x):
        return torch.einsum("ij,bj...->bi...", self.weight, x)


def plain_loop(module, input_action, output_action, x):
    """1/|G| Σ_g g⁻¹ M(gx), one example and one element at a time."""
    group, results = input_action.group, []
    for example in x:
        total = 0
        for g in group.elements:
            back = next(h for h in group.elements if group.multiply(h, g) == group.identity)
            total = total + output_action(back, module(input_action(g, example[None])))
        results.append(total / group.order)
    return torch.cat(results)


def models(dtype):
    """(model, input action, output action, inputs) for images, tokens and features."""
    for rotation in (Rotate90(), RotateFlip(), Flip()):
        x = torch.randn(2, 2, 5, 5, dtype=dtype)
        yield Picture().to(dtype), rotation, rotation, x
        yield Picture(classes=True).to(dtype), rotation, Trivial(rotation.group), x
    for group in GROUPS:
        words = TokenPermutation(group, rows_of(group))
        x = torch.randint(words.size, (3, 4))
        yield Words(words.size).to(dtype), words, words.on_logits(), x
        n = group.order
        x = torch.randn(3, n, 2, dtype=dtype)
        yield Square(n).to(dtype), Regular(group), Regular(group), x


each_dtype = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
COMBINATIONS = {
    "mean": lambda: Mean(),
    "weighted": lambda: Weighted(Norm()),
    "select": lambda: Select(lambda y: -y.flatten(1).amax(1)),
}


class Norm(nn.Module):
    """A positive weight for each example, as no action leaves it out of account."""

    def forward(self, y):
        return (y.flatten(1) * torch.arange(1, y[0].numel() + 1)).sum(1).sin().exp()


def check_equivariant(model, x, tolerance):
    """f(gx) = g f(x), written out."""
    action, output_action = model.input_actions[0], model.output_action
    with torch.no_grad():
        y = model(x)
        for g in model.group.elements:
            difference = (model(action(g, x)) - output_action(g, y)).abs().max()
            assert difference <= tolerance * y.abs().max()


def test_the_example_in_the_docstring():
    results = doctest.testmod(symmetrize)
    assert results.attempted >= 6
    assert results.failed == 0


@each_dtype
@pytest.mark.parametrize("combine", COMBINATIONS)
def test_is_equivariant(combine, dtype):
    for module, input_action, output_action, x in models(dtype):
        model = EquiTuned(module, input_action, output_action, COMBINATIONS[combine]())
        check_equivariant(model, x, TOLERANCE[dtype])


@each_dtype
def test_mean_and_its_gradients_are_those_of_a_plain_loop(dtype):
    for module, input_action, output_action, x in models(dtype):
        model = EquiTuned(module, input_action, output_action)
        y, expected = model(x), plain_loop(module, input_action, output_action, x)
        target = torch.randn_like(y)
        parameters = list(module.parameters())
        torch.testing.assert_close(y, expected, rtol=1e-5, atol=TOLERANCE[dtype])
        ours = torch.autograd.grad((y * target).sum(), parameters)
        theirs = torch.autograd.grad((expected * target).sum(), parameters)
        for a, b in zip(ours, theirs, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=TOLERANCE[dtype] * 10)


@each_dtype
def test_is_a_projection(dtype):
    """P² = P: symmetrizing what is equivariant already changes nothing."""
    for module, input_action, output_action, x in models(dtype):
        once = EquiTuned(module, input_action, output_action)
        twice = EquiTuned(once, input_action, output_action)
        limit = TOLERANCE[dtype]
        torch.testing.assert_close(twice(x), once(x), rtol=limit, atol=limit)
        if not isinstance(output_action, Trivial):
            assert not torch.allclose(once(x), module(x), rtol=1e-3, atol=1e-3)


def matrices(action, size):
    """The permutation matrices of a regular action."""
    eye = torch.eye(size, dtype=torch.float64)
    return [action(g, eye).T for g in action.group.elements]


@pytest.mark.parametrize("group", GROUPS, ids=repr)
def test_is_the_least_squares_solution_on_the_orbit(group):
    """min Σ_g |M(gx) - f(gx)|² over f(gx) = g f(x), solved without averaging anything."""
    n = group.order
    action, module = Regular(group), Square(n).double()
    x = torch.randn(4, n, dtype=torch.float64)
    constraint = torch.cat([action(g, torch.eye(n, dtype=torch.float64)).T for g in range(n)])
    for example in x:
        values = torch.cat([module(action(g, example[None]))[0] for g in range(n)])
        solution = torch.linalg.lstsq(constraint, values.detach()[:, None]).solution[:, 0]
        output = EquiTuned(module, action, action)(example[None])[0]
        torch.testing.assert_close(output, solution, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("group", GROUPS, ids=repr)
def test_is_the_nearest_equivariant_linear_map(group):
    """Among matrices that commute with the group (a null space), the nearest in L2."""
    n = group.order
    action, module = Regular(group), Square(n).double()
    moves = [m.contiguous() for m in matrices(action, n)]
    # rows that say P_g A - A P_g = 0, for A flattened row by row
    eye = torch.eye(n, dtype=torch.float64)
    rows = torch.cat([torch.kron(m, eye) - torch.kron(eye, m.T.contiguous()) for m in moves])
    values, vectors = torch.linalg.eigh(rows.T @ rows)
    basis = vectors[:, values < 1e-9]  # matrices that commute with every P_g
    assert basis.shape[1] == n  # as many as elements: the right translations
    nearest = (basis @ (basis.T @ module.weight.detach().flatten())).reshape(n, n)
    outputs = EquiTuned(module, action, action)(eye)  # each row the image of a basis vector
    torch.testing.assert_close(outputs.detach().T, nearest, rtol=1e-9, atol=1e-9)

    x = torch.randn(1, n, dtype=torch.float64)
    copies = action.orbit(x).flatten(0, 1)

    def distance(a):
        return ((copies @ a.T - module(copies)) ** 2).sum().item()

    for _ in range(20):
        competitor = nearest + 0.3 * (basis @ torch.randn(n, dtype=torch.float64)).reshape(n, n)
        assert distance(nearest) < distance(competitor)


def test_the_trivial_group_changes_nothing():
    one = CyclicGroup(1)
    x = torch.randn(3, 2, 4, 4)
    for combine in COMBINATIONS.values():
        module = Picture()
        model = EquiTuned(module, Trivial(one), Trivial(one), combine())
        assert torch.equal(model(x), module(x))
    words = TokenPermutation.generated_by(range(7))
    module, tokens = Words(7), torch.randint(7, (5, 3))
    model = EquiTuned(module, words, words.on_logits(), dedupe=True)
    assert torch.equal(model(tokens), module(tokens))


@each_dtype
def test_an_equivariant_model_is_left_as_it_is(dtype):
    pool = nn.AvgPool2d(3, stride=1, padding=1)
    x = torch.randn(2, 2, 5, 5, dtype=dtype)
    for combine in COMBINATIONS.values():
        model = EquiTuned(pool, RotateFlip(), RotateFlip(), combine())
        limit = TOLERANCE[dtype]
        torch.testing.assert_close(model(x), pool(x), rtol=limit, atol=limit)


def test_weighted_is_its_formula():
    group, x = S3, torch.randn(3, 6)
    action, module, net = Regular(group), Square(6), Norm()
    total, normaliser = torch.zeros(3, 6), torch.zeros(3, 1)
    for g in group.elements:
        output = module(action(g, x))
        weight = net(output)[:, None]
        total = total + weight * action(group.inverse(g), output)
        normaliser = normaliser + weight
    model = EquiTuned(module, action, action, Weighted(net))
    torch.testing.assert_close(model(x), total / normaliser)


def test_constant_weights_are_the_mean():
    action, module, x = Regular(S3), Square(6), torch.randn(3, 6)
    weighted = EquiTuned(module, action, action, Weighted(Constant()))
    torch.testing.assert_close(weighted(x), EquiTuned(module, action, action)(x))


class Constant(nn.Module):
    """The same weight for all, in a shape of choice."""

    def __init__(self, *shape):
        super().__init__()
        self.shape = shape

    def forward(self, y):
        return y.new_full((len(y), *self.shape), 2.0)


@pytest.mark.parametrize("shape", [(), (1,), (4,), (4, 1), (1, 1)])
def test_weights_take_leading_shapes(shape):
    words = TokenPermutation(S3, rows_of(S3))
    module, x = Words(8), torch.randint(8, (3, 4))
    model = EquiTuned(module, words, words.on_logits(), Weighted(Constant(*shape)))
    expected = EquiTuned(module, words, words.on_logits())(x)
    torch.testing.assert_close(model(x), expected)


@pytest.mark.parametrize(("shape", "message"), [((3,), "leading"), ((4, 8, 2), "leading")])
def test_weights_of_other_shapes_are_refused(shape, message):
    words = TokenPermutation(S3, rows_of(S3))
    model = EquiTuned(Words(8), words, words.on_logits(), Weighted(Constant(*shape)))
    with pytest.raises(ValueError, match=message):
        model(torch.randint(8, (3, 4)))


def test_one_weight_for_all_copies_is_refused():
    model = EquiTuned(Square(6), Regular(S3), Regular(S3), Select(lambda y: y.sum()))
    with pytest.raises(ValueError, match=r"net gave shape \(\) for 18 copies"):
        model(torch.randn(3, 6))


def test_weights_by_position_are_equivariant():
    words = TokenPermutation(S3, rows_of(S3))
    peak = Peak()
    model = EquiTuned(Words(8), words, words.on_logits(), Weighted(peak))
    check_equivariant(model, torch.randint(8, (3, 4)), 1e-5)


class Peak(nn.Module):
    """A weight for each position, (batch, positions, 1), which depends on where the peak is."""

    def forward(self, y):
        return (1.0 + y.argmax(-1, keepdim=True)).sqrt()


def test_select_takes_the_copy_of_the_smallest_score():
    group, x = S3, torch.randn(5, 6)
    action, module = Regular(group), Square(6)
    weights = torch.randn(6)

    def score(y):
        return y @ weights

    model = EquiTuned(module, action, action, Select(score))
    for i, example in enumerate(x):
        outputs = [module(action(g, example[None])) for g in group.elements]
        best = min(group.elements, key=lambda g: score(outputs[g]).item())
        expected = action(group.inverse(best), outputs[best])
        assert torch.equal(model(x[i : i + 1]), expected)


def test_select_passes_the_gradient_of_the_mean():
    action, module, x = Regular(S3), Square(6), torch.randn(5, 6)
    target = torch.randn(5, 6)
    grads = [
        torch.autograd.grad(
            (EquiTuned(module, action, action, combine)(x) * target).sum(), module.weight
        )[0]
        for combine in (Select(lambda y: y[:, 0]), Mean())
    ]
    torch.testing.assert_close(*grads)


def test_select_averages_ties_so_that_symmetric_inputs_stay_equivariant():
    """All copies of a constant image are equal; one of them moved back would not be."""
    x = torch.ones(1, 2, 4, 4)
    model = EquiTuned(Picture(), RotateFlip(), RotateFlip(), COMBINATIONS["select"]())
    y = model(x)
    assert not torch.allclose(y, model.module(x), atol=1e-3)
    check_equivariant(model, x, 1e-5)
    for g in model.group.elements:
        torch.testing.assert_close(RotateFlip()(g, y), y)


@pytest.mark.parametrize("combine", COMBINATIONS)
def test_combiners_can_be_called_on_outputs(combine):
    """Step by step decoding combines outputs which it made itself."""
    words = TokenPermutation(S3, rows_of(S3))
    module, x = Words(8), torch.randint(8, (3, 4))
    model = EquiTuned(module, words, words.on_logits(), COMBINATIONS[combine]())
    outputs = torch.stack([module(words(g, x)) for g in S3.elements])
    torch.testing.assert_close(model.orbit_outputs(x), outputs)
    torch.testing.assert_close(model.combine(outputs, words.on_logits()), model(x))


class Two(nn.Module):
    """A model of an image and a vector that does not move."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 3, 3, padding=1)
        self.shift = nn.Linear(5, 3)

    def forward(self, image, vector):
        return (self.conv(image) + self.shift(vector)[:, :, None, None]).tanh()


def test_several_inputs():
    rotate, group = Rotate90(), CyclicGroup(4)
    module = Two()
    model = EquiTuned(module, (rotate, Trivial(group)), rotate)
    image, vector = torch.randn(3, 2, 4, 4), torch.randn(3, 5)
    expected = sum(rotate.inverse(g, module(rotate(g, image), vector)) for g in range(4)) / 4
    torch.testing.assert_close(model(image, vector), expected)
    with pytest.raises(ValueError, match="1 inputs for 2 input actions"):
        model(image)
    with pytest.raises(ValueError, match="input 1 has batch size 2, input 0 has 3"):
        model(image, vector[:2])
    with pytest.raises(TypeError, match="input 1 is list: expected a tensor"):
        model(image, [1, 2, 3])


@pytest.mark.parametrize("chunk_size", [1, 2, 3, 8, 100])
@pytest.mark.parametrize("combine", COMBINATIONS)
def test_chunks_change_neither_value_nor_gradient(chunk_size, combine):
    module = Picture().double()
    x = torch.randn(2, 2, 5, 5, dtype=torch.float64, requires_grad=True)
    results = []
    for size in (None, chunk_size):
        model = EquiTuned(
            module, RotateFlip(), RotateFlip(), COMBINATIONS[combine](), chunk_size=size
        )
        y = model(x)
        loss = (y * torch.linspace(0, 1, y.numel(), dtype=y.dtype).view_as(y)).sum()
        grads = torch.autograd.grad(loss, [*module.parameters(), x])
        with torch.no_grad():
            results.append([y.detach(), model(x), *grads])
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-11)


class Counting(nn.Module):
    """Counts the rows of each call and the activations that a backward pass would keep."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.calls = []

    def forward(self, x):
        self.calls.append(len(x))
        return (x * self.weight).sin().exp()


def test_chunks_bound_how_many_copies_are_kept():
    rotate, x = RotateFlip(), torch.randn(2, 1, 4, 4)
    kept = {}
    for size in (None, 2):
        model = EquiTuned(Counting(), rotate, rotate, chunk_size=size)
        saved = []

        def pack(tensor, saved=saved):
            saved.append(tensor)
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            y = model(x)
        kept[size] = sum(t.numel() for t in saved)
        calls = list(model.module.calls)
        y.sum().backward()
        assert calls == ([16] if size is None else [4, 4, 4, 4])
        assert len(model.module.calls) == (1 if size is None else 8)  # each chunk once more
    assert kept[2] < kept[None] / 2
    model.module.calls.clear()
    with torch.no_grad():
        model(x)
    assert model.module.calls == [4, 4, 4, 4]


@pytest.mark.parametrize("norm", [nn.BatchNorm2d, lambda n: nn.BatchNorm2d(n, momentum=None)])
def test_chunks_count_running_statistics_once(norm):
    """Each chunk updates BatchNorm once, as a loop without recomputation does; gradients agree."""
    x = torch.randn(3, 2, 5, 5)
    rotate = RotateFlip()
    module = Picture(norm)
    plain = copy.deepcopy(module)
    model = EquiTuned(module, rotate, rotate, chunk_size=3)
    y = model(x)
    y.square().sum().backward()
    outputs = []
    for chunk in ([0, 1, 2], [3, 4, 5], [6, 7]):
        output = plain(torch.cat([rotate(g, x) for g in chunk]))
        outputs += [rotate.inverse(g, o) for g, o in zip(chunk, output.split(3), strict=True)]
    expected = sum(outputs) / 8
    expected.square().sum().backward()
    torch.testing.assert_close(y, expected)
    assert module.norm.num_batches_tracked == 3
    for a, b in zip(module.buffers(), plain.buffers(), strict=True):
        assert torch.equal(a, b)
    for a, b in zip(module.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-4, atol=1e-5)


def test_chunks_repeat_the_dropout_and_allow_a_second_backward():
    x = torch.randn(3, 2, 5, 5)
    rotate = Rotate90()
    module = Picture(nn.BatchNorm2d, dropout=0.5)
    plain = copy.deepcopy(module)
    torch.manual_seed(1)
    y = EquiTuned(module, rotate, rotate, chunk_size=1)(x)
    state = torch.get_rng_state()
    y.sum().backward(retain_graph=True)
    assert torch.equal(torch.get_rng_state(), state)
    first = [p.grad.clone() for p in module.parameters()]
    y.sum().backward()
    torch.manual_seed(1)
    expected = sum(rotate.inverse(g, plain(rotate(g, x))) for g in range(4)) / 4
    expected.sum().backward()
    torch.testing.assert_close(y, expected)
    for a, b, p in zip(first, plain.parameters(), module.parameters(), strict=True):
        torch.testing.assert_close(a, b.grad, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(p.grad, 2 * a)
    assert torch.equal(module.norm.running_mean, plain.norm.running_mean)


class Counter(nn.Module):
    """Multiplies by the number of its calls so far, which is a buffer."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, x):
        self.calls.add_(1)
        return x * self.weight * self.calls.clone()


def test_chunks_are_recomputed_from_the_buffers_they_saw():
    module, x = Counter(), torch.ones(1, 1, 2, 2)
    y = EquiTuned(module, Rotate90(), Rotate90(), chunk_size=1)(x)
    assert y[0, 0, 0, 0].item() == (1 + 2 + 3 + 4) / 4
    for times in (1, 2):  # a second time, as with retain_graph=True
        y[0, 0, 0, 0].backward(retain_graph=True)
        assert module.weight.grad.item() == times * 2.5
    assert module.calls.item() == 4


@pytest.mark.parametrize("chunk_size", [None, 2])
@pytest.mark.parametrize("combine", COMBINATIONS)
def test_dedupe_changes_nothing_and_computes_fewer_rows(chunk_size, combine):
    words = TokenPermutation.generated_by([1, 2, 0, 3, 4, 5])
    x = torch.tensor([[3, 4], [0, 5], [3, 4], [1, 5], [4, 4]])  # rows 1 and 3 in one orbit
    module = Words(6).double()
    plain = EquiTuned(module, words, words.on_logits(), COMBINATIONS[combine]())
    expected = plain(x)
    assert module.rows == 15
    module.rows = 0
    with torch.no_grad():
        model = EquiTuned(
            module,
            words,
            words.on_logits(),
            COMBINATIONS[combine](),
            chunk_size=chunk_size,
            dedupe=True,
        )
        y = model(x)
    assert module.rows == 5  # (3 4) and (4 4) once, the orbit of (0 5) three times
    torch.testing.assert_close(y, expected.detach(), rtol=1e-12, atol=1e-12)
    grads = [
        torch.autograd.grad(m(x).square().sum(), list(module.parameters())) for m in (plain, model)
    ]
    for a, b in zip(*grads, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-11)


def test_dedupe_compares_all_inputs_and_keeps_the_order():
    group = CyclicGroup(2)
    words = TokenPermutation(group, [[0, 1, 2], [1, 0, 2]])
    seen = []

    class Pair(nn.Module):
        def forward(self, ids, label):
            seen.append((ids.tolist(), label.tolist()))
            return ids.double().sum(1) * 10 + label

    x, label = torch.tensor([[2, 2], [2, 2], [2, 0]]), torch.tensor([7, 5, 5])
    model = EquiTuned(Pair(), (words, Trivial(group)), Trivial(group), dedupe=True)
    y = model(x, label)
    assert seen == [([[2, 2], [2, 2], [2, 0], [2, 1]], [7, 5, 5, 5])]
    assert y.tolist() == [47.0, 45.0, 30.0]


def test_dedupe_refuses_floats():
    model = EquiTuned(Picture(), Rotate90(), Rotate90(), dedupe=True)
    with pytest.raises(TypeError, match=r"input 0 is torch.float32: .* pass dedupe=False"):
        model(torch.randn(1, 2, 4, 4))


@settings(deadline=None, max_examples=20)
@given(st.sampled_from(GROUPS), st.data())
def test_random_shapes(group, data):
    """Any batch, number of positions and chunk: the plain loop's values, and equivariance."""
    words = TokenPermutation(group, rows_of(group))
    batch, positions = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 4))
    module = Words(words.size).double()
    x = torch.randint(words.size, (batch, positions))
    model = EquiTuned(
        module,
        words,
        words.on_logits(),
        chunk_size=data.draw(st.none() | st.integers(1, group.order)),
        dedupe=data.draw(st.booleans()),
    )
    expected = plain_loop(module, words, words.on_logits(), x)
    torch.testing.assert_close(model(x), expected, rtol=1e-11, atol=1e-11)
    check_equivariant(model, x, 1e-12)


def test_an_empty_batch_passes():
    model = EquiTuned(Picture(), Rotate90(), Rotate90(), chunk_size=1)
    assert model(torch.randn(0, 2, 4, 4)).shape == (0, 3, 4, 4)


def test_frozen_keeps_the_module_as_it_is():
    module = Picture(nn.BatchNorm2d, classes=True)
    before = copy.deepcopy(module.state_dict())
    rotate = Rotate90()
    net = nn.Sequential(nn.Linear(3, 1), nn.Softplus())
    model = EquiTuned(module, rotate, Trivial(rotate.group), Weighted(net), frozen=True)
    model.train()
    assert model.training
    assert model.combine.training
    assert not any(m.training for m in module.modules())
    model(torch.randn(4, 2, 5, 5)).sum().backward()
    assert all(p.grad is None and not p.requires_grad for p in module.parameters())
    assert all(p.grad is not None for p in net.parameters())
    for key, value in module.state_dict().items():
        assert torch.equal(value, before[key])
    thawed = EquiTuned(Picture(nn.BatchNorm2d), rotate, rotate)
    assert not any(m.training for m in thawed.eval().modules())
    assert all(m.training for m in thawed.train().modules())


@pytest.mark.parametrize(
    ("combine", "classes"), list(itertools.product(COMBINATIONS, [True, False]))
)
def test_compiles_without_graph_breaks(combine, classes):
    rotate = RotateFlip()
    output = Trivial(rotate.group) if classes else rotate
    net = nn.Sequential(nn.Flatten(), nn.Linear(3 if classes else 48, 1), nn.Softplus())
    choices = {
        "mean": Mean(),
        "weighted": Weighted(net),
        "select": Select(lambda y: -y.flatten(1).amax(1)),
    }
    model = EquiTuned(Picture(classes=classes), rotate, output, choices[combine])
    x = torch.randn(2, 2, 4, 4)
    torch.compiler.reset()  # each case compiles the same code object anew
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(x), model(x))
    with torch.no_grad():
        torch.testing.assert_close(compiled(x), model(x))


# --- saving ---------------------------------------------------------------------------------------


def saved(tmp_path, **settings):
    words = TokenPermutation(S3, rows_of(S3))
    model = EquiTuned(Words(8), words, words.on_logits(), **settings)
    model.save_pretrained(tmp_path / "model")
    return model, tmp_path / "model"


def test_save_and_load(tmp_path):
    net = nn.Sequential(nn.Linear(8, 1), nn.Softplus())
    model, folder = saved(tmp_path, combine=Weighted(net), chunk_size=2, dedupe=True, frozen=True)
    again_net = nn.Sequential(nn.Linear(8, 1), nn.Softplus())
    again = EquiTuned.from_pretrained(folder, Words(8), Weighted(again_net))
    x = torch.randint(8, (3, 4))
    assert torch.equal(again(x), model(x))
    assert (again.chunk_size, again.dedupe, again.frozen) == (2, True, True)
    assert again.group == S3
    assert sorted(p.name for p in folder.iterdir()) == ["config.json", "model.safetensors"]
    assert len({p.stat().st_mode for p in folder.iterdir()}) == 1  # both as the umask says
    assert {key.split(".")[0] for key in model.state_dict()} == {
        "module",
        "combine",
        "input_actions",
        "output_action",
    }


@pytest.mark.parametrize("action", [Rotate90(), RotateFlip(), Flip()], ids=lambda a: repr(a))
def test_save_and_load_image_models(tmp_path, action):
    model = EquiTuned(Picture(nn.BatchNorm2d), (action,), action)
    model(torch.randn(2, 2, 5, 5))  # moves the running statistics
    model.save_pretrained(str(tmp_path))
    again = EquiTuned.from_pretrained(str(tmp_path), Picture(nn.BatchNorm2d))
    x = torch.randn(2, 2, 5, 5)
    assert torch.equal(again.eval()(x), model.eval()(x))
    model.save_pretrained(tmp_path)  # writing over it is allowed


class Tied(nn.Module):
    """Output weights tied to the embedding, as in GPT-2."""

    def __init__(self, tie=True):
        super().__init__()
        self.embed = nn.Embedding(8, 4)
        self.out = nn.Linear(4, 8, bias=False)
        if tie:
            self.out.weight = self.embed.weight

    def forward(self, x):
        return self.out(self.embed(x))


def test_tied_weights_are_saved_once(tmp_path):
    words = TokenPermutation(S3, rows_of(S3))
    model = EquiTuned(Tied(), words, words.on_logits())
    model.save_pretrained(tmp_path)
    again = EquiTuned.from_pretrained(tmp_path, Tied())
    x = torch.randint(8, (3, 4))
    assert torch.equal(again(x), model(x))
    assert again.module.out.weight is again.module.embed.weight
    with pytest.raises(ValueError, match=r"missing module\.out\.weight"):
        EquiTuned.from_pretrained(tmp_path, Tied(tie=False))


def test_every_key_that_does_not_fit_is_named(tmp_path):
    _, folder = saved(tmp_path)
    other = Words(9)
    other.extra = nn.Linear(2, 2)
    del other.mix
    with pytest.raises(ValueError, match="does not fit") as error:
        EquiTuned.from_pretrained(folder, other)
    text = str(error.value)
    assert "missing module.extra.bias, module.extra.weight;" in text
    for name in ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"):
        assert f"module.mix.{name}" in text.split("unexpected ")[1].split(";")[0]
    for key in ("embed.weight is (8, 6), expected (9, 6)", "out.bias is (8,), expected (9,)"):
        assert f"module.{key}" in text
    assert "\n" not in text


def test_the_kind_of_combination_must_be_given(tmp_path):
    _, folder = saved(tmp_path, combine=Select(Peak()))
    with pytest.raises(ValueError, match=r"saved with Select, not Mean: pass combine=Select"):
        EquiTuned.from_pretrained(folder, Words(8))


def test_damaged_folders_are_one_clear_line(tmp_path):
    _, folder = saved(tmp_path)
    weights, config = folder / "model.safetensors", folder / "config.json"
    whole = weights.read_bytes()
    weights.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"model\.safetensors is damaged \(.*\): save"):
        EquiTuned.from_pretrained(folder, Words(8))
    weights.write_bytes(whole)
    settings = json.loads(config.read_text())
    del settings["dedupe"], settings["combine"]
    config.write_text(json.dumps(settings))
    with pytest.raises(ValueError, match="lacks combine, dedupe"):
        EquiTuned.from_pretrained(folder, Words(8))
    config.write_text('{"input_act')
    with pytest.raises(ValueError, match=r"config\.json is damaged"):
        EquiTuned.from_pretrained(folder, Words(8))
    config.unlink()
    with pytest.raises(FileNotFoundError, match=r"config\.json does not exist"):
        EquiTuned.from_pretrained(folder, Words(8))


def test_an_interrupted_write_leaves_the_old_files(tmp_path, monkeypatch):
    model, folder = saved(tmp_path)
    before = {p.name: p.read_bytes() for p in folder.iterdir()}

    def fail(*_):
        raise OSError("no space left")

    monkeypatch.setattr(os, "replace", fail)
    with torch.no_grad():
        model.module.out.bias += 1
    with pytest.raises(OSError, match="no space left"):
        model.save_pretrained(folder)
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before


# --- bad arguments --------------------------------------------------------------------------------


class Gives(nn.Module):
    """A model that returns what it is told to."""

    def __init__(self, output):
        super().__init__()
        self.output = output

    def forward(self, x):
        return self.output


@pytest.mark.parametrize(
    ("output", "error", "message"),
    [
        ((torch.ones(8),), TypeError, r"Gives returned tuple: .*\.logits"),
        (torch.tensor(1.0), ValueError, r"Gives returned shape \(\) for 8 examples"),
        (torch.ones(2, 8), ValueError, r"returned shape \(2, 8\) for 8 examples"),
        (torch.ones(8, dtype=torch.long), TypeError, "torch.int64: expected floating values"),
    ],
)
def test_the_module_must_return_a_batch(output, error, message):
    model = EquiTuned(Gives(output), Rotate90(), Trivial(CyclicGroup(4)))
    with pytest.raises(error, match=message):
        model(torch.randn(2, 1, 4, 4))


def test_arguments_are_checked():
    rotate = Rotate90()
    with pytest.raises(
        ValueError, match=r"output_action is an action of CyclicGroup\(2\), .*\(4\)"
    ):
        EquiTuned(Picture(), rotate, Flip())
    with pytest.raises(ValueError, match=r"input_action\[1\] is an action of DihedralGroup\(4\)"):
        EquiTuned(Two(), (rotate, Trivial(DihedralGroup(4))), rotate)
    with pytest.raises(TypeError, match=r"output_action is None: expected an Action"):
        EquiTuned(Picture(), rotate, None)
    with pytest.raises(TypeError, match=r"module is <function"):
        EquiTuned(lambda x: x, rotate, rotate)
    with pytest.raises(TypeError, match=r"combine is 'mean': expected Mean\(\)"):
        EquiTuned(Picture(), rotate, rotate, "mean")
    with pytest.raises(ValueError, match="chunk_size is 0: expected at least 1"):
        EquiTuned(Picture(), rotate, rotate, chunk_size=0)
    with pytest.raises(ValueError, match="input_action is empty"):
        EquiTuned(Picture(), (), rotate)
    model = EquiTuned(Picture(), rotate, rotate)
    with pytest.raises(ValueError, match="square"):
        model(torch.randn(2, 2, 4, 5))
    with pytest.raises(ValueError, match="no dimensions"):
        model(torch.tensor(1.0))
    assert "CyclicGroup(4)" in repr(model)


def test_an_axis_permutation_acts_on_sets():
    """S3 on three set members: the symmetrized model does not depend on their order."""
    points = AxisPermutation(S3, S3.permutations, axis=1)
    model = EquiTuned(nn.Sequential(nn.Flatten(), nn.Linear(6, 2)), points, Trivial(S3))
    x = torch.randn(4, 3, 2)
    for order in itertools.permutations(range(3)):
        torch.testing.assert_close(model(x[:, order]), model(x))


def test_an_action_without_permutation_works():
    """Signs: symmetrized over x ↦ -x with odd output, even parts vanish."""

    class Sign(Action):
        def act(self, g, x):
            return -x if g else x

    sign = Sign(CyclicGroup(2))
    module = nn.Linear(3, 2).double()  # the bias is the even part
    x = torch.randn(4, 3, dtype=torch.float64)
    torch.testing.assert_close(EquiTuned(module, sign, sign)(x), x @ module.weight.T)
