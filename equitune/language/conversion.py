"""GGUF made a folder that every step reads: safetensors and tokenizer.

transformers reads some architectures of GGUF, but what it reads cannot be saved again: a quantizer
stays attached. So the weights, dequantized once, are saved by a model built anew.
"""

from __future__ import annotations

import importlib.metadata
import logging
from pathlib import Path
from typing import Any

import torch

from equitune.compat import extra, require
from equitune.io.files import atomic_folder, sha256
from equitune.io.places import check_file
from equitune.run.manifests import write_manifest

require("language", "gguf")
with extra("language"):
    from transformers import (
        AutoModelForCausalLM,
        AutoTokenizer,
        PreTrainedModel,
        PreTrainedTokenizerBase,
    )

logger = logging.getLogger(__name__)

DTYPE = torch.float32  # what dequantized values are computed in: nothing is rounded again
MAGIC = b"GGUF"
ADVICE = "name a file of another architecture, or convert it elsewhere and use kind: folder"


def convert(file: Path, manifest: Path) -> None:
    """Write a GGUF as config.json, model.safetensors and tokenizer, once for all that read it.

    The folder appears whole, with its manifest, or not at all; one that exists is replaced.

    Args:
        file: a language model as GGUF.
        manifest: manifest.json of the folder; it has the file's SHA-256, the dtype, the versions of
            gguf and transformers and the SHA-256 of what was written.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged, or of an architecture that transformers cannot read.
        WriteError: the disk is full, or the folder cannot be written to.
    """
    check_file(file, "retrieve it, or name another file")
    logger.info("%s: its %s weights are written to %s", file.name, DTYPE, manifest.parent)
    model, tokenizer = read(file)
    facts = {
        "dtype": str(DTYPE).removeprefix("torch."),
        "gguf": importlib.metadata.version("gguf"),
        "transformers": importlib.metadata.version("transformers"),
    }
    with atomic_folder(manifest.parent) as folder:
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        written = {each.name: sha256(each) for each in sorted(folder.iterdir())}
        write_manifest(
            folder / manifest.name,
            {"converted": file.name, **facts},
            {file.name: sha256(file)},
            outputs=written,
        )


def read(file: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Return a GGUF as a model that can be saved, and its tokenizer; errors as `convert`."""
    with open(file, "rb") as opened:
        if opened.read(len(MAGIC)) != MAGIC:
            raise ValueError(f"{file} is not a GGUF: expected a file that begins with {MAGIC!r}")
    names = {"pretrained_model_name_or_path": str(file.parent), "gguf_file": file.name}
    try:
        tokenizer = AutoTokenizer.from_pretrained(**names, trust_remote_code=False)
        model, report = AutoModelForCausalLM.from_pretrained(
            **names,
            use_safetensors=True,  # nothing pickled, whatever else lies in the folder
            trust_remote_code=False,
            dtype=DTYPE,
            output_loading_info=True,
        )
    except MemoryError:
        raise
    except Exception as error:  # of gguf, of transformers and of what they read with
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(
            f"{file} cannot be read by transformers ({reason[:300]}): {ADVICE}"
        ) from error
    # a weight that is missing would be drawn at random
    if wrong := {what: sorted(keys) for what, keys in report.items() if keys}:
        raise ValueError(f"{file} does not fit its architecture ({wrong}): {ADVICE}")
    return _without_quantizer(model), tokenizer


def _without_quantizer(model: PreTrainedModel) -> PreTrainedModel:
    """Return the same model with nothing that says it was quantized, which could not be saved."""
    facts: dict[str, Any] = model.config.to_dict()
    facts.pop("quantization_config", None)
    plain = AutoModelForCausalLM.from_config(type(model.config).from_dict(facts), dtype=DTYPE)
    plain.load_state_dict(model.state_dict())
    plain.generation_config = model.generation_config
    return plain
