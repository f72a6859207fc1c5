"""Gradients with chunk_size are those of the plain loop, however the weights got there."""

import copy

import pytest
import torch
from small_models import Picture
from torch import nn
from torch.func import functional_call

from equitune.actions import Rotate90, Trivial
from equitune.symmetrize import EquiTuned

ROTATE = Rotate90()


def images():
    return torch.randn(2, 2, 5, 5, dtype=torch.float64)


def loop(module, x):
    """1/|G| Σ_g g⁻¹ M(gx)."""
    return sum(ROTATE.inverse(g, module(ROTATE(g, x))) for g in range(4)) / 4


def close(ours, theirs):
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("chunk_size", [1, 3])
def test_lent_weights_get_their_own_gradients(chunk_size):
    module, x = Picture(nn.BatchNorm2d).double(), images()
    model = EquiTuned(module, ROTATE, ROTATE, chunk_size=chunk_size).eval()
    lent = {
        name: torch.randn_like(p).requires_grad_()
        for name, p in module.named_parameters(prefix="module")
    }
    inner = {name.removeprefix("module."): p for name, p in lent.items()}
    expected = loop(lambda rows: functional_call(module, inner, (rows,)), x)
    grads = torch.autograd.grad(expected.square().sum(), list(lent.values()))
    y = functional_call(model, lent, (x,))
    close([y], [expected])
    close(torch.autograd.grad(y.square().sum(), list(lent.values())), grads)

    def loss(weights):
        return functional_call(model, weights, (x,)).square().sum()

    close(torch.func.grad(loss)({k: p.detach() for k, p in lent.items()}).values(), grads)


def test_the_modules_own_weights_come_back_after_the_backward_pass():
    module = Picture().double()
    model = EquiTuned(module, ROTATE, ROTATE, chunk_size=1)
    own = dict(model.named_parameters())
    lent = {name: torch.randn_like(p).requires_grad_() for name, p in own.items()}
    functional_call(model, lent, (images(),)).sum().backward()
    assert all(p is own[name] and p.grad is None for name, p in model.named_parameters())


def test_weights_changed_in_place_are_told():
    model = EquiTuned(Picture().double(), ROTATE, ROTATE, chunk_size=1)
    y = model(images())
    with torch.no_grad():
        model.module.conv.weight.mul_(2)
    with pytest.raises(RuntimeError, match=r"weight of Conv2d was changed in place .*backward\(\)"):
        y.sum().backward()


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
@pytest.mark.parametrize(
    ("norm", "dropout"),
    [(nn.Identity, 0.0), (nn.BatchNorm2d, 0.0), (nn.Identity, 0.5), (nn.BatchNorm2d, 0.5)],
    ids=["plain", "norm", "dropout", "both"],
)
def test_compiled_training_is_the_plain_loop(backend, norm, dropout):
    module, x = Picture(norm, dropout).double(), images()
    plain = copy.deepcopy(module)
    torch.compiler.reset()  # each case compiles the same code object anew
    model = torch.compile(
        EquiTuned(module, ROTATE, ROTATE, chunk_size=1), fullgraph=True, backend=backend
    )
    torch.manual_seed(1)
    y = model(x)
    y.square().sum().backward()
    torch.manual_seed(1)
    expected = loop(plain, x)
    expected.square().sum().backward()
    close([y], [expected])
    close([p.grad for p in module.parameters()], [p.grad for p in plain.parameters()])
    close(module.buffers(), plain.buffers())


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_a_scripted_module_trains_as_the_plain_loop():
    module = nn.Sequential(
        nn.Conv2d(2, 3, 3, padding=1), nn.BatchNorm2d(3), nn.Tanh(), nn.Conv2d(3, 2, 3, padding=1)
    ).double()
    plain, x = copy.deepcopy(module), images()
    scripted = torch.jit.script(module)
    y = EquiTuned(scripted, ROTATE, ROTATE, chunk_size=1)(x)
    y.square().sum().backward()
    expected = loop(plain, x)
    expected.square().sum().backward()
    close([y], [expected])
    close([p.grad for p in scripted.parameters()], [p.grad for p in plain.parameters()])
    close(scripted.buffers(), plain.buffers())


@pytest.mark.parametrize("chunk_size", [None, 1])
def test_a_frozen_module_passes_gradients_to_its_inputs(chunk_size):
    """What stands before it, a stem or a visual prompt, is trained."""
    module, x = Picture(nn.BatchNorm2d).double(), images()
    prompt = torch.zeros(1, 2, 5, 5, dtype=torch.float64, requires_grad=True)
    model = EquiTuned(module, ROTATE, ROTATE, chunk_size=chunk_size, frozen=True).train()
    model(x + prompt).square().sum().backward()
    (expected,) = torch.autograd.grad(loop(module, x + prompt).square().sum(), prompt)
    close([prompt.grad], [expected])
    assert expected.abs().max() > 0
    assert all(p.grad is None for p in module.parameters())
    assert not model(x).requires_grad  # nothing is kept where nothing is trained


def test_adapters_are_not_frozen_without_a_word():
    base = nn.Linear(4, 4)
    base.requires_grad_(False)
    adapted = nn.Sequential(base, nn.Linear(4, 4, bias=False))
    keep = Trivial(ROTATE.group)
    with pytest.raises(ValueError, match=r"freeze the 1 of 3 parameters .* leave frozen out"):
        EquiTuned(adapted, keep, keep, frozen=True)
    EquiTuned(adapted, keep, keep)(torch.randn(2, 4)).sum().backward()
    assert adapted[1].weight.grad is not None
    adapted.requires_grad_(False)
    assert EquiTuned(adapted, keep, keep, frozen=True).frozen
