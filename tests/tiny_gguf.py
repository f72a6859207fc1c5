"""A language model of a few thousand weights as GGUF, and a wheel that holds a file."""

import base64
import hashlib
import zipfile

import numpy as np

WIDTH, HIDDEN, HEADS, KEY_HEADS, LAYERS, CONTEXT = 64, 96, 4, 2, 2, 32
END = "<|end|>"
# the letters of byte-level BPE that the merges make words of; Ġ is the blank
LETTERS = ["Ġ", "m", "a", "n", "w", "o"]
MERGES = ["Ġ m", "a n", "Ġm an", "Ġ w", "o m", "Ġw om", "Ġwom an"]
TOKENS = [END, *LETTERS, *(merge.replace(" ", "") for merge in MERGES)]


def shapes():
    """The tensors of the file by name, rows first as numpy has them."""
    found = {"token_embd.weight": (len(TOKENS), WIDTH), "output_norm.weight": (WIDTH,)}
    keys = WIDTH * KEY_HEADS // HEADS
    for layer in range(LAYERS):
        each = {
            "attn_q": (WIDTH, WIDTH),
            "attn_k": (keys, WIDTH),
            "attn_v": (keys, WIDTH),
            "attn_output": (WIDTH, WIDTH),
            "ffn_gate": (HIDDEN, WIDTH),
            "ffn_up": (HIDDEN, WIDTH),
            "ffn_down": (WIDTH, HIDDEN),
            "attn_norm": (WIDTH,),
            "ffn_norm": (WIDTH,),
        }
        found |= {f"blk.{layer}.{name}.weight": shape for name, shape in each.items()}
    return found


def write_gguf(path, architecture="llama", without=()):
    """Write the model with 4-bit matrices; return its values, dequantized, by name."""
    import gguf

    writer = gguf.GGUFWriter(path, architecture)
    writer.add_name("tiny")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(HIDDEN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KEY_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10_000.0)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_vocab_size(len(TOKENS))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(TOKENS)
    writer.add_token_merges(MERGES)
    writer.add_token_types([3] + [1] * (len(TOKENS) - 1))  # 3: a control token
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(0)
    draws, values = np.random.default_rng(0), {}
    for name, shape in shapes().items():
        if name in without:
            continue
        drawn = draws.normal(size=shape).astype(np.float32)
        if len(shape) == 1:
            writer.add_tensor(name, drawn)
            values[name] = drawn
            continue
        kind = gguf.GGMLQuantizationType.Q4_1
        packed = gguf.quantize(drawn, kind)
        writer.add_tensor(name, packed, raw_dtype=kind)
        values[name] = gguf.dequantize(packed, kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return values


def write_wheel(folder, members, package="tiny-model", version="1.2"):
    """Write a wheel that pip takes for one of a package; return its path and its SHA-256."""
    name = package.replace("-", "_")
    info = f"{name}-{version}.dist-info"
    files = {
        **members,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n".encode()
        + b"Requires-Dist: nothing-that-exists\n",  # which is not to be asked for
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    lines = []
    for member, content in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        lines.append(f"{member},sha256={digest},{len(content)}\n")
    files[f"{info}/RECORD"] = "".join([*lines, f"{info}/RECORD,,\n"]).encode()
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, content in files.items():
            archive.writestr(zipfile.ZipInfo(member), content)
    return wheel, hashlib.sha256(wheel.read_bytes()).hexdigest()
