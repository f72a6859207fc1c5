"""EquiCausalLM where nothing may depend on what ids are: traced, batched, without data."""

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

import equitune
from equitune.language.models import EquiCausalLM

ROWS = torch.tensor([[3, 5, 13, 8], [3, 6, 13, 8], [11, 14, 9, 5], [3, 4, 20, 8]])
OTHERS = torch.tensor([[11, 14, 9, 5], [3, 4, 20, 8], [3, 4, 20, 8], [3, 4, 20, 8]])
CLOSE = {"atol": 2e-5, "rtol": 1e-5}


class Logits(nn.Module):
    """One tensor in, one out."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x, mask=None):
        return self.model(x, attention_mask=mask, use_cache=False).logits


@pytest.fixture(params=["gpt2", "llama", "gemma2"])
def logits(request, language_model, token_action):
    """A relaxed model of order 3 whose output is one tensor."""
    model = language_model(request.param, attn_implementation="eager")
    return Logits(EquiCausalLM.wrap(model, token_action(3), [8, 9], relaxed=True))


def test_an_exported_model_is_right_for_other_rows(logits):
    """With other repeats among the copies: 10 different rows, then 4."""
    exported = torch.export.export(logits, (ROWS,)).module()
    for x in (ROWS, OTHERS):
        torch.testing.assert_close(exported(x), logits(x), **CLOSE)


@pytest.mark.parametrize("passes", [0, 1], ids=["before", "after a first pass"])
def test_a_compiled_model_is_right_for_other_rows(logits, passes):
    for _ in range(passes):
        logits(ROWS)
    compiled = torch.compile(logits, backend="eager")
    for x in (ROWS, OTHERS):
        torch.testing.assert_close(compiled(x), logits(x), **CLOSE)


@pytest.mark.parametrize(
    ("combine", "relaxed"),
    [("mean", False), ("frame", False), pytest.param("mean", True, marks=pytest.mark.slow)],
)
def test_a_compiled_model_trains_as_the_plain_one(combine, relaxed, language_model, token_action):
    """In one graph: neither the wrapper nor the group breaks it."""
    plain = language_model(resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0)
    general = [8, 9] if relaxed else []
    model = EquiCausalLM.wrap(plain, token_action(3), general, relaxed=relaxed, combine=combine)
    model.train()
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)

    def outcome(model):
        plain.zero_grad()
        output = model(input_ids=ROWS, labels=ROWS, use_cache=False)
        output.loss.backward()
        return output.logits.detach(), [p.grad for p in plain.parameters()]

    (logits, found), (expected, wanted) = outcome(compiled), outcome(model)
    torch.testing.assert_close(logits, expected, **CLOSE)
    for a, b in zip(found, wanted, strict=True):
        torch.testing.assert_close(a, b, **CLOSE)


def test_an_exported_language_model_is_measured(tmp_path, language_model, token_action):
    action = token_action(3)
    model = Logits(EquiCausalLM.wrap(language_model(attn_implementation="eager"), action))
    actions = {"input_action": action, "output_action": action.on_logits()}
    done = equitune.export(model, ROWS, tmp_path / "model.pt2", **actions)
    assert done.batch_sizes == (1, 4, 9)
    assert max(done.difference, done.error) < 1e-5


@pytest.mark.filterwarnings("ignore")  # tracing by torch.jit is deprecated, and full of warnings
def test_a_traced_model_is_right_for_other_rows(logits):
    traced = torch.jit.trace(logits, ROWS, check_trace=False)
    for x in (ROWS, OTHERS):
        torch.testing.assert_close(traced(x), logits(x), **CLOSE)


def test_vmap_over_contexts_is_the_batch(logits):
    mask = torch.ones(1, 4)  # without one GPT-2 itself looks for padding among the ids
    found = torch.func.vmap(lambda x: logits(x[None], mask)[0])(ROWS)
    torch.testing.assert_close(found, logits(ROWS), **CLOSE)


def test_tensors_without_data_have_the_shape(logits):
    expected = logits(ROWS)
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        assert logits(mode.from_tensor(ROWS)).shape == expected.shape
    torch.testing.assert_close(logits(ROWS), expected, atol=0, rtol=0)
    mask = torch.ones(4, 4, device="meta")  # without one transformers looks for packed rows
    assert logits.to("meta")(ROWS.to("meta"), mask).shape == expected.shape
