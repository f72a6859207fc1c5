"""EquiCausalLM: a Hugging Face causal language model made equivariant; knows no word and no file.

The group permutes token ids. Contexts are moved by every element, one pass of the model computes
all copies, and their logits are moved back and averaged (EquiGPT2 of Basu et al. 2023, arXiv
2210.06475); in the relaxed model (R-EquiGPT2) general words, which no element moves, get their
logits from the context as it stands.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from equitune import actions
from equitune.actions import TokenPermutation
from equitune.copies import unique_rows
from equitune.groups import CyclicGroup
from equitune.language.probe import ends_with_head, takes
from equitune.vision import import_transformers

import_transformers()  # before anything imports a model of it

from transformers import (  # noqa: E402
    AutoConfig,
    AutoModelForCausalLM,
    Cache,
    DynamicCache,
    GenerationMixin,
    PreTrainedConfig,
    PreTrainedModel,
)
from transformers.modeling_outputs import CausalLMOutputWithPast  # noqa: E402


def identity(vocabulary: int) -> TokenPermutation:
    """Return the action of the group of one element, which leaves a model as it is."""
    return TokenPermutation(CyclicGroup(1), torch.arange(vocabulary)[None])


class EquiCausalLMConfig(PreTrainedConfig):  # type: ignore[misc]
    """What `EquiCausalLM` is built from.

    Args:
        text_config: the configuration of the wrapped model, or its dictionary.
        action: `TokenPermutation.config` of the group's action on token ids.
        general: ids of the general words; none is moved.
        relaxed: whether general words get their logits from the unmoved context alone.
    """

    model_type = "equi_causal_lm"
    sub_configs = {"text_config": AutoConfig}  # noqa: RUF012  transformers' own way

    def __init__(
        self,
        text_config: PreTrainedConfig | dict[str, Any] | None = None,
        action: dict[str, Any] | None = None,
        general: Sequence[int] = (),
        relaxed: bool = False,
        **kwargs: Any,
    ) -> None:
        """Build the wrapped model's configuration from its dictionary; the rest is stored."""
        if isinstance(text_config, dict):
            text_config = AutoConfig.for_model(**text_config)
        self.text_config = text_config
        self.action = action
        self.general = list(general)
        self.relaxed = relaxed
        super().__init__(**kwargs)


class EquiCausalLM(PreTrainedModel, GenerationMixin):  # type: ignore[misc]
    """A causal language model with P(gX₂ | gX₁) = P(X₂ | X₁); build it by `wrap`.

    `forward`, `generate`, `save_pretrained`, `from_pretrained` and the loss for labels are those of
    transformers. The key-value cache holds |G| rows for each sequence, copy after copy.

    Attributes:
        model: the wrapped model.
        action: the group's action on token ids.
    """

    config_class = EquiCausalLMConfig
    base_model_prefix = "model"
    main_input_name = "input_ids"
    supports_gradient_checkpointing = True
    # asked of the wrapper before the wrapped model is asked
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_attention_backend = True

    moved: Tensor  # (moved,) ids that some element moves
    moves: Tensor  # (|G|, moved): where among `moved` element g sends each of them
    general: Tensor  # (general,) ids; none in an exactly fair model

    def __init__(self, config: EquiCausalLMConfig, model: PreTrainedModel | None = None) -> None:
        """Wrap a model, or a new one that the configuration describes."""
        super().__init__(config)
        self.loss_type = "ForCausalLM"  # transformers would look for it in the class's name
        if model is None:
            model = AutoModelForCausalLM.from_config(config.text_config)
        self.model = model
        with torch.device("cpu"):  # from_pretrained builds on "meta", where nothing can be checked
            action = actions.from_config(config.action or {})
            if not isinstance(action, TokenPermutation):
                raise ValueError(f"{config.action} describes no TokenPermutation: save it by wrap")
            moved = (action.permutations != torch.arange(action.size)).any(0).nonzero().flatten()
            places = torch.zeros(action.size, dtype=torch.long)
            places[moved] = torch.arange(len(moved))
            moves = places[action.permutations[:, moved]]
            general = torch.tensor(config.general if config.relaxed else [], dtype=torch.long)
        self.action = action
        # persistent: transformers leaves others uninitialised after loading
        self.register_buffer("moved", moved)
        self.register_buffer("moves", moves)
        self.register_buffer("general", general)
        self._split: bool | None = None  # whether the logits are the head's output, once known
        self.post_init()

    @classmethod
    def wrap(
        cls,
        model: PreTrainedModel,
        action: TokenPermutation | None = None,
        general: Sequence[int] = (),
        *,
        relaxed: bool = False,
    ) -> Self:
        """Make a model equivariant; its weights are shared, not copied.

        Args:
            model: any causal language model of transformers.
            action: how the group permutes the model's token ids; None: the identity, for a model
                as it is.
            general: ids of general words.
            relaxed: R-EquiGPT2: general words get their logits from the unmoved context alone.
                Equality words, which move, and neutral words stay averaged.

        Raises:
            TypeError: the action is no `TokenPermutation`.
            ValueError: its size is not the model's vocabulary, a general word is moved or outside
                the vocabulary, or relaxed without general words.
        """
        vocabulary = model.config.get_text_config(decoder=True).vocab_size
        action = identity(vocabulary) if action is None else action
        if not isinstance(action, TokenPermutation):
            raise TypeError(f"action is {action!r}: expected a TokenPermutation of token ids")
        if action.size != vocabulary:
            raise ValueError(
                f"the action permutes {action.size} ids, the model has {vocabulary}: build it for "
                f"the model, as words_on(lexicon, tokenizer, {vocabulary}).action"
            )
        for word in general:
            if not 0 <= word < vocabulary:
                raise ValueError(f"general word {word} is outside the vocabulary of {vocabulary}")
            if any(int(action.permutations[g, word]) != word for g in action.group.elements):
                raise ValueError(f"general word {word} is moved by the group: it is no general one")
        if relaxed and not len(general):
            raise ValueError("relaxed=True without general words changes nothing: pass general=")
        config = EquiCausalLMConfig(
            text_config=model.config,
            action=action.config(),
            general=[int(word) for word in general],
            relaxed=relaxed,
            # a configuration sets this in those inside it, to None if it has none of its own
            attn_implementation=model.config._attn_implementation,
        )
        wrapped = cls(config, model)
        if model.generation_config is not None:
            wrapped.generation_config = model.generation_config
        moved: Self = wrapped.to(model.device).train(model.training)
        return moved

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | dict[str, Tensor] | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Cache | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | Tensor = 0,
        **kwargs: Any,
    ) -> CausalLMOutputWithPast:
        """Return logits (batch, positions, vocabulary) that are moved as the context is.

        Args:
            input_ids: (batch, positions).
            attention_mask: 1 for tokens, 0 for padding: (batch, positions seen so far).
            position_ids: (batch, positions); without them they follow from the mask.
            past_key_values: the cache, with |G| rows a sequence.
            labels: (batch, positions), shifted inside; -100 counts for nothing.
            use_cache: whether to return the cache.
            logits_to_keep: logits of so many last positions, or of these positions; 0: all.
            kwargs: for the wrapped model, and for the loss.

        Raises:
            ValueError: there are no input_ids: embeddings cannot be permuted.
        """
        if input_ids is None:
            raise ValueError("EquiCausalLM needs input_ids: a group acts on tokens, not embeddings")
        if position_ids is None and isinstance(attention_mask, Tensor) and attention_mask.ndim == 2:
            position_ids = positions(attention_mask)[:, -input_ids.shape[1] :]
        order = self.action.group.order
        copies = self.action.orbit(input_ids).flatten(0, 1)  # (|G|·batch, positions)
        mask, places = _repeated(attention_mask, order), _repeated(position_ids, order)
        fresh = past_key_values is None or (
            type(past_key_values) is DynamicCache and not past_key_values.get_seq_length()
        )
        origin = None
        # equal rows once; in training each keeps a dropout mask of its own
        if fresh and not self.training and not isinstance(mask, dict):
            first, origin = unique_rows([x for x in (copies, mask) if x is not None])
            copies = copies[first]
            mask, places = (x if x is None else x[first] for x in (mask, places))
        outputs, cache = self.rows(
            copies,
            attention_mask=mask,
            position_ids=places,
            past_key_values=past_key_values,
            use_cache=use_cache,
            logits_to_keep=logits_to_keep,
            **kwargs,
        )
        if origin is not None and len(origin) != len(copies):
            outputs = outputs[origin]
            if cache is not None:
                cache.batch_select_indices(origin)
        logits = self.combine(outputs.reshape(order, -1, *outputs.shape[1:]))
        loss = None
        if labels is not None:
            size = logits.shape[-1]
            loss = self.loss_function(logits, labels, vocab_size=size, **kwargs)
        return CausalLMOutputWithPast(loss=loss, logits=logits, past_key_values=cache)

    def rows(
        self,
        input_ids: Tensor,
        *,
        position_ids: Tensor | None = None,
        logits_to_keep: int | Tensor = 0,
        **kwargs: Any,
    ) -> tuple[Tensor, Cache | None]:
        """Run the wrapped model on contexts that are already moved.

        Args:
            input_ids: (rows, positions).
            position_ids: (rows, positions), for models that take them.
            logits_to_keep: as in `forward`.
            kwargs: for the wrapped model.

        Returns:
            What `combine` makes logits of, (rows, kept positions, width or vocabulary), and the
            cache.
        """
        if position_ids is not None and takes(self.model, "position_ids"):
            kwargs["position_ids"] = position_ids
        if self._split is None:
            self._split = ends_with_head(self.model, input_ids[:1, :1])
        if not self._split:
            output = self.model(input_ids, logits_to_keep=logits_to_keep, **kwargs)
            return output.logits, output.past_key_values
        output = self.model.base_model(input_ids, **kwargs)
        kept = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
        return output.last_hidden_state[:, kept], output.past_key_values

    def combine(self, outputs: Tensor) -> Tensor:
        """Return the logits of the equivariant model, from all copies' outputs of `rows`.

        1/|G| Σ_g g⁻¹ l(gx). A linear head is applied to the mean of the hidden states, which gives
        the mean of the logits; only ids that move need the copies' own logits.

        Args:
            outputs: (|G|, batch, positions, width or vocabulary).

        Returns:
            (batch, positions, vocabulary).
        """
        logits = self._head(outputs.mean(0))
        if len(self.moved):
            own = self._logits_of(outputs, self.moved)  # (|G|, batch, positions, moved)
            places = self.moves[:, None, None].expand(own.shape)
            logits.index_copy_(-1, self.moved, own.gather(-1, places).mean(0))
        if len(self.general):
            unmoved = self._logits_of(outputs[self.action.group.identity], self.general)
            logits.index_copy_(-1, self.general, unmoved)
        return logits

    def get_input_embeddings(self) -> nn.Module:
        """Return the wrapped model's input embeddings."""
        embeddings: nn.Module = self.model.get_input_embeddings()
        return embeddings

    def get_output_embeddings(self) -> nn.Module | None:
        """Return the wrapped model's head."""
        head: nn.Module | None = self.model.get_output_embeddings()
        return head

    def _head(self, outputs: Tensor) -> Tensor:
        """Return logits of outputs of `rows`, (…, vocabulary)."""
        if not self._split:
            return outputs
        logits: Tensor = self.model.get_output_embeddings()(outputs)
        return logits

    def _logits_of(self, outputs: Tensor, ids: Tensor) -> Tensor:
        """Return the logits of some ids only, (…, ids)."""
        if not self._split:
            return outputs[..., ids]
        head = self.model.get_output_embeddings()
        return F.linear(outputs, head.weight[ids], None if head.bias is None else head.bias[ids])

    def _reorder_cache(self, past_key_values: Cache, beam_idx: Tensor) -> Cache:
        """Reorder beams in every copy's block of the cache."""
        blocks = torch.arange(self.action.group.order, device=beam_idx.device) * len(beam_idx)
        past_key_values.reorder_cache((blocks[:, None] + beam_idx).flatten())
        return past_key_values


AutoConfig.register(EquiCausalLMConfig.model_type, EquiCausalLMConfig, exist_ok=True)
AutoModelForCausalLM.register(EquiCausalLMConfig, EquiCausalLM, exist_ok=True)


def positions(attention_mask: Tensor) -> Tensor:
    """Return each token's place in its sequence, padding left out: (batch, positions)."""
    return (attention_mask.long().cumsum(-1) - 1).clamp(min=0)


def _repeated(x: Any, order: int) -> Any:
    """Repeat a tensor (batch, …), or each of a dictionary of them, for every copy."""
    if isinstance(x, dict):
        return {key: _repeated(value, order) for key, value in x.items()}
    return x if x is None else x.repeat(order, *[1] * (x.ndim - 1))
