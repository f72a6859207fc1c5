"""`generate` as transformers has it: searches, samples, caches, padding; images under the group."""

import pytest
import torch
from torch.nn import functional as F

from equitune.language.models import EquiCausalLM

# one word of each tuple and neutral ones; so no context is its own image
CONTEXTS = torch.tensor([[3, 5, 13, 8], [3, 6, 13, 8], [11, 14, 9, 5], [2, 10, 8, 4]])
ONES = torch.ones_like(CONTEXTS)
SEARCHES = {
    "greedy": {},
    "beams": {"num_beams": 3},
    "several of the beams": {"num_beams": 4, "num_return_sequences": 3},
}
both_orders = pytest.mark.parametrize("order", [2, 3])
every_search = pytest.mark.parametrize("search", SEARCHES)
every_architecture = pytest.mark.parametrize("architecture", ["gpt2", "llama", "gemma2"])


@pytest.fixture
def fair_model(language_model, token_action):
    """A function that returns a fair model, which does not end a text early."""

    def make(order, architecture="gpt2", **options):
        return EquiCausalLM.wrap(
            language_model(architecture, seed=1), token_action(order), **options
        )

    return make


def generate(model, x=CONTEXTS, mask=ONES, **options):
    """New tokens only, (rows, 6)."""
    options = {"max_new_tokens": 6, "min_new_tokens": 6, "do_sample": False, **options}
    return model.generate(x, attention_mask=mask, **options)[:, x.shape[1] :]


@every_search
@both_orders
@every_architecture
def test_what_a_search_finds_moves_with_the_context(fair_model, architecture, order, search):
    fair = fair_model(order, architecture)
    found = generate(fair, **SEARCHES[search])
    assert len(found.unique(dim=0)) > 2  # otherwise the test would see little
    assert not torch.equal(fair.action(1, found), found)
    for g in range(1, order):
        moved = generate(fair, fair.action(g, CONTEXTS), **SEARCHES[search])
        assert torch.equal(moved, fair.action(g, found))


@every_search
@both_orders
@every_architecture
def test_caches_change_nothing(fair_model, architecture, order, search):
    fair, options = fair_model(order, architecture), SEARCHES[search]
    found = generate(fair, **options)
    assert torch.equal(generate(fair, use_cache=False, **options), found)
    if search != "several of the beams":
        assert torch.equal(generate(fair, cache_implementation="static", **options), found)


def test_greedy_takes_the_most_probable_token_of_the_whole_context(fair_model):
    fair = fair_model(3)
    found = generate(fair)
    logits = fair(torch.cat([CONTEXTS, found], 1)).logits[:, 3:-1].clone()
    logits[..., 1] = -torch.inf  # the end, which min_new_tokens forbids
    assert torch.equal(logits.argmax(-1), found)


@both_orders
def test_beams_find_what_an_exhaustive_search_finds(fair_model, order):
    """With as many beams as there are pairs of tokens nothing is dropped on the way."""
    fair = fair_model(order)
    size = fair.config.get_text_config().vocab_size
    options = {"max_new_tokens": 2, "min_new_tokens": 2, "num_beams": size}
    found = generate(fair, CONTEXTS[:1], ONES[:1], **options)
    pairs = torch.cartesian_prod(torch.arange(size), torch.arange(size))
    pairs = pairs[(pairs != 1).all(1)]
    contexts = CONTEXTS[:1].expand(len(pairs), -1)
    logits = fair(torch.cat([contexts, pairs[:, :1]], 1)).logits[:, -2:]
    logits[..., 1] = -torch.inf
    scores = logits.log_softmax(-1).gather(-1, pairs[..., None]).sum((-1, -2))
    assert torch.equal(found[0], pairs[scores.argmax()])


@every_search
@every_architecture
def test_padding_and_batch_size_change_nothing(fair_model, architecture, search):
    fair, options = fair_model(3, architecture), SEARCHES[search]
    copies = options.get("num_return_sequences", 1)
    contexts = [row[start:] for row, start in zip(CONTEXTS, (0, 1, 2, 0), strict=True)]
    alone = [generate(fair, x[None], torch.ones(1, len(x)).long(), **options) for x in contexts]
    # padded by an id that the group moves
    x = torch.stack([F.pad(x, (6 - len(x), 0), value=5) for x in contexts])
    mask = torch.stack([F.pad(torch.ones_like(x), (6 - len(x), 0)) for x in contexts])
    found = generate(fair, x, mask, **options)
    assert found.shape == (4 * copies, 6)
    assert torch.equal(found, torch.cat(alone))


@both_orders
def test_samples_have_the_probabilities_of_the_model(fair_model, order):
    fair, draws = fair_model(order), 4000
    expected = fair(CONTEXTS[:1]).logits[0, -1].softmax(-1)
    torch.manual_seed(0)
    found = fair.generate(
        CONTEXTS[:1],
        attention_mask=ONES[:1],
        max_new_tokens=1,
        do_sample=True,
        top_k=0,
        num_return_sequences=draws,
    )[:, -1]
    shares = torch.bincount(found, minlength=len(expected)) / draws
    # 0.03 on average for 40 equal probabilities, less for others
    assert 0.5 * (shares - expected).abs().sum() < 0.05


@pytest.mark.parametrize("options", [{"top_k": 4}, {"top_k": 0, "top_p": 0.6}])
def test_samples_stay_among_the_top_and_caches_change_nothing(fair_model, options):
    fair = fair_model(2)
    samples = []
    for cached in (True, False):
        torch.manual_seed(0)
        samples.append(
            generate(fair, do_sample=True, num_return_sequences=3, use_cache=cached, **options)
        )
    found = samples[0]
    assert torch.equal(*samples)
    assert len(found.unique(dim=0)) > 8
    contexts = CONTEXTS.repeat_interleave(3, 0)
    logits = fair(torch.cat([contexts, found], 1)).logits[:, 3:-1].clone()
    logits[..., 1] = -torch.inf
    shares, ids = logits.softmax(-1).sort(descending=True)
    ranks = (ids == found[..., None]).int().argmax(-1)
    before = (shares.cumsum(-1) - shares).gather(-1, ranks[..., None])
    assert ranks.max() > 0
    assert ranks.max() < 4 if "top_p" not in options else before.max() < 0.6


def test_a_text_ends_with_its_end(fair_model):
    fair = fair_model(2)
    end = int(generate(fair)[0, 2])
    found = generate(fair, min_new_tokens=0, eos_token_id=end, pad_token_id=0)[0].tolist()
    stop = found.index(end)
    assert stop <= 2
    assert set(found[stop + 1 :]) <= {0}


def test_the_models_own_settings_of_generation_are_kept(language_model, token_action):
    model = language_model()
    model.generation_config.max_new_tokens = 3
    fair = EquiCausalLM.wrap(model, token_action(2))
    assert fair.generate(CONTEXTS, attention_mask=ONES, eos_token_id=-1).shape[1] == 4 + 3
