"""EquiTuned against plain loops, and the Reynolds operator as a projection."""

import copy
import doctest
import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import (
    COMBINATIONS,
    GROUPS,
    TOLERANCE,
    Picture,
    Square,
    Two,
    Words,
    check_equivariant,
    each_dtype,
    models,
    plain_loop,
    rows_of,
)
from torch import nn

from equitune import symmetrize
from equitune.actions import (
    Regular,
    Rotate90,
    RotateFlip,
    TokenPermutation,
    Trivial,
)
from equitune.groups import CyclicGroup
from equitune.symmetrize import EquiTuned, Mean, Select, Weighted


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


@settings(max_examples=20)
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
