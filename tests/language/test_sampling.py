"""Samples have the model's probabilities, move with their prompts, depend on their seeds only."""

import pytest
import torch
from torch import nn
from transformers import DynamicCache, TopPLogitsWarper

from equitune.language import averaging, sampling
from equitune.language.frame import FramedSamples
from equitune.language.models import EquiCausalLM
from equitune.language.sampling import Choice, padded, sample

PROMPTS = [[3, 5, 13, 8], [3, 6, 13, 8], [2, 5, 14], [10, 4, 3, 9, 5]] * 12
SEEDS = list(range(len(PROMPTS)))
CHOICES = [Choice(), Choice(top_k=6), Choice(top_p=0.8), Choice(0.7, 10, 0.9)]
both_orders = pytest.mark.parametrize("order", [2, 3])
every_architecture = pytest.mark.parametrize("architecture", ["gpt2", "llama", "gemma2"])


@pytest.fixture
def fair_model(language_model, token_action):
    """A function that returns a fair model."""

    def make(order=2, architecture="gpt2", **options):
        return EquiCausalLM.wrap(language_model(architecture), token_action(order), **options)

    return make


def moved(action, g, rows):
    return [action(g, torch.tensor(row, dtype=torch.long)).tolist() for row in rows]


@pytest.mark.parametrize("choice", CHOICES, ids=repr)
@both_orders
@every_architecture
def test_with_the_same_seeds_continuations_move_with_their_prompts(
    fair_model, architecture, order, choice
):
    fair = fair_model(order, architecture)
    found = sample(fair, PROMPTS, SEEDS, 8, choice)
    assert len(set(map(tuple, found))) > 30
    for g in range(1, order):
        images = moved(fair.action, g, found)
        assert images != found
        assert sample(fair, moved(fair.action, g, PROMPTS), SEEDS, 8, choice) == images


def test_the_model_as_it_is_does_not_do_so(fair_model):
    action, plain = fair_model().action, EquiCausalLM.wrap(fair_model().model)
    found = sample(plain, PROMPTS, SEEDS, 8, Choice())
    assert sample(plain, moved(action, 1, PROMPTS), SEEDS, 8, Choice()) != moved(action, 1, found)


@every_architecture
def test_other_prompts_and_the_batch_size_change_nothing(fair_model, architecture):
    """Shorter prompts are padded on the left where longer ones stand beside them."""
    fair = fair_model(3, architecture, general=[8, 9], relaxed=True)
    found = sample(fair, PROMPTS, SEEDS, 8, Choice(top_k=20), [7])
    pairs = list(zip(PROMPTS, SEEDS, strict=True))
    alone = [sample(fair, [prompt], [seed], 8, Choice(top_k=20), [7])[0] for prompt, seed in pairs]
    assert found == alone
    assert found == sample(fair, PROMPTS, SEEDS, 8, Choice(top_k=20), [7], batch_size=7)
    back = sample(fair, PROMPTS[::-1], SEEDS[::-1], 8, Choice(top_k=20), [7])
    assert found == back[::-1]


@both_orders
def test_a_copy_alone_is_the_model_as_it_is_behind_the_moved_prompt(fair_model, order):
    fair = fair_model(order)
    elements = [place % order for place in range(len(PROMPTS))]
    plain = sample(EquiCausalLM.wrap(fair.model), PROMPTS, SEEDS, 8, Choice(top_k=20), [7])
    found = sample(fair, PROMPTS, SEEDS, 8, Choice(top_k=20), [7], elements=elements)
    assert found == plain


def test_a_longer_text_begins_as_the_shorter_one(fair_model):
    short, long = (sample(fair_model(), PROMPTS, SEEDS, n, Choice()) for n in (3, 6))
    assert [row[:3] for row in long] == short


def test_seeds_decide(fair_model):
    first, second, other = (
        sample(fair_model(), PROMPTS, seeds, 8, Choice()) for seeds in (SEEDS, SEEDS, SEEDS[::-1])
    )
    assert first == second != other


@both_orders
@every_architecture
def test_without_temperature_it_is_the_greedy_search(fair_model, architecture, order):
    fair = fair_model(order, architecture)
    found = sample(fair, PROMPTS[:4], SEEDS[:4], 10, Choice(temperature=0))
    ids, mask = padded(PROMPTS[:4])
    settings = {"max_new_tokens": 10, "min_new_tokens": 10, "do_sample": False, "eos_token_id": -1}
    expected = fair.generate(ids, attention_mask=mask, **settings)
    assert found == expected[:, ids.shape[1] :].tolist()


@pytest.mark.parametrize("choice", [Choice(), Choice(0.8, 8), Choice(1.0, 0, 0.7)], ids=repr)
def test_frequencies_are_the_models_probabilities(fair_model, choice):
    """Chi-square over pairs of tokens, the second given the first."""
    fair, draws = fair_model(order=3), 4000
    found = torch.tensor(sample(fair, [[3, 5, 13]] * draws, range(draws), 2, choice))
    firsts, counts = found[:, 0].unique(return_counts=True)
    cases = [(torch.tensor([[3, 5, 13]]), found[:, 0])]
    cases += [
        (torch.tensor([[3, 5, 13, int(first)]]), found[found[:, 0] == first, 1])
        for first in firsts[counts.argsort(descending=True)[:3]]
    ]
    for context, tokens in cases:
        logits = fair(context).logits[0, -1].double() / choice.temperature
        shares, ids = logits.softmax(-1).sort(descending=True)
        if choice.top_k:
            shares[choice.top_k :] = 0
        shares[shares.cumsum(-1) - shares >= choice.top_p] = 0
        expected = torch.zeros_like(shares).scatter(0, ids, shares / shares.sum()) * len(tokens)
        observed = torch.bincount(tokens, minlength=len(expected)).double()
        assert observed[expected == 0].sum() == 0
        often = expected >= 5
        statistic = ((observed - expected)[often] ** 2 / expected[often]).sum()
        freedom = int(often.sum()) - 1
        assert freedom >= 2
        assert statistic < freedom + 4 * (2 * freedom) ** 0.5  # four standard deviations


@pytest.mark.parametrize(
    ("choice", "kept"),
    [
        (Choice(), {0, 1, 2, 3}),
        (Choice(top_k=2), {2, 0}),
        (Choice(top_k=9), {0, 1, 2, 3}),
        (Choice(top_p=0.49), {2}),  # reached by the first alone
        (Choice(top_p=0.51), {2, 0}),
        (Choice(top_p=0.9), {2, 0, 3}),
        (Choice(top_k=3, top_p=0.99), {2, 0, 3}),
        (Choice(temperature=0), {2}),
    ],
    ids=[
        "all",
        "top 2",
        "top 9 of 4",
        "top 0.49",
        "top 0.51",
        "top 0.9",
        "top 3 and top 0.99",
        "no temperature",
    ],
)
def test_the_kept_tokens_are_the_most_probable_ones(choice, kept):
    logits = torch.tensor([[0.25, 0.0625, 0.5, 0.1875]]).log()
    uniform = torch.linspace(0, 1, 201, dtype=torch.double)[:-1]
    found = choice(logits, torch.zeros(200, dtype=torch.long), uniform)
    assert set(found.tolist()) == kept


def test_top_p_keeps_what_that_of_transformers_keeps():
    torch.manual_seed(0)
    logits, uniform = 3 * torch.randn(20, 30), torch.linspace(0, 1, 5001, dtype=torch.double)[:-1]
    for row in logits:
        found = Choice(top_p=0.8)(row[None], torch.zeros(5000, dtype=torch.long), uniform)
        assert torch.equal(
            found.unique(), TopPLogitsWarper(0.8)(None, row[None])[0].isfinite().nonzero()[:, 0]
        )


def test_each_sample_chooses_from_its_own_distribution():
    logits = torch.tensor([[9.0, 0, 0], [0, 0, 9.0]]) * 9
    assert Choice()(logits, torch.tensor([1, 0, 1]), torch.rand(3)).tolist() == [2, 0, 2]


def test_texts_end_before_their_stop(fair_model):
    whole = sample(fair_model(), PROMPTS, SEEDS, 8, Choice())
    stop = [whole[0][3], whole[1][0]]
    expected = []
    for row in whole:
        places = [place for place, token in enumerate(row) if token in stop]
        expected.append(row[: places[0]] if places else row)
    assert expected[1] == []
    assert {len(row) for row in expected} >= {0, 8}
    assert sample(fair_model(), PROMPTS, SEEDS, 8, Choice(), stop) == expected


def test_prompts_and_copies_that_are_equal_are_computed_once(fair_model, rows_seen):
    fair = fair_model()
    sample(fair, PROMPTS[:1], [0], 1, Choice())  # the first pass looks at the model, too
    man, woman, seeds = [[3, 5, 13]] * 20, [[3, 6, 13]] * 20, list(range(20))
    seen, passes = rows_seen(fair.model), []
    for prompts, numbers in (
        (man, seeds),
        (man + woman, seeds * 2),
        (man + woman, range(40)),
        ([[3, 4, 13]] * 20, seeds),
    ):
        seen.clear()
        sample(fair, prompts, numbers, 8, Choice())
        passes.append(seen.copy())
    alone, shared, own, unmoved = passes
    assert alone[0] == shared[0] == own[0] == 2
    assert shared == alone  # the other demographic's orbits are the same
    assert sum(own) > 1.5 * sum(alone)
    assert unmoved[0] == 1
    assert max(alone) <= 40


def test_samples_that_stand_together_share_their_logits(fair_model, monkeypatch):
    fair, rows = fair_model(), []
    combine = fair.averaging.combine

    def counted(values, head, samples, contexts):
        rows.append(values.shape[1])
        return combine(values, head, samples, contexts)

    monkeypatch.setattr(fair.averaging, "combine", counted)
    found = sample(fair, PROMPTS[:2] * 20, range(40), 2, Choice())
    contexts = {(place % 2, tokens[0]) for place, tokens in enumerate(found)}
    assert rows == [2, len(contexts)]


@pytest.mark.parametrize(
    ("order", "options", "saved"),
    [
        pytest.param(2, {}, 2, id="mean"),
        pytest.param(2, {"combine": "frame"}, 2, id="frame"),
        pytest.param(2, {"general": [8, 9], "relaxed": True}, 1.01, id="relaxed"),
        pytest.param(3, {}, 1, id="mean of three"),
        pytest.param(3, {"combine": "frame"}, 3, id="frame of three"),
    ],
)
def test_images_of_one_another_pass_the_head_once_and_are_the_same_texts(
    fair_model, monkeypatch, order, options, saved
):
    fair, rows = fair_model(order, **options), []
    forward = nn.Linear.forward

    def counted(self, states):
        rows.append(len(states) if self.out_features == fair.config.vocab_size else 0)
        return forward(self, states)

    prompts = [[3, 5 + g, 13] for g in range(order) for _ in range(40)]  # 40 texts and their images
    found, passed = [], []
    sample(fair, prompts[:1], [0], 1, Choice())  # the first pass looks at the model, too
    monkeypatch.setattr(nn.Linear, "forward", counted)
    for few in (len(prompts), 1):
        monkeypatch.setattr(averaging, "FEW_ROWS", few)
        rows.clear()
        found.append(sample(fair, prompts, [*range(40)] * order, 8, Choice()))
        passed.append(sum(rows))
    assert found[0] == found[1]
    assert len(set(map(tuple, found[0]))) > 40
    assert passed[0] >= saved * passed[1] > 0, passed
    assert (passed[0] == passed[1]) == (saved == 1)


def test_the_mean_of_two_copies_is_the_same_in_either_order(fair_model):
    """Bit by bit, so that what is shared is what each would have by itself."""
    fair = fair_model()
    values, head = torch.randn(2, 40, 1, 16), fair.model.lm_head
    contexts = torch.arange(80).view(2, 40)
    pairs = torch.cat([values, values.flip(0)], 1), torch.cat([contexts, contexts.flip(0)], 1)
    alone = fair.averaging.combine(pairs[0], head)
    assert torch.equal(fair.averaging.combine(pairs[0], head, None, pairs[1]), alone)


def test_one_copy_shares_with_its_own_context_alone(fair_model):
    """Not with the image whose two copies are the same ones in the other order."""
    fair = fair_model(general=[8, 9], relaxed=True)
    values, contexts = torch.randn(2, 40, 1, 16), torch.arange(80).view(2, 40)
    values = torch.cat([values, values.flip(0)], 1)
    contexts = torch.cat([contexts, contexts.flip(0)], 1)
    combining = averaging.OneCopy(fair.averaging, torch.ones(80, dtype=torch.long))
    alone = combining.combine(values, fair.model.lm_head)
    assert torch.equal(combining.combine(values, fair.model.lm_head, None, contexts), alone)


@pytest.mark.parametrize("frame", [False, True], ids=["one copy", "frame"])
def test_logits_of_a_model_without_a_linear_head_are_left_as_they_are(fair_model, frame):
    fair = fair_model(combine="frame") if frame else fair_model(general=[8, 9], relaxed=True)
    values = torch.randn(1 if frame else 2, 4, 1, fair.config.vocab_size)
    kept, all_samples = values, torch.arange(4)
    combining = (
        FramedSamples(fair.frame, torch.ones(4, 1))
        if frame
        else averaging.OneCopy(fair.averaging, torch.ones(4, dtype=torch.long))
    )
    with torch.inference_mode():  # where logits that a head has made are written to
        values = values.clone()
        logits = combining.combine(values, None, all_samples, torch.arange(4)[None])
    assert not torch.equal(logits, kept[0])
    assert torch.equal(values, kept)


@every_architecture
def test_a_roomy_cache_is_a_plain_one(fair_model, monkeypatch, architecture):
    fair = fair_model(3, architecture)
    found = sample(fair, PROMPTS, SEEDS, 8, Choice())
    layers = sampling._cache(fair.model, 12).layers
    assert sum(type(layer) is sampling._RoomyLayer for layer in layers) == (
        1 if architecture == "gemma2" else 2
    )
    monkeypatch.setattr(sampling, "_cache", lambda model, _: DynamicCache(config=model.config))
    assert sample(fair, PROMPTS, SEEDS, 8, Choice()) == found


def test_a_roomy_layer_appends_and_selects_rows():
    keys, values = torch.randn(2, 3, 2, 5, 4)  # (rows, heads, positions, width) each
    layer = sampling._RoomyLayer(8)
    layer.batch_select_indices(torch.tensor([1]))  # nothing is there yet
    layer.update(keys[:, :, :4], values[:, :, :4])
    rows = torch.tensor([2, 0, 0, 1])
    layer.batch_select_indices(rows)
    held = layer.update(keys[rows][:, :, 4:], values[rows][:, :, 4:])
    assert layer.get_seq_length() == 5
    assert torch.equal(held[0], keys[rows])
    assert torch.equal(held[1], values[rows])
    # in place, with room for what is to come
    assert layer.rooms[0].shape[2] == 8
    assert held[0].untyped_storage().data_ptr() == layer.rooms[0].untyped_storage().data_ptr()


def test_padding_stands_on_the_left():
    ids, mask = padded([[3, 4, 5], [6]], pad=9)
    assert ids.tolist() == [[3, 4, 5], [9, 9, 6]]
    assert mask.tolist() == [[1, 1, 1], [0, 0, 1]]


def test_no_prompts_have_no_continuations(fair_model):
    assert sample(fair_model(), [], [], 8, Choice()) == []


def test_what_cannot_be_continued_is_one_line(fair_model):
    with pytest.raises(ValueError, match="2 prompts and 1 seeds: expected one for each"):
        sample(fair_model(), PROMPTS[:2], [0], 8, Choice())
    with pytest.raises(ValueError, match="2 prompts and 1 elements: expected as many"):
        sample(fair_model(), PROMPTS[:2], [0, 1], 8, Choice(), elements=[0])
    with pytest.raises(ValueError, match="prompt 1 is empty: expected at least one token"):
        sample(fair_model(), [[3], []], [0, 1], 8, Choice())
