"""A pretrained language model from a folder, and what each method makes of it; trains nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch

from equitune.compat import extra
from equitune.config import LANGUAGE_METHODS
from equitune.io.names import nearest
from equitune.language.lexicon import Lexicon
from equitune.language.models import EquiCausalLM
from equitune.language.words import check_size, load_tokenizer, words_on
from equitune.methods import METHODS
from equitune.run import devices

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

# by `Method.combine`: candidates of equizero are drawn from the copies that the mean is taken over
COMBINE: dict[str, Literal["mean", "frame"]] = {"mean": "mean", "select": "mean", "frame": "frame"}
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def load(
    folder: Path, device: str = "auto", precision: str = "float32"
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Read a causal language model of transformers and its tokenizer from a folder.

    Raises:
        ValueError: a file is missing or cannot be read, or the two do not go together.
    """
    with extra("language"):
        from transformers import AutoModelForCausalLM
        from transformers.utils import logging as messages

    messages.disable_progress_bar()
    messages.set_verbosity_error()  # its report of several lines: what is wrong is raised below
    if not (folder / "config.json").is_file() or not weights(folder):
        raise ValueError(
            f"{folder} has no config.json or no *.safetensors: expected a model's folder of "
            "Hugging Face"
        )
    try:
        model, found = AutoModelForCausalLM.from_pretrained(
            folder,
            use_safetensors=True,
            trust_remote_code=False,  # else it would ask whether to run code in the folder
            dtype=PRECISIONS[precision],
            output_loading_info=True,
        )
        if missing := sorted(found["missing_keys"]):  # transformers leaves these random
            raise ValueError(f"missing weights: {', '.join(missing)}")
    except Exception as error:  # whatever a damaged file makes of it
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"{folder} holds no language model that can be read ({reason})") from error
    tokenizer = load_tokenizer(str(folder))
    check_size(tokenizer, vocabulary(model))
    return model.to(devices.prepare(device)).eval(), tokenizer


def build(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    lexicon: Lexicon,
    method: str,
    forms: bool = False,
) -> EquiCausalLM:
    """Return a model as a method makes it fair along a lexicon's axis.

    Of equizero it is the mean over the copies that candidates are drawn from one by one; that
    model itself is equi's, or relaxed's.

    Args:
        model: a causal language model; its weights are shared.
        tokenizer: the model's.
        lexicon: which words move.
        method: one of `LANGUAGE_METHODS`.
        forms: other forms of the lexicon's words move too.

    Raises:
        ValueError: unknown method, words of several tokens, or a vocabulary that differs.
    """
    if method not in LANGUAGE_METHODS:
        raise ValueError(f"unknown method {method!r}{nearest(method, LANGUAGE_METHODS)}")
    how = METHODS[method]
    if how.combine is None:
        return EquiCausalLM.wrap(model)
    words = words_on(lexicon, tokenizer, vocabulary(model), forms=forms)
    combine, relaxed = COMBINE[how.combine], how.relaxed
    return EquiCausalLM.wrap(model, words.action, words.general, relaxed=relaxed, combine=combine)


def moved_ids(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    lexicon: Lexicon,
    method: str,
    forms: bool = False,
) -> frozenset[int] | None:
    """Return the token ids that a lexicon moves; None for a plain model that it does not fit.

    Raises:
        ValueError: words of several tokens, or a vocabulary that differs.
    """
    size = vocabulary(model)
    try:
        action = words_on(lexicon, tokenizer, size, forms=forms).action
    except ValueError:
        if METHODS[method].combine is None:  # nothing of it is moved
            return None
        raise
    ids = torch.arange(size)
    return frozenset(ids[action(1, ids) != ids].tolist())


def weights(folder: Path) -> list[Path]:
    """Return the files of a model's weights."""
    return sorted(folder.glob("*.safetensors"))


def vocabulary(model: PreTrainedModel) -> int:
    """Return the number of a model's token ids."""
    size: int = model.config.get_text_config(decoder=True).vocab_size
    return size
