"""Every action keeps the laws, is averaged over as by a plain loop, and is saved and loaded."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_actions import ALL, EXACT, NEARLY, example, examples, of_group, sizes
from torch import nn

from equitune import EquiTuned, check_action
from equitune.actions import from_config, saved_config
from equitune.groups import CyclicGroup, DihedralGroup, ProductGroup, SymmetricGroup

TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-12}
every = pytest.mark.parametrize("name", ALL)
# one of each kind is compiled in `make test`, the others in `make test-slow`
SOON = {"linear-d3", "signed", "field-rotate", "boxes-corners", "product", "cube", "rotate"}


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def worst(a, b):
    """The largest difference, relative to the largest entry."""
    return ((a - b).abs().max() / b.abs().max().clamp(min=1)).item()


@pytest.mark.parametrize("name", EXACT)
@settings(max_examples=15)
@given(data=st.data())
def test_identity_product_and_inverse(name, data):
    action = EXACT[name][0]()
    group = action.group
    dtype = data.draw(st.sampled_from([torch.float32, torch.float64]))
    batch, size, other = (data.draw(sizes) for _ in range(3))
    torch.manual_seed(data.draw(st.integers(0, 2**31)))
    x = examples(name, batch, size, other, dtype)
    g, h = (data.draw(st.sampled_from(list(group.elements))) for _ in range(2))
    assert torch.equal(action(group.identity, x), x)
    moved = action(g, action(h, x))
    assert moved.shape == x.shape
    assert moved.dtype == x.dtype
    assert worst(moved, action(group.multiply(g, h), x)) <= TOLERANCE[dtype]
    assert worst(action.inverse(g, action(g, x)), x) <= TOLERANCE[dtype]
    assert worst(action.unorbit(action.orbit(x))[h], x) <= TOLERANCE[dtype]


GROUPS = [
    *(CyclicGroup(n) for n in (1, 2, 3, 5)),
    DihedralGroup(3),
    DihedralGroup(4),
    SymmetricGroup(3),
    ProductGroup(CyclicGroup(2), DihedralGroup(3)),
]


@pytest.mark.parametrize(
    "kind", ["linear", "matrix", "signed", "nodes", "adjacency", "product", "compose"]
)
@settings(max_examples=25)
@given(data=st.data())
def test_laws_of_any_group(kind, data):
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 2**31)))
    action, shape = of_group(data.draw(st.sampled_from(GROUPS)), generator)[kind]
    group = action.group
    batch, size = data.draw(sizes), data.draw(sizes)
    dtype = data.draw(st.sampled_from([torch.float32, torch.float64]))
    x = torch.randn(batch, *example(shape, size, 1), generator=generator, dtype=dtype)
    g, h = (data.draw(st.sampled_from(list(group.elements))) for _ in range(2))
    assert torch.equal(action(group.identity, x), x)
    moved = action(g, action(h, x))
    assert worst(moved, action(group.multiply(g, h), x)) <= TOLERANCE[dtype]
    assert worst(action.inverse(g, action(g, x)), x) <= TOLERANCE[dtype]
    if kind not in {"linear", "matrix", "product"}:  # entries move as they are
        assert torch.equal(moved, action(group.multiply(g, h), x))
        assert torch.equal(action.inverse(g, action(g, x)), x)


@pytest.mark.parametrize("name", EXACT)
def test_moves_something_and_is_no_right_action(name):
    """The laws would hold for an action that does nothing, or on commuting elements alone."""
    action, x = EXACT[name][0](), examples(name)
    group = action.group
    assert any(worst(action(g, x), x) > 1e-3 for g in group.elements)
    pairs = [(g, h) for g in group.elements for h in group.elements]
    if any(group.multiply(g, h) != group.multiply(h, g) for g, h in pairs):
        wrong = [worst(action(g, action(h, x)), action(group.multiply(h, g), x)) for g, h in pairs]
        assert max(wrong) > 1e-3


@every
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_passes_the_check(name, dtype):
    check_action(ALL[name][0](), examples(name, 3, dtype=dtype))


class Net(nn.Module):
    """A map that follows no group, from a tensor to one of the same shape."""

    def __init__(self, x):
        super().__init__()
        self.linear = nn.Linear(x[0].numel(), x[0].numel()).to(x.dtype)

    def forward(self, x):
        return self.linear(x.flatten(1)).sin().reshape(x.shape)


@every
@pytest.mark.parametrize("chunk_size", [None, 2])
def test_equituned_is_the_plain_loop_in_value_and_gradient(name, chunk_size):
    action, x = ALL[name][0](), examples(name)
    net, y = Net(x), x.clone().requires_grad_()
    model = EquiTuned(copy.deepcopy(net), action, action, chunk_size=chunk_size)
    x.requires_grad_()
    elements = action.group.elements
    expected = sum(action.inverse(g, net(action(g, x))) for g in elements) / len(elements)
    torch.testing.assert_close(model(y), expected, rtol=0, atol=1e-12)
    target = torch.randn_like(expected)
    (expected * target).sum().backward()
    (model(y) * target).sum().backward()
    torch.testing.assert_close(y.grad, x.grad, rtol=0, atol=1e-11)
    pairs = zip(model.module.parameters(), net.parameters(), strict=True)
    for ours, theirs in pairs:
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=0, atol=1e-11)


@pytest.mark.parametrize("name", EXACT)
def test_equituned_follows_the_group(name):
    action, x = EXACT[name][0](), examples(name)
    model = EquiTuned(Net(x), action, action)
    y = model(x)
    for g in action.group.elements:
        assert worst(model(action(g, x)), action(g, y)) < 1e-12


@every
def test_is_saved_and_loaded(name, tmp_path):
    action, x = ALL[name][0](), examples(name)
    if name in {"product", "compose"}:
        action(0, x)  # what it finds at the first call is not part of it
    again = from_config(saved_config(action, name))
    assert type(again) is type(action)
    assert repr(again) == repr(action)
    assert torch.equal(again.orbit(x), action.orbit(x))
    model = EquiTuned(Net(x), action, action)
    model.save_pretrained(tmp_path)
    loaded = EquiTuned.from_pretrained(tmp_path, Net(x))
    assert torch.equal(loaded(x), model(x))


@every
def test_says_whether_it_is_exact(name):
    action = ALL[name][0]()
    assert action.exact == (name not in NEARLY)
    assert ("not exact" in repr(action)) == (name in NEARLY)


@every
def test_follows_the_default_device_no_more_than_its_input(name):
    with torch.device("meta"):
        action = ALL[name][0]()
    x = examples(name)
    assert action(action.group.order - 1, x).device == x.device


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in SOON else pytest.mark.slow) for name in ALL]
)
def test_compiles_without_graph_breaks(name):
    action, x = ALL[name][0](), examples(name)
    model = EquiTuned(Net(x), action, action)
    torch.compiler.reset()
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(x), model(x), rtol=0, atol=1e-12)


@every
def test_can_be_mapped_over(name):
    action, x = ALL[name][0](), examples(name, 3)
    g = action.group.order - 1
    mapped = torch.func.vmap(lambda one: action(g, one[None])[0])(x)
    torch.testing.assert_close(mapped, action(g, x))
