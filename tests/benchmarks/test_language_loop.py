"""The loop that the benchmark compares with computes the same model; speed is not tested."""

import pytest
import torch

from equitune.actions import TokenPermutation

pytest.importorskip("transformers")

from equitune.language.models import EquiCausalLM


@pytest.fixture(scope="module")
def loop(script):
    return script("language_loop")


@pytest.mark.parametrize("cycle", [[5, 6], [5, 6, 7]])
def test_the_loop_and_the_model_agree(loop, cycle):
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    config = GPT2Config(vocab_size=20, n_positions=16, n_embd=8, n_layer=1, n_head=2)
    config.initializer_range = 0.5
    plain = GPT2LMHeadModel(config).eval()
    generator = torch.arange(20)
    generator[cycle] = torch.tensor([*cycle[1:], cycle[0]])
    action = TokenPermutation.generated_by(generator)
    elements = [dict(enumerate(row)) for row in action.permutations.tolist()]
    context = torch.tensor([[3, 5, 9, 6]])
    with torch.no_grad():
        slow = loop.PaperLoop(plain, elements).logits(context)
        fast = EquiCausalLM.wrap(plain, action)(context).logits
    torch.testing.assert_close(slow, fast)
    assert not torch.allclose(slow, plain(context).logits, atol=1e-2)
    assert len(loop.PaperLoop(plain, elements).generate([3, 5], 4, top_k=5)) == 4
