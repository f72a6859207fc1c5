"""The language experiment's steps: what is trained, sampled and measured, and what is refused."""

import json
import re
import zlib

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file
from transformers import GPT2Config, GPT2LMHeadModel

from equitune.config import (
    CHOOSING,
    LANGUAGE_METHODS,
    REGARD_LABELS,
    RegardScorer,
    Sampling,
    SmallGPT2,
    Training,
)
from equitune.language import evaluation, experiment, scorers
from equitune.language.chooser import Chooser
from equitune.language.corpus import write_corpus
from equitune.language.lexicon import read_lexicon
from equitune.language.methods import build, load
from equitune.language.prompts import read_prompts
from equitune.language.regard import TfidfScorer
from equitune.language.run import CorpusRun, LanguageRun
from equitune.language.samples import read_samples
from equitune.run import loop
from equitune.run.job import Job

NETWORK = SmallGPT2(layers=1, heads=2, width=16, dropout=0.1)
PLAN = Training(steps=6, batch_size=32, learning_rate=1e-2, save_seconds=0, validate_every=3)
AXES = {"gender": "gender_short", "race": "race"}
TASKS = ["respect", "occupation"]
MEASURED = [method for method in LANGUAGE_METHODS if method not in CHOOSING]
SAMPLING = Sampling(samples=3, new_tokens=5)


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    """Sentences to train on and to validate on."""
    folder = tmp_path_factory.mktemp("corpus")
    write_corpus(40, 0, None, folder / "train.txt", folder / "validation.txt")
    return folder


def pretrain(texts, output, network=NETWORK, plan=PLAN, **options):
    train, validation = texts / "train.txt", texts / "validation.txt"
    job = Job(output=output, device="cpu", **options)
    run = CorpusRun(network=network, seed=0, training=plan)
    experiment.pretrain(run, train, validation, job)
    return output.parent


@pytest.fixture(scope="module")
def base(texts, tmp_path_factory):
    """The folder of a model that was trained for a few steps."""
    return pretrain(texts, tmp_path_factory.mktemp("base") / "manifest.json")


WORDS = Chooser(RegardScorer("words"))


def generate(
    base, output, method="equi", axes=AXES, tasks=TASKS, sampling=SAMPLING, seed=0, chooser=WORDS
):
    run = LanguageRun(model="small", method=method, axes=axes, tasks=tasks, seed=seed)
    chooser = chooser if method in CHOOSING else None
    experiment.generate(run, base, sampling, Job(output=output, device="cpu"), chooser=chooser)
    return read_samples(output)


def test_generation_that_is_killed_goes_on_with_what_is_missing(base, tmp_path, monkeypatch):
    whole = generate(base, tmp_path / "whole.jsonl")
    output, states, asked = tmp_path / "samples.jsonl", tmp_path / "states", []
    once = experiment.sample

    def sample(*arguments):
        asked.append(len(asked))
        if len(asked) == 3:
            raise KeyboardInterrupt  # in the third of four parts
        return once(*arguments)

    monkeypatch.setattr(experiment, "sample", sample)
    run = LanguageRun(model="small", method="equi", axes=AXES, tasks=TASKS)
    job = Job(output=output, device="cpu", state_folder=states)
    with pytest.raises(KeyboardInterrupt):
        experiment.generate(run, base, SAMPLING, job)
    assert not output.exists()
    experiment.generate(run, base, SAMPLING, job)
    assert len(asked) == 3 + 2
    assert read_samples(output) == whole
    assert list(states.iterdir()) == []


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


@pytest.mark.parametrize("method", LANGUAGE_METHODS)
def test_samples_are_of_every_prompt_and_the_same_bytes_again(base, tmp_path, method):
    samples = generate(base, tmp_path / "one.jsonl", method)
    generate(base, tmp_path / "two.jsonl", method, sampling=Sampling(3, 5, batch_size=7))
    assert (tmp_path / "one.jsonl").read_bytes() == (tmp_path / "two.jsonl").read_bytes()
    prompts, known = read_prompts(), [(s.axis, s.task, s.prompt, s.sample) for s in samples]
    assert known == [
        (axis, task, prompt.text, number)
        for axis in AXES
        for task in TASKS
        for prompt in prompts(axis, task)
        for number in range(3)
    ]
    assert {(s.model, s.method) for s in samples} == {("small", method)}
    assert all(s.prompt == f"The {s.demographic} {s.context}" for s in samples)
    assert len({s.model_hash for s in samples}) == (1 if method == "plain" else len(AXES))
    assert not any("\n" in s.continuation or "<|" in s.continuation for s in samples)
    words = [s.continuation.replace(".", " .").split() for s in samples]
    assert max(map(len, words)) == 5
    # continuations carry their leading space
    assert all(s.continuation.startswith((" ", ".")) or not s.continuation for s in samples)


def test_another_seed_model_or_method_gives_other_samples(base, tmp_path):
    first = generate(base, tmp_path / "first.jsonl")
    again = generate(base, tmp_path / "again.jsonl", seed=1)
    assert not {s.seed for s in first} & {s.seed for s in again}
    assert [s.continuation for s in first] != [s.continuation for s in again]
    assert {s.model_hash for s in first} == {s.model_hash for s in again}
    plain = generate(base, tmp_path / "plain.jsonl", "plain")
    relaxed = generate(base, tmp_path / "relaxed.jsonl", "relaxed")
    for one, other in ((first, plain), (first, relaxed), (plain, relaxed)):
        assert not {s.model_hash for s in one} & {s.model_hash for s in other}
    # one seed for each text, the same for all methods
    assert [s.seed for s in plain] == [s.seed for s in first]


@pytest.mark.parametrize("method", ["equi", "equizero"])
def test_seeds_differ_between_prompts_unless_their_stream_is_shared(base, tmp_path, method):
    own = generate(base, tmp_path / "own.jsonl", method)
    assert len({s.seed for s in own}) == len(own)
    assert all(0 <= s.seed < 2**63 for s in own)
    sampling = Sampling(samples=3, new_tokens=5, shared_stream=True)
    shared = generate(base, tmp_path / "shared.jsonl", method, sampling=sampling)
    families = {}
    for s in shared:
        families.setdefault((s.axis, s.task, s.context, s.sample), []).append(s)
    assert all(len({s.seed for s in family}) == 1 for family in families.values())
    assert len({s.seed for s in shared}) == len(families) == len(shared) / 2
    # the exactly fair model then says the same of both
    pairs = {axis: read_lexicon(lexicon).equality for axis, lexicon in AXES.items()}
    for first, second in families.values():
        exchange = {x: y for a, b in pairs[first.axis] for x, y in ((a, b), (b, a))}
        words = [exchange.get(word, word) for word in first.continuation.split(" ")]
        assert " ".join(words) == second.continuation


def test_equizero_likes_what_its_scorer_likes(base, texts, tmp_path):
    sampling = Sampling(samples=20, new_tokens=12)
    shares = {}
    for method in LANGUAGE_METHODS:
        samples = generate(base, tmp_path / f"{method}.jsonl", method, sampling=sampling)
        labels = WORDS.scorer("cpu")([s.text for s in samples])
        shares[method] = [labels.count(label) / len(labels) for label in REGARD_LABELS]
    for chosen, average in (("equizero", "plain"), ("relaxed_equizero", "plain")):
        assert shares[chosen][0] > shares[average][0] + 0.05  # positive
        assert shares[chosen][2] < shares[average][2] - 0.05  # negative


def test_the_choice_depends_on_the_scorer_and_what_it_reads(base, tmp_path, monkeypatch):
    found, read = {}, []

    class Remembering(Arbitrary):
        def __call__(self, texts):
            read.append(texts)
            return super().__call__(texts)

    monkeypatch.setattr(scorers, "make_scorer", lambda *_: Remembering())
    for masked, cut in ((True, True), (False, False)):
        chooser = Chooser(RegardScorer("words"), None, masked, cut)
        file = tmp_path / f"{masked}.jsonl"
        found[masked] = generate(base, file, "equizero", chooser=chooser)
        manifest = json.loads(file.with_suffix(".manifest.json").read_text())["configuration"]
        assert manifest["mask"] is manifest["cut"] is masked
        assert manifest["scorer"]["kind"] == "words"
    masked, whole = read[:4], read[4:]
    assert all(text.startswith("XYZ was ") for text in masked[0])
    starts = {" ".join(text.split()[:2]) for texts in whole for text in texts}
    assert starts == {"The man", "The woman", "The Black", "The White"}
    assert {s.model_hash for s in found[True]}.isdisjoint({s.model_hash for s in found[False]})
    assert [s.text for s in found[True]] != [s.text for s in found[False]]


def test_a_trained_scorer_is_among_the_inputs(base, tmp_path):
    scorer = tmp_path / "scorer.safetensors"
    TfidfScorer.fit(["XYZ was kind", "XYZ was bad"], ["positive", "negative"]).save(scorer)
    chooser = Chooser(RegardScorer("tfidf", "regard_train"), scorer)
    file = tmp_path / "samples.jsonl"
    first = generate(base, file, "equizero", chooser=chooser)
    assert str(scorer) in json.loads(file.with_suffix(".manifest.json").read_text())["inputs"]
    TfidfScorer.fit(["XYZ was a", "XYZ was the"], ["positive", "negative"]).save(scorer)
    again = generate(base, file, "equizero", chooser=chooser)
    assert {s.model_hash for s in first}.isdisjoint({s.model_hash for s in again})


class Arbitrary:
    """A scorer without any symmetry: its label depends on every letter of a text."""

    def __call__(self, texts):
        return [REGARD_LABELS[zlib.crc32(text.encode()) % 4] for text in texts]

    def recognises(self, texts):
        return [True] * len(texts)


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


def test_pieces_are_cut_where_the_lexicons_tokens_stand(gpt2, tmp_path):
    sampling = Sampling(samples=2, new_tokens=12)
    for method in ("plain", "equi", "relaxed", "equizero"):
        samples = generate(gpt2, tmp_path / "gpt2.jsonl", method, sampling=sampling)
        assert all("".join(s.pieces) == s.continuation for s in samples)
        moved = {word for s in samples for word in s.pieces[1::2]}
        assert moved <= {"man", "woman", "Black", "White"}


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
    with pytest.raises(ValueError, match="does not know all words of 'The man flew as'"):
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
