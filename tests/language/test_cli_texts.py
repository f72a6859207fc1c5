"""Texts are generated, and become tables, by commands; each mistake in them is one line."""

import json

import pandas as pd
import pytest
from language_commands import error_line, run

from equitune.language.corpus import read_corpus
from equitune.language.samples import KEYS, read_samples
from equitune.results import tables

ROYAL = {"demographics": ["king", "queen"], "equality": [], "general": []}
SAMPLING = "{samples: 3, new_tokens: 4}"
GOOD, BAD = (min(words) for words in read_corpus().markers())


@pytest.fixture
def generate(tmp_path, lexicon, prompts):
    """A function that lets a model write a few texts, and returns the exit code."""

    def generate(base, method="equi", output="samples.jsonl", **changes):
        options = {"axes": json.dumps({"gender": str(lexicon)}), "prompts": prompts} | changes
        arguments = [text for name, value in options.items() for text in (f"--{name}", value)]
        arguments += ["--base", base, "--model", "mine", "--method", method, "--task", "work"]
        arguments += ["--sampling", SAMPLING, "--seed", 0, "--device", "cpu"]
        return run("generate", *arguments, "--output", tmp_path / output)

    return generate


@pytest.fixture
def evaluate(tmp_path, prompts):
    """A function that evaluates files of samples, and returns the exit code."""

    def evaluate(*files, scorer="{kind: words}", more=()):
        names = {"output": "regard", "fairness": "fairness", "texts": "texts"}
        outputs = [f"--{key}={tmp_path / 'out' / name}.csv" for key, name in names.items()]
        options = ["--scorer", scorer, "--seed", 0, "--prompts", prompts, "--device", "cpu"]
        return run("evaluate", *files, *options, *outputs, *more)

    return evaluate


@pytest.fixture
def samples(tmp_path):
    """Two texts, of a man and of a woman."""
    shared = {"model": "mine", "method": "plain", "axis": "gender", "task": "work", "seed": 0}
    shared |= {"context": "worked as", "sample": 0, "model_hash": "0"}
    texts = {"man": f" a {GOOD} cook.", "woman": f" a {BAD} cook."}
    lines = [
        shared | {"demographic": who, "prompt": f"The {who} worked as", "continuation": text}
        for who, text in texts.items()
    ]
    path = tmp_path / "samples.jsonl"
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return path


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "prompts.yaml"),
        ("axes: {}\ntasks: {work: [worked as]}\n", "prompts.yaml: axes is {}: expected one or"),
        (": [", "prompts.yaml"),
    ],
)
def test_prompts_without_content_are_one_line(tmp_path, prompts, capfd, content, message):
    prompts.write_text(content)
    output = tmp_path / "out" / "truth.csv"
    assert run("truth", "--prompts", prompts, "--output", output) == 1
    assert message in error_line(capfd)
    assert not output.parent.exists()


def test_texts_are_generated_and_evaluated(model_folder, generate, evaluate, tmp_path, capfd):
    assert generate(model_folder) == 0
    texts = read_samples(tmp_path / "samples.jsonl")
    assert [(x.demographic, x.sample) for x in texts] == [
        (who, number) for who in ("man", "woman") for number in range(3)
    ]
    assert {(x.model, x.method, x.axis, x.task) for x in texts} == {
        ("mine", "equi", "gender", "work")
    }
    assert evaluate(tmp_path / "samples.jsonl") == 0
    regard = pd.read_csv(tmp_path / "out" / "regard.csv")
    assert tuple(regard.columns) == tables.REGARD_COLUMNS
    assert list(regard["n"]) == [3, 3]
    assert "error" not in capfd.readouterr().err


@pytest.mark.parametrize("method", ["equizero", "relaxed_equizero"])
def test_equizero_asks_the_scorer(model_folder, generate, evaluate, tmp_path, method):
    assert generate(model_folder, method, scorer="{kind: words}") == 0
    texts = read_samples(tmp_path / "samples.jsonl")
    assert {(x.method, x.axis, x.task) for x in texts} == {(method, "gender", "work")}
    assert evaluate(tmp_path / "samples.jsonl") == 0
    assert set(pd.read_csv(tmp_path / "out" / "regard.csv")["method"]) == {method}


def test_a_vocabulary_that_is_not_the_tokenizers_is_one_line(
    tmp_path, language_model, tokenizer, generate, capfd
):
    folder = tmp_path / "small"
    language_model(vocab_size=len(tokenizer) - 1).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    capfd.readouterr()
    assert generate(folder) == 1
    size = len(tokenizer)
    expected = f"the model has {size - 1} ids, the tokenizer {size}: load both from one folder"
    assert expected in error_line(capfd)
    assert not (tmp_path / "samples.jsonl").exists()


def test_a_lexicon_that_moves_no_demographic_is_refused(
    model_folder, generate, prompts, write, tmp_path, capfd
):
    """Every model would be called exactly fair by it."""
    axes = json.dumps({"gender": str(write("royal.yaml", ROYAL))})
    expected = (
        "lexicon royal does not move 'man' of the prompts; its demographics are king, queen: name"
    )
    capfd.readouterr()
    assert generate(model_folder, axes=axes) == 1
    assert expected in error_line(capfd)
    for method in ("plain", "equi"):
        options = ["--base", model_folder, "--method", method, "--axes", axes, "--task", "work"]
        options += ["--prompts", prompts, "--output", tmp_path / "measures.csv", "--device", "cpu"]
        assert run("measure", *options) == 1
        assert expected in error_line(capfd)
    assert not (tmp_path / "measures.csv").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": "equl"}, "--method: unknown value 'equl'; did you mean 'equi'"),
        ({"method": "equizero"}, "method equizero chooses by a scorer: pass --scorer"),
        ({"scorer": "{kind: words}"}, "method equi chooses nothing: leave --scorer out"),
        ({"method": "equizero", "scorer": "{kind: wrds}"}, "did you mean 'words'"),
        ({"method": "equizero", "scorer": "{kind: tfidf}"}, "needs its file: pass --trained"),
        ({"axes": "[7]"}, "--axes is [7]: expected axis=lexicon"),
        ({"axes": "{gender: ["}, "--axes is not YAML"),
        ({"method": "plain", "axes": "{gendre: gender}"}, "'gendre'; did you mean 'gender'"),
    ],
)
def test_bad_options_are_one_line_and_leave_nothing(
    model_folder, generate, tmp_path, capfd, changes, message
):
    capfd.readouterr()
    assert generate(model_folder, output="out/samples.jsonl", **changes) == 1
    assert message in error_line(capfd)
    assert not (tmp_path / "out").exists()


def test_a_folder_without_a_model_is_one_line(generate, tokens, tmp_path, capfd):
    assert generate(tokens) == 1
    assert "tokenizer has no config.json or no *.safetensors" in error_line(capfd)
    assert not (tmp_path / "samples.jsonl").exists()


def test_samples_become_tables(samples, evaluate, tmp_path):
    assert evaluate(samples) == 0
    (row,) = pd.read_csv(tmp_path / "out" / "fairness.csv").to_dict("records")
    assert (row["regard_gap"], row["pair"], row["n"]) == (2, "man/woman", 2)
    assert pd.isna(row["regard_gap_low"])  # of one text against one
    assert pd.isna(row["symmetric_gap"])


def test_the_scorer_is_made_symmetric_in_a_lexicon(samples, evaluate, lexicon, tmp_path, capfd):
    axes = ["--axes", json.dumps({"gender": str(lexicon)})]
    assert evaluate(samples, more=[*axes, "--forms"]) == 0
    (row,) = pd.read_csv(tmp_path / "out" / "fairness.csv").to_dict("records")
    assert (row["regard_gap"], row["symmetric_gap"]) == (2, 2)
    manifest = json.loads((tmp_path / "out" / "regard.manifest.json").read_text())
    assert str(lexicon) in manifest["inputs"]
    capfd.readouterr()
    assert evaluate(samples, more=["--axes", "[7]"]) == 1
    assert "--axes is [7]: expected axis=lexicon" in error_line(capfd)


@pytest.mark.parametrize("key", KEYS)
def test_samples_with_a_missing_entry_are_one_line(samples, evaluate, tmp_path, capfd, key):
    first, second = map(json.loads, samples.read_text().splitlines())
    del second[key]
    samples.write_text(f"{json.dumps(first)}\n{json.dumps(second)}\n")
    assert evaluate(samples) == 1
    assert f"samples.jsonl, line 2: {key} missing; expected model, method" in error_line(capfd)
    assert not (tmp_path / "out").exists()


def test_samples_in_another_encoding_are_one_line(samples, evaluate, tmp_path, capfd):
    lines = samples.read_bytes().splitlines()
    samples.write_bytes(b"\n".join([lines[0], lines[1].replace(b"cook", b"caf\xe9")]))
    assert evaluate(samples) == 1
    assert "samples.jsonl, line 2: byte 0xe9 is not UTF-8: save the file as UTF-8" in error_line(
        capfd
    )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("scorer", "message"),
    [
        ("{kind: tfdf}", "--scorer: kind: unknown value 'tfdf'; did you mean 'tfidf'"),
        ("{kind: tfidf}", "a scorer of kind tfidf needs its file: pass --trained"),
        ("{kind: [", "--scorer is not YAML"),
    ],
)
def test_a_scorer_that_is_none_is_one_line(samples, evaluate, tmp_path, capfd, scorer, message):
    assert evaluate(samples, scorer=scorer) == 1
    assert message in error_line(capfd)
    assert not (tmp_path / "out").exists()


def test_a_classifier_of_unknown_labels_says_what_to_write(
    samples, evaluate, tokenizer, tmp_path, capfd
):
    from transformers import BertConfig, BertForSequenceClassification

    size = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    labels = {0: "LABEL_0", 1: "Neutral", 2: "positive"}
    config = BertConfig(vocab_size=len(tokenizer), intermediate_size=8, id2label=labels, **size)
    BertForSequenceClassification(config).save_pretrained(tmp_path / "bert")
    tokenizer.save_pretrained(tmp_path / "bert")
    more = ["--trained", tmp_path / "bert"]
    capfd.readouterr()
    assert evaluate(samples, scorer="{kind: transformer}", more=more) == 1
    line = error_line(capfd)
    assert "bert has the labels LABEL_0: say which of positive, neutral, negative, other" in line
    assert "as labels: {LABEL_0: negative, …}" in line
    assert not (tmp_path / "out").exists()
    mapped = "{kind: transformer, labels: {LABEL_0: negative}}"
    assert evaluate(samples, scorer=mapped, more=more) == 0
    assert len(pd.read_csv(tmp_path / "out" / "regard.csv")) == 2


def test_a_scorer_is_trained_from_labelled_sentences(tmp_path, capfd):
    train, output = tmp_path / "train.tsv", tmp_path / "out" / "scorer"
    parts = ["--train", train, "--dev", train, "--test", train]
    parts += ["--output", output, "--accuracy", tmp_path / "out" / "accuracy.csv"]
    train.write_text("1\tXYZ is kind.\n7\tXYZ is rude.\n")
    assert run("scorer", *parts) == 1
    assert "train.tsv, line 2: unknown regard '7'; expected one of 1, 0, -1, 2" in error_line(capfd)
    assert not output.parent.exists()
    train.write_text("1\tXYZ is kind.\n-1\tXYZ is rude.\n")
    assert run("scorer", *parts, "--name", "mine") == 0
    assert output.is_file()
    lines = (tmp_path / "out" / "accuracy.csv").read_text().splitlines()
    assert [line.split(",")[:2] for line in lines[1:]] == [["mine", "dev"], ["mine", "test"]]


def test_a_scorer_reads_the_hidden_states_of_a_model(
    model_folder, samples, evaluate, tmp_path, capfd
):
    train, output = tmp_path / "train.tsv", tmp_path / "out" / "scorer"
    train.write_text("1\tThe man worked\n1\tman worked\n-1\tThe queen said\n-1\tqueen said\n")
    parts = ["--train", train, "--dev", train, "--test", train, "--kind", "hidden"]
    parts += ["--output", output, "--accuracy", tmp_path / "out" / "accuracy.csv"]
    assert run("scorer", *parts) == 1
    assert "kind hidden reads a language model: pass its folder as --base" in error_line(capfd)
    assert not output.parent.exists()
    parts += ["--device", "cpu", "--base", model_folder]
    assert run("scorer", *parts) == 0
    settings, more = "{kind: hidden, location: x, model: mine}", ["--trained", output]
    capfd.readouterr()
    assert evaluate(samples, scorer=settings, more=more) == 1
    assert "needs the language model that it was trained on" in error_line(capfd)
    assert evaluate(samples, scorer=settings, more=[*more, "--scorer-base", model_folder]) == 0
    table = pd.read_csv(tmp_path / "out" / "regard.csv")
    assert set(table["scorer"]) == {"hidden"}
    assert table[["neutral", "other"]].sum(axis=None) == 0  # it was not taught them
