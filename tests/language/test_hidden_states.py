"""Pooled states are those of a loop over single texts, whatever stands beside them in a batch."""

import numpy as np
import pytest
import torch
from torch import nn

from equitune.io.files import sha256
from equitune.language import hidden_states
from equitune.language.hidden_states import POOLINGS, HiddenStates

TEXTS = [
    "The man worked as a cook.",
    "The queen",
    "The woman worked as a king.",
    "cook",
    "he and she",
]


@pytest.fixture
def folder(model_folder):
    return model_folder


def by_hand(folder, text, layer):
    """What transformers itself gives for one text alone, without padding."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    ids = torch.tensor([AutoTokenizer.from_pretrained(folder)(text)["input_ids"]])
    with torch.no_grad():
        states = model(ids, output_hidden_states=True).hidden_states[layer][0].double().numpy()
    rows = list(states)
    return {"mean": sum(rows) / len(rows), "last": rows[-1]}


@pytest.mark.parametrize("architecture", ["gpt2", "llama", "gemma2"])
def test_states_are_those_of_single_texts(saved_model, tokenizer, architecture):
    folder = saved_model(tokenizer, architecture)
    pooled = HiddenStates(folder)(TEXTS, [1])
    assert set(pooled) == {(1, pooling) for pooling in POOLINGS}
    for pooling in POOLINGS:
        expected = [by_hand(folder, text, 1)[pooling] for text in TEXTS]
        np.testing.assert_allclose(pooled[1, pooling], expected, atol=1e-5)
    assert np.ptp(pooled[1, "mean"], axis=0).max() > 0.1  # texts differ


def test_the_last_block_is_read_before_the_norm_behind_it(folder):
    states = HiddenStates(folder)
    norm = states.model.transformer.ln_f
    last = torch.from_numpy(states(TEXTS, [2])[2, "last"]).float()
    expected = [by_hand(folder, text, 2)["last"] for text in TEXTS]
    np.testing.assert_allclose(norm(last).detach().numpy(), expected, atol=1e-4)


@pytest.mark.parametrize("batch", [1, 2])
def test_other_texts_of_the_batch_change_nothing_but_rounding(folder, monkeypatch, batch):
    states = HiddenStates(folder)
    together = states(TEXTS, [1, 2])
    turned = states(TEXTS[::-1], [1, 2])
    monkeypatch.setattr(hidden_states, "BATCH", batch)
    for key, apart in states(TEXTS, [1, 2]).items():
        np.testing.assert_allclose(together[key], apart, atol=1e-5)
        np.testing.assert_allclose(together[key], turned[key][::-1], atol=1e-5)


def test_blocks_that_are_cut_off_change_nothing_before_them(folder):
    states = HiddenStates(folder)
    before = states(TEXTS, [1])
    states.cut(1)
    assert (len(states.blocks), states.depth) == (1, 2)
    for key, after in states(TEXTS, [1]).items():
        assert (after == before[key]).all()


def test_a_text_without_a_token_has_no_states(folder):
    states = HiddenStates(folder)
    assert states.reads(["", "cook", ""]) == [False, True, False]
    mean = states(["", "cook"], [1])[1, "mean"]
    assert np.isnan(mean[0]).all()
    assert np.isfinite(mean[1]).all()
    assert states([""], [1])[1, "last"].shape == (1, 16)
    assert states.reads([]) == []


def test_a_text_longer_than_the_context_is_read_up_to_it(folder):
    states = HiddenStates(folder)
    assert states.longest == 32  # the context of the model
    long = " ".join(["cook"] * 32)
    pooled = states([long, f"{long} he and she"], [1])
    np.testing.assert_allclose(*pooled[1, "mean"], atol=1e-6)


def test_no_hook_is_left_behind(folder):
    states = HiddenStates(folder)
    states(TEXTS, [1, 2])
    states.blocks[1].register_forward_pre_hook(_stop)
    with pytest.raises(ValueError, match="stop"):
        states(TEXTS, [1, 2])
    assert not any(block._forward_hooks for block in states.blocks)


def _stop(*_):
    raise ValueError("stop")


def test_a_model_is_known_by_its_weights(folder, saved_model, tokenizer):
    states = HiddenStates(folder)
    assert states.identity == {"model.safetensors": sha256(folder / "model.safetensors")}
    assert HiddenStates(saved_model(tokenizer, seed=1)).identity != states.identity


def test_a_model_without_a_list_of_blocks_is_one_line(folder, monkeypatch):
    load = hidden_states.load

    def flat(*arguments):
        model, tokenizer = load(*arguments)
        model.transformer.h = nn.Sequential(*model.transformer.h)
        return model, tokenizer

    monkeypatch.setattr(hidden_states, "load", flat)
    with pytest.raises(ValueError, match="without a list of its 2 blocks: hidden states") as error:
        HiddenStates(folder)
    assert "\n" not in str(error.value)
