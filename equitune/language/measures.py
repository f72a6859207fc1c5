"""Measures of a model's distributions, without sampling: perplexity, distance of demographics."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from equitune.actions import TokenPermutation
from equitune.language.data import IGNORED, pad_rows
from equitune.language.fairness import counterfactual_tv
from equitune.language.models import EquiCausalLM
from equitune.language.sampling import padded

TOKENS = 2048  # at once, as each needs the whole vocabulary's logits


@torch.inference_mode()
def perplexity(model: EquiCausalLM, parts: Sequence[Sequence[int]]) -> float:
    """Return exp of the mean negative log-probability of a text's tokens.

    The first token of each part is given, the others are predicted from those before them.

    Args:
        model: in evaluation mode.
        parts: ids of each block of the text, or of each line.

    Raises:
        ValueError: no part has two tokens, or one exceeds the model's context.
    """
    parts = sorted((part for part in parts if len(part) > 1), key=len)
    if not parts:
        raise ValueError("the text has fewer than two tokens: perplexity needs two or more")
    longest = len(parts[-1])
    context = getattr(model.config.get_text_config(), "max_position_embeddings", None) or longest
    if longest > context:
        raise ValueError(
            f"a block of {longest} tokens exceeds the model's context of {context}: set block"
        )
    total, count = 0.0, 0
    at_once = max(1, TOKENS // longest)
    for start in range(0, len(parts), at_once):
        ids, labels, _ = pad_rows(parts[start : start + at_once], pad=0)
        targets = labels[:, 1:].flatten().to(model.device)
        # on the right, where no other token sees it, padding needs no mask
        logits = model(ids.to(model.device), use_cache=False).logits[:, :-1].float().flatten(0, 1)
        total += float(
            F.cross_entropy(logits, targets, ignore_index=IGNORED, reduction="sum").double()
        )
        count += int((targets != IGNORED).sum())
    return math.exp(total / count)


@torch.inference_mode()
def next_probabilities(model: EquiCausalLM, prompts: Sequence[Sequence[int]]) -> Tensor:
    """Return P(next token | prompt) for each prompt, (prompts, vocabulary), in float64."""
    ids, mask = (x.to(model.device) for x in padded(prompts))
    logits: Tensor = model(ids, attention_mask=mask, logits_to_keep=1, use_cache=False).logits[
        :, -1
    ]
    return logits.double().softmax(-1)


def prompt_tv(
    model: EquiCausalLM, action: TokenPermutation, prompts: Sequence[Sequence[int]]
) -> float:
    """Return `counterfactual_tv` of a model's next token on prompts; of a fair model it is 0.

    Args:
        model: in evaluation mode.
        action: how the group moves token ids; a plain model has the identity as its own.
        prompts: ids of each prompt.
    """
    asked = [torch.tensor(prompt) for prompt in prompts]
    moved = [[action(g, x).tolist() for x in asked] for g in action.group.elements]
    probabilities = torch.stack([next_probabilities(model, copies) for copies in moved])
    return counterfactual_tv(probabilities.cpu(), action.on_logits())
