"""The average over the copies of contexts, or one of them: how they are run, what becomes of them.

It knows how a group moves token ids, and no word and no file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from equitune.actions import Constant, TokenPermutation, readable
from equitune.copies import unique_rows
from equitune.language.probe import HeadProbe, learns_prompt, takes

if TYPE_CHECKING:
    from transformers import Cache

# a product of so few rows takes no time, and other kernels, whose last digits are others
FEW_ROWS = 32


@dataclass(frozen=True)
class Copies:
    """What a model made of contexts that are already moved; `Averaging.combine` makes logits of it.

    Attributes:
        values: hidden states (rows, positions, width), or logits (rows, positions, vocabulary).
        head: the linear layer that makes logits of the hidden states; None: these are logits.
        output: all that the model returned; its hidden states and attentions are there if they
            were asked for.
    """

    values: Tensor
    head: nn.Linear | None
    output: Any

    @property
    def cache(self) -> Cache | None:
        """The key-value cache, if there is one."""
        cache: Cache | None = getattr(self.output, "past_key_values", None)
        return cache


class Averaging:
    """The average of a model's logits over the copies of its context; a part of `EquiCausalLM`.

    It is not a module and has no buffers: nothing that happens to a model's state changes it.

    Args:
        action: how the group moves token ids.
        general: ids whose logits are those of the unmoved context; none in an exactly fair model.
    """

    def __init__(self, action: TokenPermutation, general: list[int]) -> None:
        """Look up which ids move, and where to."""
        self.action = action
        # from_pretrained builds on "meta", where nothing can be looked at
        with torch.device("cpu"):
            rows = action.permutations
            moved = (rows != torch.arange(action.size)).any(0).nonzero().flatten()
            places = torch.zeros(action.size, dtype=torch.long)
            places[moved] = torch.arange(len(moved))
            self.moved = Constant(moved)  # (moved,) ids that some element moves
            # (|G|, moved): where among `moved` element g sends each of them
            self.moves = Constant(places[rows[:, moved]])
            self.general = Constant(torch.tensor(general, dtype=torch.long))
        self.probe = HeadProbe()

    def run(
        self,
        model: Any,
        input_ids: Tensor,
        *,
        position_ids: Tensor | None = None,
        logits_to_keep: int | Tensor = 0,
        **kwargs: Any,
    ) -> Copies:
        """Run a model on contexts that are already moved.

        Args:
            model: the wrapped model.
            input_ids: (rows, positions).
            position_ids: (rows, positions), for models that take them.
            logits_to_keep: as in `EquiCausalLM.forward`.
            kwargs: for the model.

        Returns:
            What `combine` makes logits of, with the cache.

        Raises:
            ValueError: there is a cache, and the model learns a prompt.
        """
        if kwargs.get("past_key_values") is not None and learns_prompt(model):
            raise ValueError(
                "a model with a prompt of PEFT takes no cache, as PEFT puts its own in its place: "
                "pass use_cache=False, to generate too"
            )
        if position_ids is not None and takes(model, "position_ids"):
            kwargs["position_ids"] = position_ids
        kept = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
        head = None if traced(input_ids) else self.probe(model, input_ids.new_zeros(1, 1))
        if head is not None:
            output = model.base_model(input_ids, **kwargs)
            return Copies(output.last_hidden_state[:, kept], head, output)
        if takes(model, "logits_to_keep"):
            output = model(input_ids, logits_to_keep=logits_to_keep, **kwargs)
            return Copies(output.logits, None, output)
        output = model(input_ids, **kwargs)
        return Copies(output.logits[:, kept], None, output)

    def contexts(self, ids: Tensor, samples: Tensor) -> Tensor:
        """Return what the model has to see of ids (samples, …): (|G|, samples, …), all copies.

        Args:
            ids: of contexts, or of tokens that follow them.
            samples: which samples these are, (samples,); all are treated alike.
        """
        return self.action.orbit(ids)

    def told_apart_by(self, samples: Tensor) -> None:
        """Say that samples whose copies are the same ids have the same logits."""

    def combine(
        self,
        values: Tensor,
        head: nn.Linear | None,
        samples: Tensor | None = None,
        contexts: Tensor | None = None,
    ) -> Tensor:
        """Return the logits of the equivariant model, from all copies' values of `run`.

        1/|G| Σ_g g⁻¹ l(gx). A linear head is applied to the mean of the hidden states, which gives
        the mean of the logits; only ids that move need the copies' own logits.

        Args:
            values: (|G|, batch, positions, width or vocabulary).
            head: as `run` returned it.
            samples: not looked at; all are treated alike.
            contexts: as for `through_head`.

        Returns:
            (batch, positions, vocabulary).

        Raises:
            ValueError: the model has another number of ids than the action.
        """
        mean = values.mean(0)
        logits = mean if head is None else through_head(head, mean, contexts)
        check_vocabulary(self.action, logits.shape[-1])
        moved = self.moved.on(logits)
        if len(moved):
            own = logits_of(values, head, moved)  # (|G|, batch, positions, moved)
            places = self.moves.on(logits)[:, None, None].expand(own.shape)
            logits = with_values(logits, moved, own.gather(-1, places).mean(0), head)
        return self.with_general(logits, values[self.action.group.identity], head)

    def with_general(self, logits: Tensor, unmoved: Tensor, head: nn.Linear | None) -> Tensor:
        """Return logits in which general words have those of the unmoved context.

        Args:
            logits: (batch, positions, vocabulary), as for `with_values`.
            unmoved: what `run` made of the unmoved context, (batch, positions, …).
            head: as `run` returned it.
        """
        general = self.general.on(logits)
        if not len(general):
            return logits
        return with_values(logits, general, logits_of(unmoved, head, general), head)


class OneCopy:
    """One copy of each context in the place of the mean: what equizero's candidates are drawn from.

    A candidate is written behind the moved context gx and moved back when it is whole, so nothing
    of its logits is moved: they are l(gx), but for general words, which no element moves, l(x).

    Args:
        averaging: of the model, with its action and general words.
        elements: the element that each sample's context was moved by, (samples,).
    """

    def __init__(self, averaging: Averaging, elements: Tensor) -> None:
        """Store them."""
        self.averaging, self.elements = averaging, elements

    def contexts(self, ids: Tensor, samples: Tensor) -> Tensor:
        """Return what the model has to see of moved ids (samples, …): (1 or 2, samples, …).

        The moved context, and where there are general words the unmoved one, g⁻¹ of it.

        Args:
            ids: of moved contexts, or of tokens that follow them.
            samples: which samples these are, (samples,).
        """
        if not self.averaging.general.array.size:
            return ids[None]
        return torch.stack([ids, self.averaging.action.inverse(self.elements[samples], ids)])

    def told_apart_by(self, samples: Tensor) -> None:
        """Say that samples whose copies are the same ids have the same logits."""

    def combine(
        self,
        values: Tensor,
        head: nn.Linear | None,
        samples: Tensor | None = None,
        contexts: Tensor | None = None,
    ) -> Tensor:
        """Return logits (batch, positions, vocabulary) of values (1 or 2, batch, positions, …)."""
        own = None if contexts is None else contexts[:1]
        logits = values[0] if head is None else through_head(head, values[0], own)
        check_vocabulary(self.averaging.action, logits.shape[-1])
        return self.averaging.with_general(logits, values[-1], head)


def traced(ids: Tensor) -> bool:
    """Say whether ids stand for others, so that nothing may depend on their values."""
    tracing = torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
    return tracing or not readable(ids)


def positions(attention_mask: Tensor) -> Tensor:
    """Return each token's place in its sequence, padding left out: (batch, positions)."""
    return (attention_mask.long().cumsum(-1) - 1).clamp(min=0)


def repeated(x: Any, order: int) -> Any:
    """Repeat a tensor (batch, …), or each of a dictionary of them, for every copy."""
    if isinstance(x, dict):
        return {key: repeated(value, order) for key, value in x.items()}
    return x if x is None else x.repeat(order, *[1] * (x.ndim - 1))


def selected(tensors: Any, origin: Tensor | None) -> Any:
    """Return tensors of different rows, (different, …) each, with all rows; None stays None."""
    if tensors is None or origin is None:
        return tensors
    return tuple(x if x is None else x[origin] for x in tensors)


def check_vocabulary(action: TokenPermutation, size: int) -> None:
    """Check that an action permutes as many ids as a model has.

    Raises:
        ValueError: it does not.
    """
    if action.size != size:
        raise ValueError(
            f"the action permutes {action.size} ids, the model has {size}: build it for "
            f"the model, as words_on(lexicon, tokenizer, {size}).action, and resize a model before "
            "wrap only, by model.resize_token_embeddings"
        )


def check_cache(cache: Any, rows: int, order: int) -> None:
    """Check that a cache that holds something has a row for each copy.

    Raises:
        ValueError: it has not, as that of the wrapped model.
    """
    keys = [getattr(layer, "keys", None) for layer in getattr(cache, "layers", None) or ()]
    held = next((x for x in keys if isinstance(x, Tensor) and x.ndim == 4 and x.numel()), None)
    if held is not None and held.shape[0] != rows:
        raise ValueError(
            f"past_key_values hold {held.shape[0]} rows: expected {rows}, {order} copies of each "
            "sequence, as EquiCausalLM returns them; a prefix of PEFT is learnt inside, "
            "EquiCausalLM.wrap(get_peft_model(model, …))"
        )


def through_head(head: nn.Linear, states: Tensor, contexts: Tensor | None) -> Tensor:
    """Return the logits of states; rows of the same contexts pass the head once.

    The mean of two copies is the same number in either order, so a text and its image share it.
    More copies add up to other last digits in another order, and are computed each for itself.

    Args:
        head: as `Averaging.run` returned it.
        states: of each row the mean of its copies' hidden states, (batch, positions, width).
        contexts: which context each copy of a row is, (copies, batch); None: all are others.

    Returns:
        (batch, positions, vocabulary).
    """
    if contexts is not None and len(contexts) <= 2:
        first, which = unique_rows([contexts.T.sort(1).values])
        if FEW_ROWS <= len(first) < len(which):
            shared: Tensor = head(states[first])
            return shared[which]
    logits: Tensor = head(states)
    return logits


def with_values(logits: Tensor, ids: Tensor, values: Tensor, head: nn.Linear | None) -> Tensor:
    """Return logits with other values at some ids, in place where a head has made them just now.

    Elsewhere than in inference mode, where they may be part of a graph, they are copied.

    Args:
        logits: (batch, positions, vocabulary).
        ids: (ids,).
        values: (batch, positions, ids).
        head: what made the logits; None: the model itself did, and they are its own.
    """
    if head is not None and logits.is_inference():
        return logits.index_copy_(-1, ids, values)
    return logits.index_copy(-1, ids, values)


def logits_of(values: Tensor, head: nn.Linear | None, ids: Tensor) -> Tensor:
    """Return the logits of some ids only, (…, ids), from hidden states or logits."""
    if head is None:
        return values[..., ids]
    return F.linear(values, head.weight[ids], None if head.bias is None else head.bias[ids])
