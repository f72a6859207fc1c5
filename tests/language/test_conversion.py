"""A GGUF becomes a folder of safetensors and tokenizer, whole, with its dequantized values."""

import importlib.metadata
import json
import os

import pytest
import torch
from tiny_gguf import HEADS, KEY_HEADS, LAYERS, TOKENS, write_gguf

from equitune.cli import run
from equitune.io.files import WriteError, load_tensors, sha256

pytest.importorskip("gguf")

NAMES = {
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
}


@pytest.fixture
def file(tmp_path):
    return tmp_path / "tiny.Q4_1.gguf"


@pytest.fixture
def manifest(tmp_path):
    return tmp_path / "models" / "tiny" / "manifest.json"


def convert(file, manifest):
    from equitune.language.conversion import convert

    convert(file, manifest)


def unpaired(rows, heads):
    """Rows of a query or key as transformers has them.

    Rotary pairs stand side by side in a GGUF, and half a head apart in transformers.
    """
    size = len(rows) // heads
    target = torch.empty_like(rows)
    for head in range(heads):
        for pair in range(size // 2):
            for half in range(2):
                target[head * size + half * (size // 2) + pair] = rows[
                    head * size + 2 * pair + half
                ]
    return target


def test_the_weights_are_the_dequantized_values(file, manifest):
    values = {name: torch.from_numpy(array) for name, array in write_gguf(file).items()}
    convert(file, manifest)
    expected = {
        "model.embed_tokens.weight": values["token_embd.weight"],
        "model.norm.weight": values["output_norm.weight"],
    }
    for layer in range(LAYERS):
        ours, theirs = f"model.layers.{layer}", f"blk.{layer}"
        for name, renamed in NAMES.items():
            expected[f"{ours}.{renamed}.weight"] = values[f"{theirs}.{name}.weight"]
        for name, heads in (("q", HEADS), ("k", KEY_HEADS)):
            rows = values[f"{theirs}.attn_{name}.weight"]
            expected[f"{ours}.self_attn.{name}_proj.weight"] = unpaired(rows, heads)
    found, _ = load_tensors(manifest.with_name("model.safetensors"))
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name].dtype == torch.float32
        assert torch.equal(found[name], value), name


def test_the_folder_is_one_of_transformers_and_its_tokenizer_the_files(file, manifest):
    from transformers import AutoModelForCausalLM

    from equitune.language.words import load_tokenizer

    write_gguf(file)
    convert(file, manifest)
    config = json.loads(manifest.with_name("config.json").read_text())
    assert "quantization_config" not in config
    assert config["model_type"] == "llama"
    model = AutoModelForCausalLM.from_pretrained(manifest.parent)
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
    tokenizer = load_tokenizer(str(manifest.parent))
    ids = tokenizer(" man woman", add_special_tokens=False)["input_ids"]
    assert [TOKENS[each] for each in ids] == ["Ġman", "Ġwoman"]
    with torch.no_grad():
        logits = model(torch.tensor([ids])).logits
    assert logits.shape == (1, 2, len(TOKENS))
    assert logits.isfinite().all()


def test_the_manifest_says_from_what_and_with_what(file, manifest):
    import transformers

    write_gguf(file)
    assert run(["language", "convert", str(file), "--output", str(manifest)]) == 0
    facts = json.loads(manifest.read_text())
    assert facts["inputs"] == {file.name: sha256(file)}
    about = facts["configuration"]
    assert (about["converted"], about["dtype"]) == (file.name, "float32")
    assert about["transformers"] == transformers.__version__
    assert about["gguf"] == importlib.metadata.version("gguf")
    written = {each.name: sha256(each) for each in manifest.parent.iterdir() if each != manifest}
    assert facts["outputs"] == written
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= written.keys()
    modes = {each.stat().st_mode & 0o777 for each in manifest.parent.iterdir()}
    assert modes == {0o666 & ~_umask()}


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_the_same_file_gives_the_same_bytes(file, manifest, tmp_path):
    write_gguf(file)
    convert(file, manifest)
    before = manifest.with_name("model.safetensors").read_bytes()
    (manifest.parent / "of_another_version.json").write_text("{}")
    convert(file, manifest)
    assert manifest.with_name("model.safetensors").read_bytes() == before
    assert not (manifest.parent / "of_another_version.json").exists()
    assert [path.name for path in manifest.parent.parent.iterdir()] == ["tiny"]


def refused(file, manifest, capfd, *parts):
    """Check that converting is one line with all parts and leaves nothing behind."""
    capfd.readouterr()
    assert run(["language", "convert", str(file), "--output", str(manifest)]) == 1
    error = capfd.readouterr().err.splitlines()[-1]
    assert error.startswith("equitune: error: ")
    for part in parts:
        assert part in error
    assert not manifest.parent.exists()
    assert not manifest.parent.parent.exists() or not list(manifest.parent.parent.iterdir())


def test_an_architecture_that_transformers_cannot_read_is_one_line(file, manifest, capfd):
    write_gguf(file, "mamba3")
    refused(file, manifest, capfd, f"{file} cannot be read by transformers (", "mamba3", "folder")


DAMAGED = b"GGUF\3\0\0\0" + b"\xff" * 64


@pytest.mark.parametrize(
    "content",
    [b"", b"PK\3\4 a wheel", b"GGUF", DAMAGED],
    ids=["empty", "a wheel", "truncated", "damaged"],
)
def test_what_is_no_gguf_or_a_damaged_one_is_one_line(file, manifest, capfd, content):
    file.write_bytes(content)
    refused(file, manifest, capfd, str(file))


def test_a_truncated_gguf_is_one_line(file, manifest, capfd):
    write_gguf(file)
    file.write_bytes(file.read_bytes()[:-5000])
    refused(file, manifest, capfd, f"{file} cannot be read by transformers (")


def test_a_gguf_without_a_weight_is_refused(file, manifest, capfd):
    write_gguf(file, without=["blk.1.ffn_up.weight"])
    refused(file, manifest, capfd, "does not fit its architecture", "layers.1.mlp.up_proj.weight")


def test_an_absent_file_is_one_line(file, manifest, capfd):
    refused(file, manifest, capfd, f"{file} does not exist: retrieve it")


def test_a_full_disk_leaves_the_folder_that_is_there(file, manifest, monkeypatch):
    from safetensors import SafetensorError

    from equitune.language import conversion

    write_gguf(file)
    convert(file, manifest)
    before = {path.name: path.read_bytes() for path in manifest.parent.iterdir()}

    def fill(self, folder, **options):
        (folder / "model.safetensors").write_bytes(b"half")
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(conversion.PreTrainedModel, "save_pretrained", fill)
    with pytest.raises(WriteError, match=r"tiny cannot be written and is left as it was") as error:
        convert(file, manifest)
    assert "\n" not in str(error.value)
    assert {path.name: path.read_bytes() for path in manifest.parent.iterdir()} == before
    assert [path.name for path in manifest.parent.parent.iterdir()] == ["tiny"]
