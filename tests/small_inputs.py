"""A model's folder, as a configuration names one."""

import json

from equitune.language.tokenizer import build_tokenizer


def model(folder, words=(), **facts):
    """A folder of a language model as far as it is looked at, with a tokenizer of some words."""
    folder.mkdir()
    if words:
        build_tokenizer([" ".join(("The", *words))]).save_pretrained(folder)
    (folder / "config.json").write_text(json.dumps(facts))
    (folder / "model.safetensors").write_bytes(b"")
