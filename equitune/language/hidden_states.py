"""Pooled hidden states of a frozen language model.

What is read is a block's own output, before any norm behind the last one. Texts are padded on the
right, where a causal model's other tokens do not see it: what is found of a text does not depend on
the texts beside it, up to rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from equitune.io.files import sha256
from equitune.language.data import encode, pad_rows
from equitune.language.methods import load, weights

if TYPE_CHECKING:
    from transformers import PreTrainedModel

POOLINGS = ("mean", "last")  # over a text's tokens; of its last token, which has seen all others
BATCH = 64  # texts at once
TOKENS = 512  # of a text at most
Pooled = dict[tuple[int, str], NDArray[np.float64]]  # by layer and pooling, (texts, width)


class HiddenStates:
    """Reads texts by a language model and pools what its blocks make of them.

    Args:
        folder: the model and its tokenizer.
        device: "auto" or a torch device.

    Raises:
        ValueError: the folder holds no language model, or one without a list of blocks.

    Attributes:
        depth: the number of blocks.
        identity: SHA-256 of the files of the model's weights, by name.
    """

    def __init__(self, folder: Path, device: str = "cpu") -> None:
        """Load the model."""
        self.folder = folder
        self.model, self.tokenizer = load(folder, device)
        self.blocks = _blocks(self.model, folder)
        self.depth = len(self.blocks)
        self.identity = {file.name: sha256(file) for file in weights(folder)}
        positions = getattr(self.model.config.get_text_config(), "max_position_embeddings", None)
        self.longest = min(TOKENS, positions or TOKENS)

    def cut(self, layer: int) -> None:
        """Drop the blocks behind a layer: less memory and time; they cannot be read any more."""
        del self.blocks[layer:]

    def reads(self, texts: Sequence[str]) -> list[bool]:
        """Return of each text whether it has a token."""
        return [len(row) > 0 for row in self._rows(texts)]

    @torch.inference_mode()
    def __call__(self, texts: Sequence[str], layers: Sequence[int]) -> Pooled:
        """Return pooled states, nan for a text without a token.

        Args:
            texts: read up to `TOKENS` tokens, or the model's context where that is shorter.
            layers: behind how many blocks, from 1.
        """
        rows = self._rows(texts)
        width = self.model.config.get_text_config().hidden_size
        pooled = {
            (layer, pooling): np.full((len(rows), width), np.nan)
            for layer in layers
            for pooling in POOLINGS
        }
        order = sorted((place for place, row in enumerate(rows) if row), key=lambda x: len(rows[x]))
        for start in range(0, len(order), BATCH):
            places = order[start : start + BATCH]
            ids, _, lengths = pad_rows([rows[place] for place in places], pad=0)
            for layer, states in self._read(ids, lengths, layers).items():
                found = _pooled(states.double().cpu(), lengths)
                for pooling in POOLINGS:
                    pooled[layer, pooling][places] = found[pooling].numpy()
        return pooled

    def _rows(self, texts: Sequence[str]) -> list[list[int]]:
        """Return each text's ids, as many as are read."""
        return [encode(self.tokenizer, text)[: self.longest] for text in texts]

    def _read(self, ids: Tensor, lengths: Tensor, layers: Sequence[int]) -> dict[int, Tensor]:
        """Return the outputs of blocks, each (texts, longest, width)."""
        seen: dict[int, Tensor] = {}

        def keep(layer: int) -> Any:
            def hook(_block: nn.Module, _inputs: Any, output: Any) -> None:
                seen[layer] = output[0] if isinstance(output, tuple) else output

            return hook

        mask = (torch.arange(ids.shape[1]) < lengths[:, None]).long()
        hooks = [self.blocks[layer - 1].register_forward_hook(keep(layer)) for layer in layers]
        try:
            device = self.model.device
            self.model.base_model(ids.to(device), attention_mask=mask.to(device), use_cache=False)
        finally:
            for hook in hooks:
                hook.remove()
        return seen


def _pooled(states: Tensor, lengths: Tensor) -> dict[str, Tensor]:
    """Return each of `POOLINGS` of states, (texts, longest, width), over the texts' own tokens."""
    own = torch.arange(states.shape[1]) < lengths[:, None]
    mean = states.masked_fill(~own[..., None], 0).sum(1) / lengths[:, None]
    return {"mean": mean, "last": states[torch.arange(len(states)), lengths - 1]}


def _blocks(model: PreTrainedModel, folder: Path) -> nn.ModuleList:
    """Return the list of a model's blocks, whatever it is called."""
    depth = model.config.get_text_config().num_hidden_layers
    for module in model.base_model.modules():
        if isinstance(module, nn.ModuleList) and len(module) == depth:
            return module
    raise ValueError(
        f"{folder} holds a model without a list of its {depth} blocks: hidden states cannot be "
        "read; choose another model for the scorer"
    )
