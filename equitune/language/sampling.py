"""Many continuations at once, each from random numbers of its own.

Contexts that are equal, among samples and among copies of an orbit, are computed once: samples of
one prompt share its pass through the model, and go on together until they differ. None of this
changes a number but by rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from equitune.compat import extra
from equitune.copies import unique_rows
from equitune.language.averaging import Averaging, OneCopy
from equitune.language.frame import FramedSamples
from equitune.language.models import EquiCausalLM, positions

with extra("language"):
    from transformers import DynamicCache
    from transformers.cache_utils import DynamicLayer


@dataclass(frozen=True)
class Choice:
    """How the next token is chosen.

    Attributes:
        temperature: logits are divided by it; 0: always the most probable token.
        top_k: only this many of the most probable tokens; 0: all.
        top_p: only the most probable tokens that together reach this probability; 1: all.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0

    def __call__(self, logits: Tensor, which: Tensor, uniform: Tensor) -> Tensor:
        """Choose tokens by inverting the distribution function, most probable tokens first.

        Tokens are ranked by probability, not by id, so that the choice moves with the group: the
        same number chooses gv from the moved distribution where it chooses v from the unmoved.

        Args:
            logits: (distributions, vocabulary).
            which: the distribution of each sample, (samples,).
            uniform: a number in [0, 1) for each sample, (samples,).

        Returns:
            Token ids, (samples,).
        """
        if not self.temperature:
            return logits.argmax(-1)[which]
        kept = min(self.top_k, logits.shape[-1]) if self.top_k else logits.shape[-1]
        values, ids = logits.float().topk(kept)  # sorted
        shares = (values / self.temperature).double().softmax(-1)
        if self.top_p < 1:
            before = shares.cumsum(-1) - shares
            shares = shares.masked_fill(before >= self.top_p, 0)
        edges = shares.cumsum(-1)[which]  # (samples, kept)
        aims = uniform[:, None] * edges[:, -1:]
        ranks = (edges <= aims).sum(-1, keepdim=True).clamp(max=kept - 1)
        return ids[which].gather(-1, ranks)[:, 0]


@torch.inference_mode()
def sample(
    model: EquiCausalLM,
    prompts: Sequence[Sequence[int]],
    seeds: Sequence[int],
    new_tokens: int,
    choice: Choice,
    stop: Sequence[int] = (),
    batch_size: int = 512,
    elements: Sequence[int] | None = None,
) -> list[list[int]]:
    """Continue prompts.

    Args:
        model: in evaluation mode; one of the identity group is the wrapped model as it is.
        prompts: token ids of each sample's prompt, not empty; the same may stand there often.
        seeds: one for each sample: it alone decides the sample's random numbers.
        new_tokens: at most this many.
        choice: how tokens are chosen.
        stop: ids that end a continuation; they are not returned.
        batch_size: samples at once; it changes memory and speed only.
        elements: the prompts are moved ones, each by its element of the group, and each is
            continued by that copy alone and not by the mean; see `averaging.OneCopy`.

    Returns:
        The new token ids of each sample.

    Raises:
        ValueError: an empty prompt, or not one seed or element for each.
    """
    if elements is not None and len(elements) != len(prompts):
        raise ValueError(f"{len(prompts)} prompts and {len(elements)} elements: expected as many")
    if len(prompts) != len(seeds):
        raise ValueError(f"{len(prompts)} prompts and {len(seeds)} seeds: expected one for each")
    if empty := [place for place, prompt in enumerate(prompts) if not len(prompt)]:
        raise ValueError(f"prompt {empty[0]} is empty: expected at least one token")
    continued: list[list[int]] = []
    for start in range(0, len(prompts), batch_size):
        part = slice(start, start + batch_size)
        numbers = _uniform(seeds[part], new_tokens)
        own = None if elements is None else elements[part]
        continued += _sample(model, prompts[part], numbers, choice, stop, own)
    return continued


def padded(prompts: Sequence[Sequence[int]], pad: int = 0) -> tuple[Tensor, Tensor]:
    """Return prompts as ids and mask, (prompts, longest), padded on the left."""
    longest = max(map(len, prompts))
    ids = [[pad] * (longest - len(prompt)) + list(prompt) for prompt in prompts]
    mask = [[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts]
    return torch.tensor(ids), torch.tensor(mask)


def _uniform(seeds: Sequence[int], count: int) -> Tensor:
    """Return numbers in [0, 1) for each seed, (seeds, count), whatever other seeds there are."""
    generator = torch.Generator()
    rows = [
        torch.rand(count, generator=generator.manual_seed(seed), dtype=torch.double)
        for seed in seeds
    ]
    return torch.stack(rows) if rows else torch.empty(0, count, dtype=torch.double)


def _sample(
    model: EquiCausalLM,
    prompts: Sequence[Sequence[int]],
    uniform: Tensor,
    choice: Choice,
    stop: Sequence[int],
    elements: Sequence[int] | None,
) -> list[list[int]]:
    """Continue a batch of prompts with numbers (samples, new tokens)."""
    device = model.device
    ids, mask = (x.to(device) for x in padded(prompts))
    combining: Averaging | OneCopy | FramedSamples = model.averaging
    if elements is not None:
        combining = OneCopy(model.averaging, torch.tensor(list(elements), device=device))
    elif model.frame is not None:
        combining = FramedSamples(model.frame, mask)
    uniform, ends = uniform.to(device), torch.tensor(list(stop), device=device, dtype=torch.long)
    chosen: list[list[int]] = [[] for _ in prompts]
    live = torch.arange(len(prompts), device=device)
    # a node is a context that the model sees; node[k, s] is copy k of that of sample s
    contexts = combining.contexts(ids, live)
    copies = len(contexts)
    contexts, mask = contexts.flatten(0, 1), mask.repeat(copies, 1)
    first, node = unique_rows([contexts, mask])
    inputs, mask, node = contexts[first], mask[first], node.view(copies, -1)
    cache = _cache(model, ids.shape[1] + uniform.shape[1])
    for step in range(uniform.shape[1]):
        seen = model.averaging.run(
            model.model,
            inputs,
            attention_mask=mask,
            position_ids=positions(mask)[:, -inputs.shape[1] :],
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        # samples whose copies are all the same
        apart = combining.told_apart_by(live)
        first, which = unique_rows([node.T] if apart is None else [torch.cat([node.T, apart], 1)])
        seeing = node[:, first]
        values = seen.values[seeing]  # (copies, distinct samples, 1, …)
        logits = combining.combine(values, seen.head, live[first], seeing)[:, 0]
        tokens = choice(logits, which, uniform[live, step])
        going = ~torch.isin(tokens, ends)
        live, tokens, node = live[going], tokens[going], node[:, going]
        for place, token in zip(live.tolist(), tokens.tolist(), strict=True):
            chosen[place].append(token)
        if not len(live):
            break
        following = combining.contexts(tokens, live)
        pairs = torch.stack([node.flatten(), following.flatten()], dim=1)
        first, node = unique_rows([pairs])
        parents, inputs = pairs[first, 0], pairs[first, 1:]
        node = node.view(copies, -1)
        if not torch.equal(parents, torch.arange(len(mask), device=device)):
            cache.batch_select_indices(parents)
            mask = mask[parents]
        mask = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=1)
    return chosen


def _cache(model: EquiCausalLM, capacity: int) -> DynamicCache:
    """Return an empty cache of the wrapped model whose plain layers have room for all tokens."""
    cache = DynamicCache(config=model.config.get_text_config(decoder=True))
    cache.layers = [
        _RoomyLayer(capacity) if type(layer) is DynamicLayer else layer for layer in cache.layers
    ]
    return cache


class _RoomyLayer(DynamicLayer):  # type: ignore[misc]
    """Keys and values written into memory that is there already.

    A plain layer copies all it holds for every token, which took a third of the time.
    """

    def __init__(self, capacity: int) -> None:
        super().__init__()
        self.capacity = capacity
        self.rooms: list[Tensor] = []

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Append (rows, heads, new, width) and return all, (rows, heads, positions, width)."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            self.rooms = [self._room(states) for states in (key_states, value_states)]
        begin = self.get_seq_length()
        for room, states in zip(self.rooms, (key_states, value_states), strict=True):
            room[:, :, begin : begin + states.shape[2]] = states
        self.keys, self.values = (room[:, :, : begin + key_states.shape[2]] for room in self.rooms)
        return self.keys, self.values

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keep these rows, each as often as it is named."""
        begin = self.get_seq_length()
        if not begin:
            return
        rooms = []
        for held in (self.keys, self.values):
            room = self._room(held, len(indices))
            torch.index_select(held, 0, indices, out=room[:, :, :begin])
            rooms.append(room)
        self.rooms = rooms
        self.keys, self.values = (room[:, :, :begin] for room in rooms)

    def _room(self, states: Tensor, rows: int | None = None) -> Tensor:
        """Return empty memory for all tokens of rows, by default as many as states has."""
        count, heads, _, width = states.shape
        return states.new_empty(count if rows is None else rows, heads, self.capacity, width)
