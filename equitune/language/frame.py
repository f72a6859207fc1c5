"""A frame in the place of the mean: one copy of each context, chosen by the context's own prefix.

A frame gives each x a set F(x) of group elements with F(hx) = F(x) h⁻¹, and 1/|F(x)| Σ_{g ∈ F(x)}
g⁻¹ M(gx) is equivariant (Puny et al. 2022, arXiv 2110.03336). Here F(x) holds the elements for
which gx comes first in alphabetical order of its ids. It follows from the tokens one by one: of the
elements that are left, a token keeps those that send it to the smallest id. All that are left send
the prefix to the same ids, so the model sees one row for each sequence. At a position only its
prefix counts, as a causal model must not see what follows; while no token has moved all elements
are left, and the logits are averaged over the whole group.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from equitune.actions import Constant
from equitune.language.averaging import (
    Averaging,
    Copies,
    check_vocabulary,
    logits_of,
    through_head,
    traced,
    with_values,
)

if TYPE_CHECKING:
    from transformers import Cache


class Frame:
    """Which elements are left after each token, and the logits that follow.

    Args:
        averaging: of the model, with its action; it has no general words.
    """

    def __init__(self, averaging: Averaging) -> None:
        """Look up where each element sends each id."""
        self.averaging = averaging
        with torch.device("cpu"):
            self.images = Constant(averaging.action.permutations.T.contiguous())  # (V, |G|)

    def start(self, ids: Tensor) -> Tensor:
        """Return the elements that are left before any token: (batch, |G|), all True."""
        order = self.averaging.action.group.order
        return torch.ones(ids.shape[0], order, dtype=torch.bool, device=ids.device)

    def copies(self, ids: Tensor) -> Tensor:
        """Return ids (batch, …) as each element sends them, (batch, …, |G|)."""
        return self.images.on(ids)[ids]

    def follow(self, left: Tensor, images: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the elements that are left after each token.

        Args:
            left: those before the first one, (batch, |G|).
            images: of the tokens, as `copies` returns them, (batch, positions, |G|).
            mask: (batch, positions), 0 for padding, which decides nothing.

        Returns:
            (batch, positions, |G|), True for elements that are left; at least one is.
        """
        decides = (images != images[..., :1]).any(-1)
        if mask is not None:
            decides = decides & mask.bool()
        places = [*range(images.shape[1])]
        if not traced(images):
            places = decides.any(0).nonzero().flatten().tolist()
        states = left[:, None].repeat(1, images.shape[1], 1)
        for place in places:
            here = images[:, place]
            least = here.masked_fill(~left, self.averaging.action.size).amin(1, keepdim=True)
            left = torch.where(decides[:, place, None], left & (here == least), left)
            states[:, place:] = left[:, None]
        return states

    def moved(self, left: Tensor, images: Tensor) -> Tensor:
        """Return the image (batch, …) of ids by an element that is left, (batch, |G|)."""
        element = left.int().argmax(1)
        chosen = element.view(-1, *[1] * (images.ndim - 1)).expand(*images.shape[:-1], 1)
        return images.gather(-1, chosen)[..., 0]

    def run(
        self,
        model: Any,
        input_ids: Tensor,
        *,
        attention_mask: Any = None,
        past_key_values: Cache | None = None,
        logits_to_keep: int | Tensor = 0,
        **kwargs: Any,
    ) -> tuple[Copies, Tensor]:
        """Run a model on the chosen copies.

        Args:
            model: the wrapped model.
            input_ids: (batch, positions), not moved.
            attention_mask: as in `EquiCausalLM.forward`.
            past_key_values: a cache with one row for each sequence, which knows the elements left.
            logits_to_keep: as in `EquiCausalLM.forward`.
            kwargs: as for `Averaging.run`.

        Returns:
            What the model made of them, and the logits (batch, positions, vocabulary).

        Raises:
            ValueError: the cache does not say which elements are left.
        """
        seen = _seen(past_key_values, input_ids.shape[0])
        left = self.start(input_ids) if seen is None else seen[:, -1]
        mask = None
        if isinstance(attention_mask, Tensor) and attention_mask.ndim == 2:
            mask = attention_mask[:, -input_ids.shape[1] :]
        images = self.copies(input_ids)
        states = self.follow(left, images, mask)
        rows = self.averaging.run(
            model,
            self.moved(states[:, -1], images),
            attention_mask=attention_mask,
            past_key_values=past_key_values,
            logits_to_keep=logits_to_keep,
            **kwargs,
        )
        if rows.cache is not None:
            every = states if seen is None else torch.cat([seen, states], 1)
            rows.cache.frame_states = every
        kept = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
        states = states[:, kept]
        if missing := rows.values.shape[1] - states.shape[1]:  # PEFT's prompts stand in front
            states = torch.cat([left[:, None].expand(-1, missing, -1), states], 1)
        return rows, self.combine(rows.values, rows.head, states)

    def combine(
        self,
        values: Tensor,
        head: nn.Linear | None,
        states: Tensor,
        contexts: Tensor | None = None,
    ) -> Tensor:
        """Return the mean of g⁻¹ l over the elements g that are left at each position.

        Args:
            values: what `Averaging.run` made of moved contexts, (batch, positions, …).
            head: as `Averaging.run` returned it.
            states: the elements that are left, (batch, positions, |G|).
            contexts: as for `averaging.through_head`, (1, batch).

        Returns:
            Logits (batch, positions, vocabulary).

        Raises:
            ValueError: the model has another number of ids than the action.
        """
        logits = values if head is None else through_head(head, values, contexts)
        check_vocabulary(self.averaging.action, logits.shape[-1])
        moved = self.averaging.moved.on(logits)
        if not len(moved):
            return logits
        own = logits_of(values, head, moved)  # (batch, positions, moved)
        places = self.averaging.moves.on(logits)  # (|G|, moved)
        weights = states.to(own.dtype)
        weights = weights / weights.sum(-1, keepdim=True)
        mean = torch.einsum("bpg,bpgm->bpm", weights, own[..., places])
        return with_values(logits, moved, mean, head)


class FramedSamples:
    """A frame while many samples are continued, in the place of `Averaging` or `OneCopy`.

    Args:
        frame: of the model.
        mask: of the prompts, (samples, positions).
    """

    def __init__(self, frame: Frame, mask: Tensor) -> None:
        """Begin with all elements left for each sample."""
        self.frame, self.mask = frame, mask
        self.left = frame.start(mask)

    def contexts(self, ids: Tensor, samples: Tensor) -> Tensor:
        """Return what the model has to see of ids (samples, …): (1, samples, …).

        Args:
            ids: of contexts, (samples, positions), or of tokens that follow them, (samples,).
            samples: which samples these are, (samples,).
        """
        mask = self.mask[samples] if ids.ndim > 1 else None
        images = self.frame.copies(ids)
        text = images if ids.ndim > 1 else images[:, None]
        self.left[samples] = self.frame.follow(self.left[samples], text, mask)[:, -1]
        return self.frame.moved(self.left[samples], images)[None]

    def told_apart_by(self, samples: Tensor) -> Tensor:
        """Return by what samples differ whose contexts are the same ids, (samples, |G|)."""
        return self.left[samples].long()

    def combine(
        self,
        values: Tensor,
        head: nn.Linear | None,
        samples: Tensor,
        contexts: Tensor | None = None,
    ) -> Tensor:
        """Return logits (samples, 1, vocabulary) of values (1, samples, 1, …)."""
        return self.frame.combine(values[0], head, self.left[samples][:, None], contexts)


def _seen(cache: Cache | None, rows: int) -> Tensor | None:
    """Return the elements that were left after each token in a cache, (rows, tokens, |G|).

    None for a cache without tokens.

    Raises:
        ValueError: the cache was not made by a model with a frame, or has other rows.
    """
    length = 0 if cache is None else cache.get_seq_length()
    if not length:
        return None
    states: Tensor | None = getattr(cache, "frame_states", None)
    if states is None or len(states) != rows or states.shape[1] < length:
        raise ValueError(
            f"past_key_values do not say which copy each of {rows} sequences has chosen: pass them "
            "as EquiCausalLM with combine='frame' returned them, or use_cache=False"
        )
    return states[:, :length]
