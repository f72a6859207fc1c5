"""EquiCausalLM passes on the model that it wraps, as it is at each call."""

import json

import pytest
import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_hook
from torch.nn.utils.parametrizations import weight_norm
from transformers import AutoModelForCausalLM, GPT2LMHeadModel

from equitune.actions import TokenPermutation
from equitune.language.models import EquiCausalLM, EquiCausalLMConfig

CONTEXTS = torch.tensor([[3, 5, 13, 8, 20], [3, 6, 13, 8, 20], [11, 14, 9, 5, 30]])
CLOSE = {"atol": 2e-5, "rtol": 1e-5}
# what evaluation harnesses read
SETTINGS = ["vocab_size", "pad_token_id", "eos_token_id", "bos_token_id", "hidden_size"]
SETTINGS += ["max_position_embeddings", "num_hidden_layers", "num_attention_heads", "use_cache"]


class Doubled(nn.Linear):
    """A linear layer with a forward of its own."""

    def forward(self, x):
        return 2 * super().forward(x)


class Adapted(nn.Module):
    """A head with a low-rank adapter beside it."""

    def __init__(self, base):
        super().__init__()
        self.base_layer, rank = base, 2
        self.down = nn.Linear(base.in_features, rank, bias=False)
        self.up = nn.Linear(rank, base.out_features, bias=False)

    @property
    def weight(self):
        return self.base_layer.weight

    @property
    def bias(self):
        return self.base_layer.bias

    def forward(self, x):
        return self.base_layer(x) + self.up(self.down(x))


class Scaled(GPT2LMHeadModel):
    """A model whose logits are scaled by a weight, which is 1 before training."""

    def __init__(self, config):
        super().__init__(config)
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, *args, **kwargs):
        output = super().forward(*args, **kwargs)
        output.logits = output.logits * self.scale
        return output


def doubled(model):
    head = model.lm_head
    model.lm_head = Doubled(head.in_features, head.out_features, bias=False)
    model.lm_head.weight = head.weight


def adapted(model):
    torch.manual_seed(1)
    model.lm_head = Adapted(model.lm_head)


def other_forward(model):
    plain = model.lm_head.forward
    model.lm_head.forward = lambda x: plain(x).tanh()


def model_of_another_forward(model):
    plain = model.forward

    def forward(*args, **kwargs):
        output = plain(*args, **kwargs)
        output.logits = output.logits.tanh()
        return output

    model.forward = forward


def hook_on_the_model(model):
    def double(_model, _inputs, output):
        output.logits = 2 * output.logits
        return output

    model.register_forward_hook(double)


def other_head(model):
    torch.manual_seed(1)
    model.set_output_embeddings(nn.Linear(16, 40))


CHANGES = {
    "a subclass of a linear layer": doubled,
    "an adapter": adapted,
    "a forward of its own": other_forward,
    "the model's forward replaced": model_of_another_forward,
    "a hook on the model": hook_on_the_model,
    "a hook before the head": lambda model: model.lm_head.register_forward_pre_hook(
        lambda _m, inputs: (2 * inputs[0],)
    ),
    "a hook after the head": lambda model: model.lm_head.register_forward_hook(
        lambda _m, _i, output: 2 * output
    ),
    "a parametrized weight": lambda model: weight_norm(
        model.lm_head
    ).parametrizations.weight.original0.data.mul_(3),
    "another head": other_head,
}


@pytest.mark.parametrize("passes", [0, 1], ids=["before", "after a first pass"])
@pytest.mark.parametrize("change", CHANGES)
def test_a_head_is_looked_at_at_each_call(language_model, token_action, plain_loop, change, passes):
    model, action = language_model(tie_word_embeddings=False), token_action(3)
    fair, before = EquiCausalLM.wrap(model, action), plain_loop(model, action, CONTEXTS)
    for _ in range(passes):
        torch.testing.assert_close(fair(CONTEXTS).logits, before, **CLOSE)
    CHANGES[change](model)
    expected = plain_loop(model, action, CONTEXTS)
    assert (expected - before).abs().max() > 0.1
    torch.testing.assert_close(fair(CONTEXTS).logits, expected, **CLOSE)


@pytest.mark.parametrize("change", [doubled, adapted, other_head])
@pytest.mark.parametrize("tied", [False, True])
def test_wrapping_draws_and_ties_no_weight(language_model, token_action, change, tied):
    model = language_model(tie_word_embeddings=tied)
    change(model)
    before = {key: x.clone() for key, x in model.state_dict().items()}
    EquiCausalLM.wrap(model, token_action(2))
    assert all(torch.equal(x, before[key]) for key, x in model.state_dict().items())


def test_a_cap_that_is_set_after_a_first_pass_counts(language_model, token_action, plain_loop):
    model, action = language_model("gemma2", final_logit_softcapping=None), token_action(2)
    fair = EquiCausalLM.wrap(model, action)
    before = fair(CONTEXTS).logits
    model.config.final_logit_softcapping = 1.0
    found = fair(CONTEXTS).logits
    torch.testing.assert_close(found, plain_loop(model, action, CONTEXTS), **CLOSE)
    assert (found - before).abs().max() > 0.5


def test_a_scale_that_is_one_before_training_is_no_plain_head(
    language_model, token_action, plain_loop
):
    model, action = Scaled(language_model().config).eval(), token_action(2)
    fair = EquiCausalLM.wrap(model, action)
    fair(CONTEXTS)
    model.scale.data.fill_(3)
    expected = plain_loop(model, action, CONTEXTS)
    torch.testing.assert_close(fair(CONTEXTS).logits, expected, **CLOSE)


def test_hooks_on_the_wrapped_model_are_called_once_a_pass(language_model, token_action):
    fair, seen = EquiCausalLM.wrap(language_model(), token_action(2)), []
    plain = fair(CONTEXTS).logits
    hooks = [
        fair.model.register_forward_pre_hook(lambda _m, inputs: seen.append(inputs[0])),
        fair.model.register_forward_hook(lambda _m, _i, output: seen.append(output.logits)),
        register_module_forward_hook(
            lambda module, _i, _o: seen.append(module) if module is fair.model.lm_head else None
        ),
    ]
    try:
        torch.testing.assert_close(fair(CONTEXTS).logits, plain, **CLOSE)
    finally:
        for hook in hooks:
            hook.remove()
    ids, head, logits = seen
    assert head is fair.model.lm_head
    assert logits.shape == (*ids.shape, 40)
    assert torch.equal(fair(CONTEXTS).logits, plain)  # the head alone, as before
    assert len(seen) == 3


def test_looking_at_a_model_draws_no_random_number_of_the_callers(language_model, token_action):
    fair = EquiCausalLM.wrap(language_model(), token_action(2)).train()
    torch.manual_seed(0)
    first = fair(CONTEXTS).logits
    torch.manual_seed(0)
    assert torch.equal(fair(CONTEXTS).logits, first)


@pytest.mark.parametrize("architecture", ["gpt2", "gemma2"])
def test_hidden_states_and_attentions_are_those_of_the_copies(
    language_model, token_action, architecture
):
    model, action = language_model(architecture, attn_implementation="eager"), token_action(3)
    fair = EquiCausalLM.wrap(model, action)
    asked = {"output_hidden_states": True, "output_attentions": True}
    found, logits = fair(CONTEXTS, **asked), fair(CONTEXTS).logits
    torch.testing.assert_close(found.logits, logits, **CLOSE)
    expected = [model(action(g, CONTEXTS), **asked) for g in range(3)]
    for name in ("hidden_states", "attentions"):
        tensors = getattr(found, name)
        assert len(tensors) == len(getattr(expected[0], name))
        for place, x in enumerate(tensors):
            assert len(x) == 3 * len(CONTEXTS)
            copies = torch.cat([getattr(copy, name)[place] for copy in expected])
            torch.testing.assert_close(x, copies, **CLOSE)
    assert fair(CONTEXTS).hidden_states is None
    fair.config.output_hidden_states = True
    assert len(fair(CONTEXTS).hidden_states) == 3
    fair.config.output_hidden_states = False
    asked = {"output_hidden_states": True, "return_dict_in_generate": True, "eos_token_id": -1}
    texts = fair.generate(CONTEXTS, attention_mask=torch.ones(3, 5), max_new_tokens=2, **asked)
    assert texts.hidden_states[1][0].shape == (9, 1, 16)


def test_a_tuple_is_returned_when_asked(language_model, token_action):
    model = language_model()
    fair = EquiCausalLM.wrap(model, token_action(2))
    whole = fair(CONTEXTS, labels=CONTEXTS, output_hidden_states=True)
    loss, logits, cache, hidden = fair(
        CONTEXTS, labels=CONTEXTS, output_hidden_states=True, return_dict=False
    )
    assert torch.equal(loss, whole.loss)
    assert torch.equal(logits, whole.logits)
    assert cache.get_seq_length() == 5
    assert len(hidden) == len(whole.hidden_states)
    (alone,) = fair(CONTEXTS, use_cache=False, return_dict=False)
    assert torch.equal(alone, logits)
    fair.config.return_dict = False
    assert isinstance(fair(CONTEXTS), tuple)
    assert torch.equal(fair(CONTEXTS, return_dict=True).logits, logits)


@pytest.mark.parametrize("architecture", ["gpt2", "llama", "phi", "gemma2"])
def test_settings_are_read_and_set_as_the_wrapped_models(
    language_model, token_action, architecture, tmp_path
):
    model = language_model(architecture)
    fair = EquiCausalLM.wrap(model, token_action(2))
    fair.config.pad_token_id = 7
    assert model.config.pad_token_id == 7
    fair.save_pretrained(tmp_path)
    loaded = [
        EquiCausalLM.from_pretrained(tmp_path),
        AutoModelForCausalLM.from_pretrained(tmp_path),
    ]
    for config in (fair.config, *(each.config for each in loaded)):
        for name in SETTINGS:
            assert getattr(config, name) == getattr(model.config, name), name
        assert config.pad_token_id == 7
        assert config.get_text_config(decoder=True).vocab_size == 40
        assert config.model_type == "equi_causal_lm"
        assert not hasattr(config, "no_such_setting")
    written = json.loads((tmp_path / "config.json").read_text())
    assert not set(SETTINGS) & written.keys()  # in text_config alone
    other = EquiCausalLM.from_pretrained(tmp_path, use_cache=False)
    assert other(CONTEXTS).past_key_values is None


def test_a_configuration_without_a_model_answers_for_itself():
    config = EquiCausalLMConfig()
    assert config.get_text_config() is config
    assert not hasattr(config, "vocab_size")
    with pytest.raises(ValueError, match="describes no EquiCausalLM: load the model as it is"):
        EquiCausalLM(config)


def test_a_model_is_resized_before_it_is_wrapped(language_model, token_action, plain_loop):
    model = language_model()
    fair = EquiCausalLM.wrap(model, token_action(2))
    assert fair.resize_token_embeddings() is model.get_input_embeddings()
    assert fair.resize_token_embeddings(40, pad_to_multiple_of=8).weight.shape == (40, 16)
    for size in ((41,), (39,), (None, 64)):
        with pytest.raises(ValueError, match=r"permutes 40 ids, .* resize a model before wrap"):
            fair.resize_token_embeddings(*size)
    model.resize_token_embeddings(44, mean_resizing=False)
    with pytest.raises(ValueError, match="permutes 40 ids, the model has 44") as error:
        fair(CONTEXTS)
    assert "\n" not in str(error.value)
    action = token_action(2, size=44)
    found = EquiCausalLM.wrap(model, action)(CONTEXTS).logits
    torch.testing.assert_close(found, plain_loop(model, action, CONTEXTS), **CLOSE)


def test_embeddings_are_replaced_in_the_wrapped_model(language_model, token_action, plain_loop):
    model, action = language_model(), token_action(2)
    fair = EquiCausalLM.wrap(model, action)
    fair(CONTEXTS)
    torch.manual_seed(1)
    embeddings, head = nn.Embedding(40, 16), nn.Linear(16, 40)
    fair.set_input_embeddings(embeddings)
    fair.set_output_embeddings(head)
    assert fair.get_input_embeddings() is model.get_input_embeddings() is embeddings
    assert fair.get_output_embeddings() is model.get_output_embeddings() is head
    torch.testing.assert_close(fair(CONTEXTS).logits, plain_loop(model, action, CONTEXTS), **CLOSE)


def test_the_cache_of_the_wrapped_model_is_refused(language_model, token_action):
    fair = EquiCausalLM.wrap(language_model(), token_action(3))
    cache = fair.model(CONTEXTS, use_cache=True).past_key_values
    with pytest.raises(ValueError, match="past_key_values hold 3 rows: expected 9, 3 copies"):
        fair(CONTEXTS[:, :1], past_key_values=cache)


def test_a_loss_of_experts_is_refused(language_model, token_action):
    model = language_model("mixtral", num_local_experts=2, router_jitter_noise=0.0)
    fair = EquiCausalLM.wrap(model, token_action(2))
    assert fair(CONTEXTS, labels=CONTEXTS).loss > 0
    model.config.output_router_logits = True
    with pytest.raises(ValueError, match=r"set config.output_router_logits = False"):
        fair(CONTEXTS, labels=CONTEXTS)


def test_an_action_that_its_config_does_not_describe_is_refused(language_model, token_action):
    class Silent(TokenPermutation):
        def config(self):
            return super().config() | {"moved": [[], []]}

    own = Silent(token_action(2).group, token_action(2).permutations)
    with pytest.raises(ValueError, match=r"Silent.config does not describe Silent\("):
        EquiCausalLM.wrap(language_model(), own)
    fair = EquiCausalLM.wrap(language_model(), token_action(2))
    with pytest.raises(AttributeError):
        fair.action = token_action(3)
