"""A folder's model is loaded whole or refused in one line, and each method makes its own of it."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from equitune.config import LANGUAGE_METHODS
from equitune.language.lexicon import Lexicon, read_lexicon
from equitune.language.methods import build, load, vocabulary, weights

LEXICON = Lexicon("own", ("man", "woman"), (("man", "woman"), ("king", "queen")), ("he", "she"))
X = torch.tensor([[2, 3, 4, 5]])


def test_a_folder_is_loaded_as_it_was_saved(model_folder, language_model, tokenizer):
    model, loaded = load(model_folder, "cpu")
    expected = language_model(vocab_size=len(tokenizer))
    assert torch.equal(model(X).logits, expected(X).logits)
    assert not model.training
    assert loaded.get_vocab() == tokenizer.get_vocab()
    assert vocabulary(model) == len(tokenizer)
    assert [file.name for file in weights(model_folder)] == ["model.safetensors"]


def test_the_precision_is_that_of_the_weights(model_folder):
    assert {x.dtype for x in load(model_folder, "cpu", "bfloat16")[0].parameters()} == {
        torch.bfloat16
    }


def truncated(folder):
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:1000])


def without_a_weight(folder):
    file = folder / "model.safetensors"
    tensors = load_file(file)
    del tensors["transformer.h.1.mlp.c_fc.weight"]
    save_file(tensors, file, {"format": "pt"})


def of_another_width(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "n_embd": 8}))


def of_no_model(folder):
    (folder / "config.json").write_text('{"answer": 42}')


def of_another_kind(folder):
    (folder / "config.json").write_text('{"model_type": "resnet"}')


def without_weights(folder):
    (folder / "model.safetensors").unlink()


def without_config(folder):
    (folder / "config.json").unlink()


def without_tokenizer(folder):
    (folder / "tokenizer.json").unlink()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (truncated, "holds no language model that can be read"),
        (without_a_weight, r"holds no language model that can be read \(.*h.1.mlp.c_fc.weight"),
        (of_another_width, "holds no language model that can be read"),
        (of_no_model, "holds no language model that can be read"),
        (of_another_kind, "holds no language model that can be read"),
        (without_weights, r"has no config.json or no \*.safetensors"),
        (without_config, r"has no config.json or no \*.safetensors"),
        (without_tokenizer, "no tokenizer"),
    ],
)
def test_a_damaged_folder_is_one_line(model_folder, damage, message, caplog):
    damage(model_folder)
    with pytest.raises(ValueError, match=message) as error:
        load(model_folder, "cpu")
    assert str(model_folder) in str(error.value)
    assert "\n" not in str(error.value)
    assert caplog.text == ""  # no report of transformers beside it


def test_a_missing_folder_is_one_line(tmp_path):
    with pytest.raises(ValueError, match=r"nowhere has no config.json"):
        load(tmp_path / "nowhere")


def test_each_method_is_its_own_model(model_folder):
    model, tokenizer = load(model_folder, "cpu")
    built = {name: build(model, tokenizer, LEXICON, name) for name in LANGUAGE_METHODS}
    orders = {name: equi.action.group.order for name, equi in built.items()}
    assert orders == dict.fromkeys(LANGUAGE_METHODS, 2) | {"plain": 1}
    assert all(equi.model is model for equi in built.values())
    x = torch.tensor([tokenizer("The man worked as")["input_ids"]])
    logits = {name: equi(x).logits for name, equi in built.items()}
    general = tokenizer.convert_tokens_to_ids([" he", " she"])
    assert torch.equal(logits["plain"], model(x).logits)
    assert torch.allclose(logits["relaxed"][..., general], logits["plain"][..., general], atol=1e-5)
    differ = (logits["relaxed"] != logits["equi"]).flatten(0, -2).any(0).nonzero()[:, 0]
    assert sorted(differ.tolist()) == sorted(general)
    # equizero draws its candidates from copies of these
    assert torch.equal(logits["equizero"], logits["equi"])
    assert torch.equal(logits["relaxed_equizero"], logits["relaxed"])
    images = tokenizer.convert_tokens_to_ids([" queen", " king"])
    assert built["equi"].action(1, torch.tensor(images)).tolist() == images[::-1]


def test_other_forms_move_when_asked(model_folder):
    model, tokenizer = load(model_folder, "cpu")
    lexicon = Lexicon("own", ("The", "he"), (("The", "he"),))
    with pytest.raises(ValueError, match=r"lexicon own: 'The' .* is '<unk>'"):
        build(model, tokenizer, lexicon, "equi")
    lexicon = Lexicon("own", ("he", "she"), (("he", "she"),))
    skipped = build(model, tokenizer, lexicon, "equi", forms=True)
    assert len(skipped.averaging.moved.array) == 2


def test_what_cannot_be_built_is_one_line(model_folder, language_model):
    model, tokenizer = load(model_folder, "cpu")
    size = len(tokenizer)
    cases = [
        (model, LEXICON, "equitune", "unknown method 'equitune'.*equi"),
        (model, read_lexicon("race"), "equi", "lexicon race: 'Black'"),
        (language_model(vocab_size=size - 1), LEXICON, "equi", f"has {size - 1} ids, .* {size}:"),
    ]
    for wrapped, lexicon, method, message in cases:
        with pytest.raises(ValueError, match=message) as error:
            build(wrapped, tokenizer, lexicon, method)
        assert "\n" not in str(error.value)
