"""The language experiment's steps: what is trained and measured, and what is refused."""

import json
import re
import zlib

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file
from small_language import AXES, SAMPLING, TASKS, Arbitrary, generate, pretrain
from transformers import GPT2Config, GPT2LMHeadModel

from equitune.config import (
    CHOOSING,
    LANGUAGE_METHODS,
    REGARD_LABELS,
    RegardScorer,
    Sampling,
    SmallGPT2,
)
from equitune.language import evaluation, experiment
from equitune.language.lexicon import read_lexicon
from equitune.language.methods import build, load
from equitune.language.prompts import read_prompts
from equitune.language.run import LanguageRun
from equitune.run import loop
from equitune.run.job import Job

MEASURED = [method for method in LANGUAGE_METHODS if method not in CHOOSING]


def measure(base, output, method, axes=AXES, tasks=TASKS, text=None, block=None):
    run = LanguageRun(model="small", method=method, axes=axes, tasks=tasks)
    experiment.measure(run, base, Job(output=output, device="cpu"), text=text, block=block)
    return pd.read_csv(output)


def test_pretraining_learns_and_says_what_it_did(base, texts):
    manifest = json.loads((base / "manifest.json").read_text())
    assert manifest["configuration"]["network"]["width"] == 16
    assert set(manifest["inputs"]) == {"train.txt", "validation.txt"}
    scores = manifest["validation"]
    assert scores["6"] > scores["3"]
    model, tokenizer = load(base, "cpu")
    assert (model.config.n_embd, model.config.vocab_size) == (16, len(tokenizer))
    text = (texts / "train.txt").read_text()
    assert tokenizer.unk_token_id not in tokenizer(text, verbose=False)["input_ids"]
    # the mean log-probability of tokens, as validated
    held = (texts / "validation.txt").read_text().splitlines()[:50]
    losses = []
    for line in held:
        ids = torch.tensor([tokenizer(f"{line}\n")["input_ids"]])
        losses.append(float(model(ids, labels=ids).loss.detach()))
    assert sum(losses) / len(losses) == pytest.approx(-scores["6"], abs=0.2)


class Killed(BaseException):
    """What a killed process would be, inside one process."""


def test_an_interrupted_pretraining_ends_with_the_same_bytes(base, texts, tmp_path, monkeypatch):
    states, output = tmp_path / "states", tmp_path / "again" / "manifest.json"
    with monkeypatch.context() as patch:
        advance = loop.Progress.advance

        def kill(self, step):
            if step == 5:
                raise Killed
            advance(self, step)

        patch.setattr(loop.Progress, "advance", kill)
        with pytest.raises(Killed):
            pretrain(texts, output, state_folder=states)
    assert len(list(states.iterdir())) == 1
    assert not output.parent.exists() or not list(output.parent.iterdir())
    pretrain(texts, output, state_folder=states)
    assert json.loads(output.read_text())["resumed_at"] == 4
    assert list(states.iterdir()) == []
    names = {file.name for file in base.iterdir()}
    assert names >= {"config.json", "manifest.json", "model.safetensors", "tokenizer.json"}
    assert names == {file.name for file in output.parent.iterdir()}
    for name in names - {"manifest.json"}:
        assert (output.parent / name).read_bytes() == (base / name).read_bytes(), name


def test_a_sentence_longer_than_the_context_is_one_line(texts, tmp_path):
    (tmp_path / "train.txt").write_text("word " * 30)
    (tmp_path / "validation.txt").write_text("word\n")
    with pytest.raises(ValueError, match=r"3\d tokens exceeds the context of 24: set language"):
        pretrain(tmp_path, tmp_path / "out" / "manifest.json", SmallGPT2(context=24))
    assert not (tmp_path / "out").exists()


class Shares(Arbitrary):
    """The same with probabilities."""

    def probabilities(self, texts):
        seeds = [zlib.crc32(text.encode()) for text in texts]
        return np.array([np.random.default_rng(seed).dirichlet([1] * 4) for seed in seeds])


@pytest.fixture(scope="module")
def many_words(gpt2, tmp_path_factory):
    """A lexicon of this many tokens of GPT-2 that many a text has one inside a longer word."""
    known = {word for prompt in read_prompts() for word in re.findall(r"\w+", prompt.text)}
    words = [
        token[1:] for token in json.loads((gpt2 / "vocab.json").read_text()) if token[0] == "Ġ"
    ]
    words = [x for x in words if re.fullmatch("[a-z]{3,}", x) and x not in known | {"his", "her"}]
    pairs = [list(pair) for pair in zip(words[:3000:2], words[1:3000:2], strict=True)]
    path = tmp_path_factory.mktemp("lexicon") / "many.yaml"
    content = {"demographics": ["man", "woman"], "equality": pairs, "general": []}
    path.write_text(yaml.safe_dump(content))
    return {"gender": str(path)}


@pytest.mark.parametrize("scorer", [Arbitrary(), Shares()], ids=["labels", "probabilities"])
@pytest.mark.parametrize("folder", ["base", "gpt2"])  # words as tokens, and parts of words
def test_a_fair_model_of_order_2_has_no_gap_by_the_symmetric_scorer(
    folder, scorer, tmp_path, monkeypatch, request
):
    axes = request.getfixturevalue("many_words") if folder == "gpt2" else AXES
    sampling = Sampling(samples=12, new_tokens=12, shared_stream=True)
    file, base = tmp_path / "samples.jsonl", request.getfixturevalue(folder)
    samples = generate(base, file, axes=axes, sampling=sampling)
    if folder == "gpt2":
        glued = [re.findall(r"\w$|^\w", text) for s in samples for text in s.pieces[::2] if text]
        assert sum(map(bool, glued)) > 10
    monkeypatch.setattr(evaluation, "make_scorer", lambda *_: scorer)
    outputs = [tmp_path / f"{name}.csv" for name in ("regard", "fairness", "texts")]
    evaluation.evaluate(
        *([file], [], RegardScorer("words"), None, 0, evaluation.Outputs(*outputs)), axes=axes
    )
    table = pd.read_csv(outputs[1])
    assert (table["regard_gap"] != 0).any()
    assert (table["symmetric_gap"] == 0).all()  # exactly
    assert (table["symmetric_p_value"] == 1).all()
    regard = pd.read_csv(outputs[0])
    shares = regard[[f"symmetric_{label}" for label in REGARD_LABELS]].to_numpy()
    assert (shares[::2] == shares[1::2]).all()


@pytest.mark.parametrize("method", ["plain", "equi", "relaxed", "equizero"])
def test_pieces_are_cut_where_the_lexicons_tokens_stand(base, tmp_path, method):
    words = {"gender": "man|woman", "race": "Black|White"}
    sampling = Sampling(samples=12, new_tokens=12)
    samples = generate(base, tmp_path / "base.jsonl", method, sampling=sampling)
    for sample in samples:
        assert "".join(sample.pieces) == sample.continuation
        # its tokens have a blank before them, but "The", which begins a line
        whole = re.compile(f"(?<![a-z])(?:{words[sample.axis]})(?![a-z])")
        assert list(sample.pieces[1::2]) == whole.findall(sample.continuation)
    assert any(len(sample.pieces) > 1 for sample in samples)


def test_a_plain_model_needs_no_lexicon_that_fits_its_tokens(base, tmp_path):
    lexicon = tmp_path / "lexicon.yaml"
    lexicon.write_text("demographics: [man, gentlewoman]\nequality: []\ngeneral: []\n")
    axes = {"gender": str(lexicon)}
    samples = generate(base, tmp_path / "plain.jsonl", "plain", axes)
    assert {s.pieces for s in samples} == {None}
    with pytest.raises(ValueError, match="'gentlewoman'"):
        generate(base, tmp_path / "fair.jsonl", "equi", axes)


@pytest.mark.parametrize("method", CHOOSING)
def test_what_chooses_among_whole_texts_is_not_measured(base, tmp_path, method):
    with pytest.raises(ValueError, match=f"method {method} chooses among whole texts, so there is"):
        measure(base, tmp_path / "measures.csv", method)
    assert not (tmp_path / "measures.csv").exists()


@pytest.mark.parametrize("method", MEASURED)
def test_the_distance_of_demographics_and_perplexity_are_measured(base, texts, tmp_path, method):
    text = tmp_path / "text"
    text.write_text("".join((texts / "validation.txt").read_text().splitlines(True)[:100]))
    table = measure(base, tmp_path / "out" / "measures.csv", method, text=text)
    assert list(table.columns) == list(experiment.MEASURE_COLUMNS)
    assert list(zip(table.axis, table.task, strict=True)) == [(a, t) for a in AXES for t in TASKS]
    distances = table.counterfactual_tv
    if method in ("equi", "frame"):
        assert (distances <= 1e-9).all()
    else:
        assert (distances > 1e-4).all()
        assert (distances < 1).all()
    model, tokenizer = load(base, "cpu")
    for axis, perplexity in zip(table.axis, table.perplexity, strict=True):
        wrapped, total, count = build(model, tokenizer, read_lexicon(AXES[axis]), method), 0.0, 0
        for line in text.read_text().splitlines():
            ids = tokenizer(f"{line}\n")["input_ids"]
            chances = wrapped(torch.tensor([ids])).logits[0, :-1].detach().log_softmax(-1)
            total -= float(chances.gather(-1, torch.tensor(ids[1:])[:, None]).sum())
            count += len(ids) - 1
        assert perplexity == pytest.approx(torch.tensor(total / count).exp().item(), rel=1e-4)


@pytest.mark.parametrize(("method", "times"), [("plain", 1), ("equi", len(AXES))])
def test_the_model_as_it_is_has_one_perplexity_for_all_axes(
    base, tmp_path, monkeypatch, method, times
):
    calls = []
    monkeypatch.setattr(experiment.measures, "perplexity", lambda *_: calls.append(1) or 2.0)
    (tmp_path / "text").write_text("The man\n")
    table = measure(base, tmp_path / "measures.csv", method, text=tmp_path / "text")
    assert (table.perplexity == 2).all()
    assert len(calls) == times


def test_perplexity_is_left_empty_without_a_text_and_blocks_are_cut(base, texts, tmp_path):
    table = measure(base, tmp_path / "measures.csv", "plain")
    assert table.perplexity.isna().all()
    text = texts / "validation.txt"
    cut = measure(base, tmp_path / "measures.csv", "plain", text=text, block=32)
    assert (cut.perplexity > 1).all()
    with pytest.raises(ValueError, match="64 tokens exceeds the model's context of 32: set block"):
        measure(base, tmp_path / "measures.csv", "plain", text=text, block=64)


def test_prompts_of_unknown_words_are_one_line(base, tmp_path):
    prompts = tmp_path / "prompts.yaml"
    prompts.write_text("axes: {gender: {man: man, woman: woman}}\ntasks: {respect: [flew as]}\n")
    axes = {"gender": "gender_short"}
    run = LanguageRun(model="small", method="plain", axes=axes, tasks=["respect"])
    job = Job(output=tmp_path / "samples.jsonl")
    with pytest.raises(ValueError, match="does not know 'flew' of 'The man flew as': choose"):
        experiment.generate(run, base, SAMPLING, job, prompts=prompts)
    assert not (tmp_path / "samples.jsonl").exists()


@pytest.fixture(scope="module")
def gpt2(shared, tmp_path_factory):
    """Files in the layout of GPT-2's: its tokenizer, names and vocabulary, random weights."""
    folder, mirror = tmp_path_factory.mktemp("gpt2"), shared / "mirror" / "gpt2-tokenizer"
    for name in ("vocab.json", "merges.txt"):
        (folder / name).write_bytes((mirror / name).read_bytes())
    torch.manual_seed(0)
    config = GPT2Config(n_positions=64, n_embd=8, n_layer=2, n_head=2, initializer_range=0.5)
    GPT2LMHeadModel(config).save_pretrained(folder)
    tensors = load_file(folder / "model.safetensors")
    published = {name.removeprefix("transformer."): x for name, x in tensors.items()}
    for layer in range(2):  # masks, which the published file still has
        published[f"h.{layer}.attn.bias"] = torch.ones(64, 64).tril()[None, None]
    save_file(published, folder / "model.safetensors", {"format": "pt"})
    (folder / "generation_config.json").unlink()
    config = json.loads((folder / "config.json").read_text())
    entries = {"model_type", "architectures", "vocab_size", "n_positions", "n_embd", "n_layer"}
    entries |= {"n_head", "bos_token_id", "eos_token_id", "initializer_range"}
    kept = {key: value for key, value in config.items() if key in entries}
    (folder / "config.json").write_text(json.dumps(kept))
    return folder


def test_files_of_gpt2_are_loaded_continued_and_measured(gpt2, tmp_path, caplog, capfd):
    axes = {"gender": "gender", "race": "race", "orientation": "orientation"}
    sampling = Sampling(samples=2, new_tokens=4)
    samples = generate(gpt2, tmp_path / "gpt2.jsonl", "equi", axes, ["respect"], sampling)
    assert len(samples) == 3 * 10 * 2
    assert all("\n" not in s.continuation for s in samples)
    assert len({s.continuation for s in samples}) > 30
    text = tmp_path / "text"
    text.write_text("A robin sang of the king and his daughters; the women sang with him.\n" * 4)
    tables = {
        method: measure(gpt2, tmp_path / f"{method}.csv", method, axes, ["respect"], text, 16)
        for method in MEASURED
    }
    assert (tables["equi"].counterfactual_tv <= 1e-9).all()
    assert (tables["plain"].counterfactual_tv > 0.01).all()
    assert (tables["relaxed"].counterfactual_tv < tables["plain"].counterfactual_tv).all()
    assert tables["plain"].perplexity.nunique() == 1
    assert tables["equi"].perplexity[0] != tables["plain"].perplexity[0]
    assert "WARNING" not in caplog.text
    assert "REPORT" not in capfd.readouterr().err
