"""What a model takes and how it ends is found by looking at it."""

import copy

import pytest
import torch
from torch import nn

from equitune.language.probe import HeadProbe, ends_with_head, plain_head, takes

TOKEN, NOTHING = torch.tensor([[3]]), nn.Identity()


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


class Between(nn.Module):
    """A model of a base and a head, with something between or behind."""

    def __init__(self, model, between=NOTHING, behind=NOTHING):
        super().__init__()
        self.model, self.between, self.behind, self.config = model, between, behind, model.config
        self.base_model = model.base_model

    def get_output_embeddings(self):
        return self.model.get_output_embeddings()

    def forward(self, ids, **kwargs):
        output = self.base_model(ids, **kwargs)
        states = self.between(output.last_hidden_state)
        output.logits = self.behind(self.model.get_output_embeddings()(states))
        return output


class Scale(nn.Module):
    """A scale of 1, as learnt ones are at first."""

    def forward(self, x):
        return x * torch.ones(())


class InPlace(nn.Module):
    """A scale that leaves the memory where it is."""

    def forward(self, x):
        return x.mul_(2)


def test_what_stands_between_is_noticed_whatever_it_does_to_one_token(language_model):
    model = language_model()
    assert ends_with_head(Between(model), TOKEN)
    for other in (Scale(), InPlace()):
        assert not ends_with_head(Between(model, between=other), TOKEN)
        assert not ends_with_head(Between(model, behind=other), TOKEN)


def test_dropout_before_the_head_counts_in_training_only(language_model):
    model, probe = Between(language_model(), between=nn.Dropout(0.5)), HeadProbe()
    for training in (False, True, False):
        found = probe(model.train(training), TOKEN)
        assert (found is None) is training


def test_looking_draws_no_random_number(language_model):
    model = language_model().train()  # with dropout inside
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    assert ends_with_head(model, TOKEN)
    assert torch.equal(torch.rand(3), expected)


def test_a_model_is_looked_at_again_only_when_it_has_changed(language_model, rows_seen):
    model, probe = language_model(tie_word_embeddings=False), HeadProbe()
    seen = rows_seen(model)

    def looks():
        seen.clear()
        assert probe(model, TOKEN) is plain_head(model)
        return len(seen)

    assert [looks(), looks()] == [1, 0]
    model.lm_head.weight.data.mul_(2)
    assert looks() == 0  # what the weights are decides nothing
    model.lm_head = copy.deepcopy(model.lm_head)
    assert [looks(), looks()] == [1, 0]
    model.config.some_cap = 3.0
    assert [looks(), looks()] == [1, 0]
    model.logit_scale = 2.0
    assert [looks(), looks()] == [1, 0]
    probe = copy.deepcopy(probe)
    assert looks() == 1


def test_a_plain_head_is_a_linear_layer_and_nothing_more(language_model):
    model = language_model(tie_word_embeddings=False)
    head = model.lm_head
    assert plain_head(model) is head
    for module in (model, head):
        for register in (
            module.register_forward_hook,
            module.register_forward_pre_hook,
            module.register_full_backward_hook,
            module.register_full_backward_pre_hook,
        ):
            hook = register(lambda *_: None)
            assert plain_head(model) is None
            hook.remove()
        module.forward = module.forward
        assert plain_head(model) is None
        del module.forward
    assert plain_head(model) is head
    head.weight = nn.Parameter(torch.zeros(40, 16).as_subclass(type("Own", (torch.Tensor,), {})))
    assert plain_head(model) is None
