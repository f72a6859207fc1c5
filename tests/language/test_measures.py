"""Perplexity and next tokens' probabilities are those of a computation by hand, part by part."""

import math

import pytest
import torch

from equitune.language import measures
from equitune.language.measures import next_probabilities, perplexity
from equitune.language.models import EquiCausalLM

PARTS = [[3, 5, 13, 8, 20, 6], [11, 14], [2, 17, 8, 4], [7], [], [10, 5, 9]]


@pytest.fixture
def fair_model(language_model, token_action):
    return EquiCausalLM.wrap(language_model(), token_action(3), [8, 9], relaxed=True)


def test_perplexity_is_that_of_all_predicted_tokens(fair_model, monkeypatch):
    losses = []
    for part in (part for part in PARTS if len(part) > 1):
        chances = fair_model(torch.tensor([part])).logits[0].detach().log_softmax(-1)
        losses += [-float(chances[place, token]) for place, token in enumerate(part[1:])]
    assert len(losses) == 5 + 1 + 3 + 2
    expected = math.exp(sum(losses) / len(losses))
    assert perplexity(fair_model, PARTS) == pytest.approx(expected, rel=1e-5)
    monkeypatch.setattr(measures, "TOKENS", 1)  # part by part: padding changes nothing
    assert perplexity(fair_model, PARTS) == pytest.approx(expected, rel=1e-5)


def test_perplexity_of_the_model_as_it_is_is_its_own_loss(language_model):
    model, part = language_model(), PARTS[0]
    logits = model(torch.tensor([part])).logits.detach()
    loss = torch.nn.functional.cross_entropy(logits[0, :-1], torch.tensor(part[1:]))
    found = perplexity(EquiCausalLM.wrap(model), [part])
    assert found == pytest.approx(math.exp(loss), rel=1e-5)


def test_a_fair_model_finds_moved_texts_as_surprising(language_model, token_action):
    action = token_action(2)
    fair = EquiCausalLM.wrap(language_model(), action)
    parts = [part for part in PARTS if part]
    moved = [action(1, torch.tensor(part)).tolist() for part in parts]
    assert perplexity(fair, moved) == pytest.approx(perplexity(fair, parts), rel=1e-5)
    plain = EquiCausalLM.wrap(fair.model)
    assert perplexity(plain, moved) != pytest.approx(perplexity(plain, parts), rel=1e-2)


def test_what_has_no_perplexity_is_one_line(fair_model):
    with pytest.raises(ValueError, match="fewer than two tokens"):
        perplexity(fair_model, [[3], []])
    # 32 tokens are what the model can see
    assert perplexity(fair_model, [[3] * 32]) > 1
    with pytest.raises(ValueError, match="33 tokens exceeds the model's context of 32: set block"):
        perplexity(fair_model, [[3] * 33])


def test_next_probabilities_sum_to_one_whatever_stands_beside_them(fair_model):
    prompts = [part for part in PARTS if part]
    found = next_probabilities(fair_model, prompts)
    assert found.dtype == torch.double
    torch.testing.assert_close(found.sum(-1), torch.ones(len(prompts)).double())
    for row, prompt in zip(found, prompts, strict=True):
        expected = fair_model(torch.tensor([prompt])).logits[0, -1].double().softmax(-1)
        torch.testing.assert_close(row, expected, atol=1e-6, rtol=1e-4)
        alone = next_probabilities(fair_model, [prompt])[0]
        torch.testing.assert_close(row, alone, atol=1e-6, rtol=1e-4)
