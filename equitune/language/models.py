"""EquiCausalLM: a Hugging Face causal language model made equivariant.

The group permutes token ids. Contexts are moved by every element, one pass of the model computes
all copies, and their logits are moved back and averaged (EquiGPT2 of Basu et al. 2023, arXiv
2210.06475); in the relaxed model (R-EquiGPT2) general words, which no element moves, get their
logits from the context as it stands.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from equitune import actions
from equitune.actions import TokenPermutation
from equitune.compat import extra
from equitune.copies import unique_rows
from equitune.groups import CyclicGroup
from equitune.language.averaging import (
    Averaging,
    Copies,
    check_cache,
    check_vocabulary,
    positions,
    repeated,
    selected,
    traced,
)
from equitune.language.frame import Frame
from equitune.language.keeping import KeptModel, before_loading
from equitune.language.settings import EquiCausalLMConfig

with extra("language"):
    from transformers import (
        AutoConfig,
        AutoModelForCausalLM,
        Cache,
        DynamicCache,
        GenerationMixin,
        PreTrainedModel,
    )
    from transformers.modeling_outputs import CausalLMOutputWithPast

__all__ = ["EquiCausalLM", "EquiCausalLMConfig", "identity", "positions"]


def identity(vocabulary: int) -> TokenPermutation:
    """Return the action of the group of one element, which leaves a model as it is."""
    return TokenPermutation(CyclicGroup(1), torch.arange(vocabulary)[None])


class EquiCausalLM(KeptModel, GenerationMixin):  # type: ignore[misc]
    """A causal language model with P(gX₂ | gX₁) = P(X₂ | X₁); build it by `wrap`.

    `forward`, `generate`, `save_pretrained`, `from_pretrained` and the loss for labels are those of
    transformers. The key-value cache, hidden states and attentions hold |G| rows for each sequence,
    copy after copy; those of the identity are the wrapped model's own.

    What the group does belongs to the code and to config.json, not to the state: no state dict,
    average or cast changes it, and a state dict of another action is refused.

    Attributes:
        model: the wrapped model.
        action: the group's action on token ids; for another one, `wrap` the model anew.
        averaging: how logits are averaged over the copies of the context.
        frame: how one copy is chosen in the place of the mean; None with the mean.
    """

    config_class = EquiCausalLMConfig
    base_model_prefix = "model"
    main_input_name = "input_ids"
    supports_gradient_checkpointing = True
    # asked of the wrapper before the wrapped model is asked
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_attention_backend = True

    def __init__(self, config: EquiCausalLMConfig, model: PreTrainedModel | None = None) -> None:
        """Wrap a model, or a new one that the configuration describes.

        Raises:
            ValueError: the configuration describes no model, or an action that does not fit it.
        """
        super().__init__(config)
        self.loss_type = "ForCausalLM"  # transformers would look for it in the class's name
        if config.text_config is None or not config.action:
            raise ValueError(
                "the configuration describes no EquiCausalLM: load the model as it is, by "
                "AutoModelForCausalLM.from_pretrained, then EquiCausalLM.wrap(model, action)"
            )
        action = actions.from_config(config.action)
        if not isinstance(action, TokenPermutation):
            raise ValueError(f"{config.action} describes no TokenPermutation: save it by wrap")
        check_vocabulary(action, config.get_text_config(decoder=True).vocab_size)
        if model is None:
            model = AutoModelForCausalLM.from_config(config.text_config)
        self.model = model
        self.averaging = Averaging(action, config.general if config.relaxed else [])
        self.frame = Frame(self.averaging) if config.combine == "frame" else None
        self.register_load_state_dict_pre_hook(before_loading)
        self.post_init()

    def init_weights(self) -> None:
        """Leave the weights of the wrapped model as they are; there are no others.

        transformers would draw those of modules anew that it has not made, as adapters and heads,
        and tie a head that is not the embeddings' any more.
        """

    @classmethod
    def wrap(
        cls,
        model: PreTrainedModel,
        action: TokenPermutation | None = None,
        general: Sequence[int] = (),
        *,
        relaxed: bool = False,
        combine: Literal["mean", "frame"] = "mean",
    ) -> Self:
        """Make a model equivariant; its weights are shared, not copied.

        Args:
            model: any causal language model of transformers.
            action: how the group permutes the model's token ids; None: the identity, for a model
                as it is.
            general: ids of general words.
            relaxed: R-EquiGPT2: general words get their logits from the unmoved context alone.
                Equality words, which move, and neutral words stay averaged.
            combine: "mean": over all copies of the context, the fair model nearest to the wrapped
                one. "frame": the copy that the context's own prefix chooses; as exact, at the cost
                of the wrapped model, and another fair model; see `equitune.language.frame`.

        Raises:
            TypeError: the action is not a `TokenPermutation`.
            ValueError: its size is not the model's vocabulary, its config does not describe it, a
                general word is moved or outside the vocabulary, or relaxed without general words.
        """
        vocabulary = model.config.get_text_config(decoder=True).vocab_size
        action = identity(vocabulary) if action is None else action
        if not isinstance(action, TokenPermutation):
            raise TypeError(f"action is {action!r}: expected a TokenPermutation of token ids")
        check_vocabulary(action, vocabulary)
        rows = action.permutations
        for word in general:
            if not 0 <= word < vocabulary:
                raise ValueError(f"general word {word} is outside the vocabulary of {vocabulary}")
            if bool((rows[:, word] != word).any()):
                raise ValueError(f"general word {word} is moved by the group: leave it out")
        if relaxed and not len(general):
            raise ValueError("relaxed=True without general words changes nothing: pass general=")
        if combine not in ("mean", "frame") or (relaxed and combine == "frame"):
            raise ValueError(
                f"combine is {combine!r} with relaxed={relaxed}: expected 'mean', or 'frame' "
                "without relaxed, as a relaxed model needs the unmoved context too"
            )
        config = EquiCausalLMConfig(
            text_config=model.config,
            action=action.config(),
            general=[int(word) for word in general],
            relaxed=relaxed,
            combine=combine,
            # a configuration sets this in those inside it, to None if it has none of its own
            attn_implementation=model.config._attn_implementation,
        )
        wrapped = cls(config, model)
        if not torch.equal(wrapped.action.permutations, rows):
            raise ValueError(
                f"{type(action).__name__}.config does not describe {action!r}: write config and "
                "build for a class of your own, or pass a TokenPermutation"
            )
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
        return_dict: bool | None = None,
        **kwargs: Any,
    ) -> CausalLMOutputWithPast | tuple[Any, ...]:
        """Return logits (batch, positions, vocabulary) that are moved as the context is.

        Args:
            input_ids: (batch, positions).
            attention_mask: 1 for tokens, 0 for padding: (batch, positions seen so far).
            position_ids: (batch, positions); without them they follow from the mask.
            past_key_values: the cache, with |G| rows a sequence.
            labels: (batch, positions), shifted inside; -100 counts for nothing.
            use_cache: whether to return the cache.
            logits_to_keep: logits of this many last positions, or of these positions; 0: all.
            return_dict: False: a tuple of what is there; None: as the configuration says.
            kwargs: for the wrapped model, and for the loss. With output_hidden_states or
                output_attentions what is returned has |G|·batch rows, copy after copy in the order
                of the group's elements; those of the identity are the wrapped model's own.

        Raises:
            ValueError: there are no input_ids, as embeddings cannot be permuted; the cache was not
                made by this model; or the wrapped model has another number of ids than the action.
        """
        if input_ids is None:
            raise ValueError(
                "EquiCausalLM needs input_ids: a group acts on tokens, not embeddings; a prompt of "
                "PEFT is learnt inside, EquiCausalLM.wrap(get_peft_model(model, …))"
            )
        asked = {
            name: True
            for name in ("output_hidden_states", "output_attentions")
            if getattr(self.config, name)
        }
        kwargs = asked | kwargs
        if labels is not None and self._asks(kwargs, "output_router_logits"):
            raise ValueError(
                "output_router_logits adds a loss of the experts, which EquiCausalLM does not "
                "compute: set config.output_router_logits = False"
            )
        if position_ids is None and isinstance(attention_mask, Tensor) and attention_mask.ndim == 2:
            position_ids = positions(attention_mask)[:, -input_ids.shape[1] :]
        if self.frame is not None:
            rows, logits = self.frame.run(
                self.model,
                input_ids,
                attention_mask=attention_mask,
                position_ids=position_ids,
                past_key_values=past_key_values,
                use_cache=use_cache,
                logits_to_keep=logits_to_keep,
                **kwargs,
            )
            return self._output(rows, logits, labels, return_dict, None, kwargs)
        order = self.action.group.order
        copies = self.action.orbit(input_ids).flatten(0, 1)  # (|G|·batch, positions)
        mask, places = repeated(attention_mask, order), repeated(position_ids, order)
        check_cache(past_key_values, copies.shape[0], order)  # len() would fix it in a graph
        fresh = past_key_values is None or (
            type(past_key_values) is DynamicCache and not past_key_values.get_seq_length()
        )
        origin = None
        # equal rows once; in training each keeps a dropout mask of its own
        if fresh and not self.training and not isinstance(mask, dict) and not traced(input_ids):
            first, origin = unique_rows([x for x in (copies, mask) if x is not None])
            copies = copies[first]
            mask, places = (x if x is None else x[first] for x in (mask, places))
        rows = self.averaging.run(
            self.model,
            copies,
            attention_mask=mask,
            position_ids=places,
            past_key_values=past_key_values,
            use_cache=use_cache,
            logits_to_keep=logits_to_keep,
            **kwargs,
        )
        values = rows.values
        if origin is not None and len(origin) != len(copies):
            values = values[origin]
            if rows.cache is not None:
                rows.cache.batch_select_indices(origin)
        logits = self.averaging.combine(values.reshape(order, -1, *values.shape[1:]), rows.head)
        return self._output(rows, logits, labels, return_dict, origin, kwargs)

    def _output(
        self,
        rows: Copies,
        logits: Tensor,
        labels: Tensor | None,
        return_dict: bool | None,
        origin: Tensor | None,
        kwargs: dict[str, Any],
    ) -> CausalLMOutputWithPast | tuple[Any, ...]:
        """Return logits, the loss for labels if there are some, and what else was asked for."""
        loss = None
        if labels is not None:
            # PEFT's prompts stand before the context
            labels = F.pad(labels, (max(0, logits.shape[1] - labels.shape[1]), 0), value=-100)
            size = logits.shape[-1]
            loss = self.loss_function(logits, labels, vocab_size=size, **kwargs)
        output = CausalLMOutputWithPast(
            loss=loss,
            logits=logits,
            past_key_values=rows.cache,
            hidden_states=selected(getattr(rows.output, "hidden_states", None), origin),
            attentions=selected(getattr(rows.output, "attentions", None), origin),
        )
        if return_dict is None:
            return_dict = self.config.return_dict
        return output if return_dict else output.to_tuple()

    def get_input_embeddings(self) -> nn.Module:
        """Return the wrapped model's input embeddings."""
        embeddings: nn.Module = self.model.get_input_embeddings()
        return embeddings

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace the wrapped model's input embeddings."""
        self.model.set_input_embeddings(value)

    def get_output_embeddings(self) -> nn.Module | None:
        """Return the wrapped model's head."""
        head: nn.Module | None = self.model.get_output_embeddings()
        return head

    def set_output_embeddings(self, new_embeddings: nn.Module) -> None:
        """Replace the wrapped model's head."""
        self.model.set_output_embeddings(new_embeddings)

    def resize_token_embeddings(
        self,
        new_num_tokens: int | None = None,
        pad_to_multiple_of: int | None = None,
        mean_resizing: bool = True,
    ) -> nn.Module:
        """Return the embeddings if they have that size already; a group cannot be resized.

        Raises:
            ValueError: the size is another one.
        """
        size = self.action.size if new_num_tokens is None else new_num_tokens
        if pad_to_multiple_of:
            size = -(-size // pad_to_multiple_of) * pad_to_multiple_of
        check_vocabulary(self.action, size)
        return self.get_input_embeddings()

    def _asks(self, kwargs: dict[str, Any], name: str) -> bool:
        """Say whether something is asked for, in a call or by the wrapped model's configuration."""
        return bool(kwargs.get(name, getattr(self.model.config, name, False)))

    def _reorder_cache(self, past_key_values: Cache, beam_idx: Tensor) -> Cache:
        """Reorder beams in every copy's block of the cache."""
        if self.frame is not None:
            past_key_values.reorder_cache(beam_idx)
            past_key_values.frame_states = past_key_values.frame_states[beam_idx]
            return past_key_values
        blocks = torch.arange(self.action.group.order, device=beam_idx.device) * len(beam_idx)
        past_key_values.reorder_cache((blocks[:, None] + beam_idx).flatten())
        return past_key_values


AutoConfig.register(EquiCausalLMConfig.model_type, EquiCausalLMConfig, exist_ok=True)
AutoModelForCausalLM.register(EquiCausalLMConfig, EquiCausalLM, exist_ok=True)
