"""The configuration of `EquiCausalLM`, which answers as the wrapped model's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from equitune.compat import extra

with extra("language"):
    from transformers import AutoConfig, PreTrainedConfig

# what transformers looks for in a configuration to learn how it is composed or stored
_OWN = {"text_config", "text_encoder", "decoder", "generator", "quantization_config"}


class EquiCausalLMConfig(PreTrainedConfig):  # type: ignore[misc]
    """What `EquiCausalLM` is built from.

    Whatever else is read of it or set, as vocab_size, pad_token_id or max_position_embeddings, is
    read of and set in the configuration of the wrapped model.

    Args:
        text_config: the configuration of the wrapped model, or its dictionary.
        action: `TokenPermutation.config` of the group's action on token ids.
        general: ids of the general words; none is moved.
        relaxed: whether general words get their logits from the unmoved context alone.
        combine: "mean" over all copies of the context, or "frame", the one that it chooses.
    """

    model_type = "equi_causal_lm"
    sub_configs = {"text_config": AutoConfig}  # noqa: RUF012  transformers' own way

    def __init__(
        self,
        text_config: PreTrainedConfig | dict[str, Any] | None = None,
        action: dict[str, Any] | None = None,
        general: Sequence[int] = (),
        relaxed: bool = False,
        combine: str = "mean",
        **kwargs: Any,
    ) -> None:
        """Build the wrapped model's configuration from its dictionary; the rest is stored."""
        super().__init__(**kwargs)  # first: until then nothing is answered by the wrapped model's
        if isinstance(text_config, dict):
            text_config = AutoConfig.for_model(**text_config)
        self.action = action
        self.general = list(general)
        self.relaxed = relaxed
        self.combine = combine
        self.text_config = text_config
        self._attn_implementation = kwargs.get("attn_implementation")  # in the wrapped one, too

    def get_text_config(
        self, decoder: bool | None = None, encoder: bool | None = None
    ) -> PreTrainedConfig:
        """Return what the wrapped model's configuration returns."""
        wrapped = self.__dict__.get("text_config")
        if wrapped is None:
            return super().get_text_config(decoder=decoder, encoder=encoder)
        return wrapped.get_text_config(decoder=decoder, encoder=encoder)

    def __getattr__(self, name: str) -> Any:
        """Return the wrapped model's setting of that name; called where there is no own one."""
        if self._answers(name):
            return getattr(self.__dict__["text_config"], name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        """Set the wrapped model's setting where there is one and no own one."""
        own = name in self.__dict__ or hasattr(type(self), name)
        if not own and self._answers(name) and hasattr(self.__dict__["text_config"], name):
            setattr(self.__dict__["text_config"], name, value)
        else:
            super().__setattr__(name, value)

    def _answers(self, name: str) -> bool:
        """Say whether the wrapped model's configuration is asked for a setting."""
        wrapped = self.__dict__.get("text_config")
        return wrapped is not None and name not in _OWN and not name.startswith("_")
