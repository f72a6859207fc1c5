"""The frame of EquiCausalLM is exact, causal, one row per sequence, and as it is defined."""

import copy

import pytest
import torch
from transformers import DynamicCache

from equitune.actions import TokenPermutation
from equitune.groups import CyclicGroup, ProductGroup, SymmetricGroup
from equitune.language.models import EquiCausalLM
from equitune.language.sampling import Choice, sample

CONTEXTS = torch.tensor(
    [[3, 5, 13, 8, 20], [13, 6, 3, 8, 20], [11, 14, 9, 5, 30], [12, 17, 22, 24, 25]]
)


def symmetric(vocabulary=40):
    """The symmetric group of three, not abelian: on itself (ids 6 to 11), on its swaps (3 to 5)."""
    group = SymmetricGroup(3)
    elements, rows = list(group.elements), torch.arange(vocabulary).repeat(group.order, 1)
    swaps = [h for h in elements if h != group.identity and group.inverse(h) == h]
    for g in elements:
        rows[g, 6:12] = 6 + torch.tensor([group.multiply(g, h) for h in elements])
        images = [group.multiply(group.multiply(g, h), group.inverse(g)) for h in swaps]
        rows[g, 3:6] = 3 + torch.tensor([swaps.index(h) for h in images])
    return TokenPermutation(group, rows)


def pair(vocabulary=40):
    """Two factors of order 2: one swaps 3 and 4, 5 and 6, the other 8 and 9."""
    one = torch.arange(vocabulary)
    first, second = one.clone(), one.clone()
    first[[3, 4, 5, 6]] = torch.tensor([4, 3, 6, 5])
    second[[8, 9]] = torch.tensor([9, 8])
    rows = torch.stack([one, second, first, first[second]])
    return TokenPermutation(ProductGroup(CyclicGroup(2), CyclicGroup(2)), rows)


@pytest.fixture(params=["cyclic", "symmetric", "pair"])
def action(request, token_action):
    return {"cyclic": lambda: token_action(3), "symmetric": symmetric, "pair": pair}[
        request.param
    ]()


def by_the_loop(model, action, ids):
    """Of every prefix: the mean of g⁻¹ l(gx) over the g for which gx comes first."""
    positions = []
    for end in range(1, len(ids) + 1):
        prefix = ids[:end]
        images = [action(g, prefix) for g in action.group.elements]
        least = min(tuple(image.tolist()) for image in images)
        chosen = [g for g in action.group.elements if tuple(images[g].tolist()) == least]
        logits = [model(images[g][None]).logits[0, -1] for g in chosen]
        moved = [row[action.permutations[g]] for g, row in zip(chosen, logits, strict=True)]
        positions.append(torch.stack(moved).mean(0))
    return torch.stack(positions)


@pytest.fixture
def plain(language_model):
    return language_model("gpt2").double()


def test_logits_are_the_mean_over_the_elements_that_each_prefix_leaves(plain, action):
    framed = EquiCausalLM.wrap(plain, action, combine="frame")
    with torch.no_grad():
        found = framed(CONTEXTS).logits
        for ids, logits in zip(CONTEXTS, found, strict=True):
            torch.testing.assert_close(logits, by_the_loop(plain, action, ids), atol=1e-12, rtol=0)


def test_moved_contexts_have_moved_logits(plain, action):
    framed = EquiCausalLM.wrap(plain, action, combine="frame")
    with torch.no_grad():
        logits = framed(CONTEXTS).logits
        for g in action.group.elements:
            moved = framed(action(g, CONTEXTS)).logits
            back = moved[..., action.permutations[g]]
            torch.testing.assert_close(back, logits, atol=1e-12, rtol=0)
        before = plain(CONTEXTS).logits
    assert (logits - before).abs().max() > 0.1


def test_what_follows_changes_nothing_before_it(plain, action):
    framed = EquiCausalLM.wrap(plain, action, combine="frame")
    other = CONTEXTS.clone()
    other[:, 3:] = torch.tensor([3, 6])
    with torch.no_grad():
        one, two = framed(CONTEXTS).logits, framed(other).logits
    torch.testing.assert_close(one[:, :3], two[:, :3], atol=1e-12, rtol=0)


def test_the_model_sees_one_row_for_each_sequence(plain, action):
    framed, rows = EquiCausalLM.wrap(plain, action, combine="frame"), []
    plain.transformer.register_forward_pre_hook(
        lambda module, args, kwargs: rows.append(len(args[0] if args else kwargs["input_ids"])),
        with_kwargs=True,
    )
    framed(CONTEXTS)
    assert rows[-1] == len(CONTEXTS)


def test_the_cache_gives_the_logits_of_the_whole_and_survives_a_crop(plain, action):
    framed = EquiCausalLM.wrap(plain, action, combine="frame")
    with torch.no_grad():
        whole = framed(CONTEXTS).logits
        first = framed(CONTEXTS[:, :2], use_cache=True)
        cache, parts = first.past_key_values, [first.logits]
        for place in range(2, CONTEXTS.shape[1]):
            parts.append(framed(CONTEXTS[:, place, None], past_key_values=cache).logits)
        torch.testing.assert_close(torch.cat(parts, 1), whole, atol=1e-12, rtol=0)
        cache.crop(-2)
        again = framed(CONTEXTS[:, 3:], past_key_values=cache).logits
    torch.testing.assert_close(again, whole[:, 3:], atol=1e-12, rtol=0)


def test_a_cache_of_another_model_is_refused(plain, action):
    framed = EquiCausalLM.wrap(plain, action, combine="frame")
    cache = DynamicCache()
    plain(CONTEXTS, past_key_values=cache, use_cache=True)
    with pytest.raises(ValueError, match="do not say which copy each of 4 sequences has chosen"):
        framed(CONTEXTS[:, :1], past_key_values=cache)


def test_padding_decides_nothing(plain, token_action):
    action = token_action(3)
    framed = EquiCausalLM.wrap(plain, action, combine="frame")
    word = int(framed.averaging.moved.array[0])  # a moved word as padding
    padded = torch.cat([torch.full((4, 2), word), CONTEXTS], 1)
    mask = torch.ones_like(padded)
    mask[:, :2] = 0
    with torch.no_grad():
        found = framed(padded, attention_mask=mask).logits[:, 2:]
        torch.testing.assert_close(found, framed(CONTEXTS).logits, atol=1e-10, rtol=0)


@pytest.mark.parametrize("search", [{}, {"num_beams": 3}], ids=["greedy", "beams"])
def test_generation_is_moved_as_the_prompt_is(plain, action, search):
    framed = EquiCausalLM.wrap(plain, action, combine="frame")
    options = {"max_new_tokens": 6, "do_sample": False, "pad_token_id": 0, **search}
    ones = torch.ones_like(CONTEXTS)
    with torch.no_grad():
        texts = framed.generate(CONTEXTS, attention_mask=ones, **options)
        slow = framed.generate(CONTEXTS, attention_mask=ones, use_cache=False, **options)
        assert torch.equal(texts, slow)
        g = action.group.order - 1
        moved = framed.generate(action(g, CONTEXTS), attention_mask=ones, **options)
    assert torch.equal(moved, action(g, texts))


def test_the_fast_sampler_gives_what_one_sample_alone_gives(plain, action):
    framed = EquiCausalLM.wrap(plain, action, combine="frame")
    prompts = [row.tolist() for row in (*CONTEXTS, *action(1, CONTEXTS), CONTEXTS[0, :2])]
    seeds = [*range(4), *range(4), 9]
    together = sample(framed, prompts, seeds, 5, Choice(1.0, 0, 1.0))
    alone = [
        sample(framed, [p], [s], 5, Choice(1.0, 0, 1.0))[0]
        for p, s in zip(prompts, seeds, strict=True)
    ]
    assert together == alone
    for row, moved in zip(together[:4], together[4:8], strict=True):
        assert moved == action(1, torch.tensor(row)).tolist()


def test_gradients_are_those_of_the_loop(plain, action):
    framed = EquiCausalLM.wrap(plain, action, combine="frame").train(False)
    framed(CONTEXTS[:1]).logits.square().mean().backward()
    found = plain.transformer.wte.weight.grad.clone()
    plain.zero_grad()
    by_the_loop(plain, action, CONTEXTS[0]).square().mean().backward()
    torch.testing.assert_close(found, plain.transformer.wte.weight.grad, atol=1e-12, rtol=1e-9)


def test_it_comes_back_from_a_folder(plain, action, tmp_path):
    framed = EquiCausalLM.wrap(plain, action, combine="frame")
    framed.save_pretrained(tmp_path)
    again = EquiCausalLM.from_pretrained(tmp_path, dtype=torch.float64).eval()
    assert again.frame is not None
    with torch.no_grad():
        assert torch.equal(again(CONTEXTS).logits, framed(CONTEXTS).logits)


def test_a_relaxed_frame_and_an_unknown_way_are_refused(plain, token_action):
    action = token_action(2)
    for options in ({"relaxed": True, "combine": "frame"}, {"combine": "median"}):
        with pytest.raises(ValueError, match="expected 'mean', or 'frame' without relaxed"):
            EquiCausalLM.wrap(plain, action, [8], **options)


def test_copies_share_nothing_with_the_wrapped_model_but_weights(plain, token_action):
    framed = EquiCausalLM.wrap(plain, token_action(2), combine="frame")
    double = copy.deepcopy(framed)
    with torch.no_grad():
        assert torch.equal(double(CONTEXTS).logits, framed(CONTEXTS).logits)
