"""The network of the small language model that is trained here: a GPT-2."""

from __future__ import annotations

from typing import TYPE_CHECKING

from equitune.compat import extra
from equitune.config import SmallGPT2

if TYPE_CHECKING:
    from transformers import GPT2LMHeadModel


def build_network(size: SmallGPT2, words: int, end: int) -> GPT2LMHeadModel:
    """Return a GPT-2 with random weights.

    Args:
        size: layers, heads, widths and dropout.
        words: ids of the vocabulary.
        end: the id that opens, ends and pads a text.
    """
    with extra("language"):
        from transformers import GPT2Config, GPT2LMHeadModel

    rates = dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), size.dropout)
    config = GPT2Config(
        vocab_size=words,
        n_positions=size.context,
        n_embd=size.width,
        n_layer=size.layers,
        n_head=size.heads,
        initializer_range=size.width**-0.5,  # GPT-2's .02 is for widths of many hundreds
        activation_function="gelu_pytorch_tanh",  # GPT-2's own, in one operation
        bos_token_id=end,
        eos_token_id=end,
        pad_token_id=end,
        **rates,
    )
    return GPT2LMHeadModel(config)
