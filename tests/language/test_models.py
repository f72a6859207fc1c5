"""EquiCausalLM is exactly fair, is what its definition says, and computes equal rows once."""

import pytest
import torch
from torch import nn

from equitune import EquiTuned
from equitune.actions import AxisPermutation
from equitune.groups import CyclicGroup
from equitune.language.models import EquiCausalLM, EquiCausalLMConfig, positions

GENERAL = [8, 9]
# contexts with words of both tuples, one of them, none; 13 … are neutral
CONTEXTS = torch.tensor(
    [[3, 5, 13, 8, 20], [3, 6, 13, 8, 20], [11, 14, 9, 5, 30], [2, 17, 8, 4, 3]]
)
CONTINUATIONS = torch.tensor([[6, 10, 21, 9], [5, 5, 11, 22], [16, 2, 10, 8], [13, 15, 5, 6]])
CLOSE = {"atol": 2e-5, "rtol": 1e-5}
every_architecture = pytest.mark.parametrize("architecture", ["gpt2", "llama", "phi", "gemma2"])
both_orders = pytest.mark.parametrize("order", [2, 3])


def log_probability(model, contexts, continuations):
    """Log P(X₂ | X₁) of each row, (rows,)."""
    logits = model(torch.cat([contexts, continuations], 1)).logits[:, contexts.shape[1] - 1 : -1]
    each = logits.double().log_softmax(-1).gather(-1, continuations[..., None])
    return each.sum((-1, -2))


@both_orders
@every_architecture
def test_moved_continuations_of_moved_contexts_are_as_probable(
    language_model, token_action, architecture, order
):
    model, action = language_model(architecture), token_action(order)
    fair = EquiCausalLM.wrap(model, action)
    expected = log_probability(fair, CONTEXTS, CONTINUATIONS)
    before = log_probability(model, CONTEXTS, CONTINUATIONS)
    for g in range(1, order):
        moved = action(g, CONTEXTS), action(g, CONTINUATIONS)
        torch.testing.assert_close(log_probability(fair, *moved), expected, atol=2e-5, rtol=0)
        # the model itself is far from it
        assert (log_probability(model, *moved) - before).abs().max() > 0.5


@both_orders
@every_architecture
def test_logits_are_the_plain_average_over_the_group(
    language_model, token_action, plain_loop, architecture, order
):
    model, action = language_model(architecture), token_action(order)
    fair = EquiCausalLM.wrap(model, action)
    logits = fair(CONTEXTS).logits
    assert (fair.averaging.run(model, CONTEXTS).head is None) is (architecture == "gemma2")
    torch.testing.assert_close(logits, plain_loop(model, action, CONTEXTS), **CLOSE)
    assert (logits - model(CONTEXTS).logits).abs().max() > 0.5
    for keep in (1, 2, torch.tensor([1, 3])):
        kept = slice(-keep, None) if isinstance(keep, int) else keep
        found = fair(CONTEXTS, logits_to_keep=keep).logits
        torch.testing.assert_close(found, logits[:, kept], **CLOSE)


@both_orders
def test_logits_are_those_of_the_core(language_model, token_action, order):
    class Logits(nn.Module):
        def __init__(self):
            super().__init__()
            self.model = language_model()

        def forward(self, x):
            return self.model(x).logits

    action = token_action(order)
    core = EquiTuned(Logits(), action, action.on_logits())
    found = EquiCausalLM.wrap(core.module.model, action)(CONTEXTS).logits
    torch.testing.assert_close(found, core(CONTEXTS), **CLOSE)


@both_orders
@every_architecture
def test_the_relaxed_model_leaves_general_words_alone_and_no_others(
    language_model, token_action, architecture, order
):
    model, action = language_model(architecture), token_action(order)
    fair = EquiCausalLM.wrap(model, action, GENERAL)(CONTEXTS).logits
    relaxed = EquiCausalLM.wrap(model, action, GENERAL, relaxed=True)
    found, others = relaxed(CONTEXTS).logits, torch.ones(fair.shape[-1], dtype=torch.bool)
    others[GENERAL] = False
    assert torch.equal(found[..., others], fair[..., others])
    torch.testing.assert_close(found[..., GENERAL], model(CONTEXTS).logits[..., GENERAL], **CLOSE)
    assert (found - fair)[..., GENERAL].abs().max() > 0.1
    # equality and neutral words stay fair
    for g in range(1, order):
        moved = action.on_logits().inverse(g, relaxed(action(g, CONTEXTS)).logits)
        torch.testing.assert_close(moved[..., others], found[..., others], **CLOSE)


def test_general_words_are_averaged_in_the_exactly_fair_model(language_model, token_action):
    model, action = language_model(), token_action(2)
    found = EquiCausalLM.wrap(model, action, GENERAL)(CONTEXTS).logits
    assert torch.equal(found, EquiCausalLM.wrap(model, action)(CONTEXTS).logits)


def test_the_identity_leaves_a_model_as_it_is(language_model):
    model = language_model()
    assert torch.equal(EquiCausalLM.wrap(model)(CONTEXTS).logits, model(CONTEXTS).logits)


@every_architecture
def test_padding_and_batch_size_change_nothing(language_model, token_action, architecture):
    fair = EquiCausalLM.wrap(language_model(architecture), token_action(3))
    alone = [fair(row[None]).logits[0] for row in CONTEXTS]
    torch.testing.assert_close(fair(CONTEXTS).logits, torch.stack(alone), **CLOSE)
    pads = torch.full((4, 3), 5)  # an id that the group moves
    mask = torch.cat([torch.zeros(4, 3), torch.ones(4, 5)], 1).long()
    left = fair(torch.cat([pads, CONTEXTS], 1), attention_mask=mask).logits[:, 3:]
    torch.testing.assert_close(left, torch.stack(alone), **CLOSE)
    right = fair(torch.cat([CONTEXTS, pads], 1), attention_mask=mask.flip(1)).logits[:, :5]
    torch.testing.assert_close(right, torch.stack(alone), **CLOSE)


@every_architecture
def test_cached_logits_are_the_uncached_ones(language_model, token_action, architecture):
    fair = EquiCausalLM.wrap(language_model(architecture), token_action(3))
    x = torch.cat([CONTEXTS, CONTINUATIONS], 1)
    whole = fair(x, use_cache=False)
    assert whole.past_key_values is None
    first = fair(x[:, :5], use_cache=True)
    found, cache = [first.logits], first.past_key_values
    assert cache.layers[0].keys.shape[0] == 3 * len(x)
    for part in (x[:, 5:7], x[:, 7:8], x[:, 8:]):
        step = fair(part, past_key_values=cache, use_cache=True)
        found.append(step.logits)
    torch.testing.assert_close(torch.cat(found, 1), whole.logits, **CLOSE)


def test_positions_count_tokens_and_not_padding():
    mask = torch.tensor([[0, 0, 1, 1], [1, 1, 1, 0]])
    assert positions(mask).tolist() == [[0, 0, 0, 1], [0, 1, 2, 2]]


@pytest.mark.parametrize(
    ("contexts", "rows"),
    [
        ([[3, 4, 20]], 1),  # no element moves any word of it
        ([[3, 5, 20]], 2),
        ([[3, 5, 20], [3, 6, 20]], 2),  # each is the other's image
        ([[3, 5, 20], [3, 6, 20], [3, 5, 20], [3, 4, 20]], 3),
    ],
)
def test_equal_rows_are_computed_once(
    language_model, token_action, plain_loop, rows_seen, contexts, rows
):
    fair, x = EquiCausalLM.wrap(language_model(), token_action(2)), torch.tensor(contexts)
    expected = plain_loop(fair.model, fair.action, x)
    fair(x)  # the first pass looks at the model, too
    seen = rows_seen(fair.model)
    torch.testing.assert_close(fair(x).logits, expected, **CLOSE)
    assert seen == [rows]


def test_rows_that_differ_in_their_padding_are_not_one(language_model, token_action):
    fair = EquiCausalLM.wrap(language_model(), token_action(2))
    x, mask = CONTEXTS[:1].repeat(2, 1), torch.tensor([[1, 1, 1, 1, 1], [0, 0, 1, 1, 1]])
    both = fair(x, attention_mask=mask).logits
    alone = fair(x[1:], attention_mask=mask[1:]).logits
    torch.testing.assert_close(both[1:, 2:], alone[:, 2:], **CLOSE)
    assert (both[0] - both[1]).abs().max() > 0.5


def test_in_training_each_copy_has_a_dropout_mask_of_its_own(
    language_model, token_action, rows_seen
):
    fair = EquiCausalLM.wrap(language_model(), token_action(2)).train()
    fair(CONTEXTS)
    seen = rows_seen(fair.model)
    fair(CONTEXTS)
    assert seen == [8]


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_wrapping_leaves_the_model_as_it_was(language_model, token_action, attention):
    model = language_model(attn_implementation=attention)
    before = {key: x.clone() for key, x in model.state_dict().items()}
    fair = EquiCausalLM.wrap(model, token_action(2), GENERAL, relaxed=True)
    assert fair.model is model
    assert model.config._attn_implementation == attention
    assert not fair.training
    assert EquiCausalLM.wrap(model.train()).training
    after = model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_what_cannot_be_wrapped_is_one_line(language_model, token_action):
    model, action = language_model(), token_action(2)
    wrong = AxisPermutation(CyclicGroup(1), torch.arange(40)[None])
    with pytest.raises(TypeError, match="expected a TokenPermutation of token ids"):
        EquiCausalLM.wrap(model, wrong)
    cases = [
        (token_action(2, size=41), {}, "permutes 41 ids, the model has 40: build it"),
        (action, {"general": [8, 5]}, "general word 5 is moved by the group"),
        (action, {"general": [40]}, "general word 40 is outside the vocabulary of 40"),
        (action, {"general": [-1]}, "general word -1 is outside the vocabulary of 40"),
        (action, {"relaxed": True}, "relaxed=True without general words"),
    ]
    for moved, options, message in cases:
        with pytest.raises(ValueError, match=message) as error:
            EquiCausalLM.wrap(model, moved, **options)
        assert "\n" not in str(error.value)


def test_a_configuration_of_another_action_is_one_line(language_model):
    model = language_model()
    wrong = AxisPermutation(CyclicGroup(1), torch.arange(40)[None]).config()
    config = EquiCausalLMConfig(text_config=model.config, action=wrong)
    with pytest.raises(ValueError, match="describes no TokenPermutation"):
        EquiCausalLM(config, model)


def test_embeddings_cannot_be_permuted(language_model, token_action):
    fair = EquiCausalLM.wrap(language_model(), token_action(2))
    with pytest.raises(ValueError, match="needs input_ids"):
        fair(inputs_embeds=torch.zeros(1, 2, 16))
