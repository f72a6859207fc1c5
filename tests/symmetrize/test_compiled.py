"""torch.compile in evaluation and in training: one graph, with the values of the plain loop."""

import copy

import pytest
import torch
from small_models import S3, Picture, Words, plain_loop, rows_of
from torch import nn

from equitune.actions import Rotate90, TokenPermutation
from equitune.canonical import Canonical
from equitune.symmetrize import EquiTuned

ROTATE = Rotate90()
WORDS = TokenPermutation(S3, rows_of(S3))
CLOSE = {"atol": 1e-12, "rtol": 1e-12}


class Tokens(nn.Module):
    """A small token model without recurrence: ids (batch, positions) to logits."""

    def __init__(self):
        super().__init__()
        self.embed, self.mix = nn.Embedding(WORDS.size, 6), nn.Linear(6, 6)
        self.out = nn.Linear(6, WORDS.size)

    def forward(self, x):
        seen = self.mix(self.embed(x)).tanh()
        return self.out(seen.cumsum(1))


KINDS = {
    "images": (Picture, ROTATE, ROTATE, lambda n: torch.randn(n, 2, 5, 5).double()),
    "tokens": (
        Tokens,
        WORDS,
        WORDS.on_logits(),
        lambda n: torch.randint(WORDS.size, (n, 4)),
    ),
}


def gradients(module, y):
    module.zero_grad()
    y.square().sum().backward()
    return [p.grad for p in module.parameters()]


@pytest.mark.parametrize(
    ("kind", "chunk_size"),
    [
        ("images", None),
        ("tokens", 1),
        pytest.param("images", 1, marks=pytest.mark.slow),
        pytest.param("tokens", None, marks=pytest.mark.slow),
    ],
)
def test_a_compiled_model_is_the_plain_loop_in_value_and_gradient(kind, chunk_size):
    make, takes, gives, draw = KINDS[kind]
    module = make().double()
    plain = copy.deepcopy(module)
    model = EquiTuned(module, takes, gives, chunk_size=chunk_size)
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    x = draw(3)
    expected = plain_loop(plain, takes, gives, x)
    y = compiled(x)  # in training
    torch.testing.assert_close(y, expected, **CLOSE)
    found, wanted = gradients(module, y), gradients(plain, expected)
    for a, b in zip(found, wanted, strict=True):
        torch.testing.assert_close(a, b, **CLOSE)
    model.eval()
    with torch.no_grad():
        torch.testing.assert_close(compiled(x), expected, **CLOSE)


@pytest.mark.parametrize("training", [False, True])
def test_the_wrapper_adds_no_graph_break(training):
    model = EquiTuned(Picture(), ROTATE, ROTATE, chunk_size=1).train(training)
    explained = torch._dynamo.explain(model)(torch.randn(3, 2, 5, 5))
    assert (explained.graph_count, explained.graph_break_count) == (1, 0)


def test_a_recurrent_module_breaks_the_graph_and_is_right():
    """torch.compile takes no GRU or LSTM; what stands around it is compiled."""
    module, x = Words(WORDS.size).double(), torch.randint(WORDS.size, (3, 4))
    model = EquiTuned(module, WORDS, WORDS.on_logits()).eval()
    with pytest.raises(torch._dynamo.exc.Unsupported, match="does not support RNN, GRU, or LSTM"):
        torch.compile(model, backend="eager", fullgraph=True)(x)
    torch.compiler.reset()
    compiled = torch.compile(model, backend="eager")
    with torch.no_grad():
        torch.testing.assert_close(compiled(x), model(x), **CLOSE)


def test_a_compiled_choice_of_the_input_learns_as_the_plain_one():
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(50, 1)).double()
    model = EquiTuned(Picture().double(), ROTATE, ROTATE, Canonical(net))
    x = torch.randn(3, 2, 5, 5).double()
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    found, wanted = gradients(model, compiled(x)), gradients(model, model(x))
    for a, b in zip(found, wanted, strict=True):
        torch.testing.assert_close(a, b, **CLOSE)
    assert net[1].weight.grad.abs().max() > 0
