"""What a model takes and how it ends is found by looking at it."""

import pytest
import torch

from equitune.language.probe import ends_with_head, takes

TOKEN = torch.tensor([[3]])


@pytest.mark.parametrize(
    ("architecture", "changes", "found"),
    [
        ("gpt2", {}, True),
        ("llama", {}, True),
        ("phi", {}, True),
        ("gemma2", {}, False),
        ("gemma2", {"final_logit_softcapping": None}, True),
    ],
)
def test_logits_that_are_capped_after_the_head_are_noticed(
    language_model, architecture, changes, found
):
    assert ends_with_head(language_model(architecture, **changes), TOKEN) is found


def test_a_state_that_changes_between_base_and_head_is_noticed(language_model):
    model = language_model()
    hook = model.lm_head.register_forward_pre_hook(lambda _m, inputs: (2 * inputs[0],))
    assert not ends_with_head(model, TOKEN)
    hook.remove()
    assert ends_with_head(model, TOKEN)


def test_a_model_without_a_base_or_a_linear_head_has_none_to_take_alone(language_model):
    model = language_model()
    assert not ends_with_head(model.base_model, TOKEN)
    model.set_output_embeddings(torch.nn.Sequential(model.lm_head))
    assert not ends_with_head(model, TOKEN)


def test_no_hook_is_left_even_after_a_failure(language_model):
    model = language_model()
    ends_with_head(model, TOKEN)
    with pytest.raises(IndexError):
        ends_with_head(model, torch.tensor([[model.config.vocab_size]]))
    assert not any(module._forward_hooks for module in model.modules())


def test_arguments_are_looked_up(language_model):
    model = language_model()
    assert takes(model, "position_ids")
    assert not takes(model, "positions")
