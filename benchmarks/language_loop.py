"""Fair generation written the way of the published research code, for comparison.

One sentence at a time; no key-value cache; every copy of the context by itself, all positions'
logits; the group as dictionaries of the whole vocabulary, by which contexts and logits are moved.
Only the order of work is taken over (and the model is loaded once, not for every sentence).
"""

from collections.abc import Sequence
from operator import itemgetter
from typing import Any

import torch
from torch import Tensor


class PaperLoop:
    """A model, and the group as dictionaries of token ids, one for each element.

    Args:
        model: a causal language model of transformers.
        elements: for each element, what it makes of every id.
    """

    def __init__(self, model: Any, elements: Sequence[dict[int, int]]) -> None:
        self.model = model
        self.elements = elements

    def logits(self, context: Tensor) -> Tensor:
        """The averaged logits of all positions: (1, positions) ids to (1, positions, V)."""
        ids = context[0].tolist()
        moved = [torch.tensor([itemgetter(*ids)(element)]) for element in self.elements]
        outputs = torch.stack([self.model(input_ids=copy).logits for copy in moved])
        return self.moved_back(outputs).mean(0)

    def moved_back(self, outputs: Tensor) -> Tensor:
        """Each copy's logits with its element undone, (|G|, 1, positions, V)."""
        back = outputs.clone()
        for place, element in enumerate(self.elements):
            images = [element[token] for token in range(len(element))]
            back[place] = outputs[place][:, :, images]
        return back

    @torch.no_grad()
    def generate(self, prompt: Sequence[int], new_tokens: int, top_k: int) -> list[int]:
        """Continue one sentence by sampling from the most probable tokens."""
        ids = torch.tensor([list(prompt)])
        for _ in range(new_tokens):
            values, tokens = self.logits(ids)[0, -1].topk(top_k)
            choice = tokens[torch.multinomial(values.softmax(-1), 1)]
            ids = torch.cat([ids, choice[None]], dim=1)
        return ids[0, len(prompt) :].tolist()
