"""The language commands as a person meets them: one line for a mistake, nothing half-written."""

import json

import pandas as pd
import pytest
import yaml

from equitune import cli
from equitune.language.corpus import read_corpus
from equitune.language.samples import KEYS, read_samples
from equitune.results import tables

LEXICON = {"demographics": ["man", "woman"], "equality": [["king", "queen"]], "general": ["he"]}
ROYAL = {"demographics": ["king", "queen"], "equality": [], "general": []}
PROMPTS = {"axes": {"gender": {"man": "man", "woman": "woman"}}, "tasks": {"work": ["worked as"]}}
SAMPLING = "{samples: 3, new_tokens: 4}"
GOOD, BAD = (min(words) for words in read_corpus().markers())


def run(*arguments):
    return cli.run(["language", *map(str, arguments)])


def error_line(capfd):
    """What a mistake puts on the terminal must be one line."""
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("equitune: error: ")
    return lines[0]


@pytest.fixture
def write(tmp_path):
    """A function that writes YAML and returns its path."""

    def write(name, content):
        path = tmp_path / name
        path.write_text(yaml.safe_dump(content))
        return path

    return write


@pytest.fixture
def lexicon(write):
    return write("lexicon.yaml", LEXICON)


@pytest.fixture
def prompts(write):
    return write("prompts.yaml", PROMPTS)


@pytest.fixture
def tokens(tmp_path, tokenizer):
    """A tokenizer's folder."""
    tokenizer.save_pretrained(tmp_path / "tokenizer")
    return tmp_path / "tokenizer"


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
        outputs = [f"--{n}={tmp_path / 'out' / n}.csv" for n in ("regard", "fairness", "texts")]
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


def test_a_lexicon_of_single_tokens_is_a_permutation(lexicon, tokens, capfd):
    assert run("lexicon", "check", lexicon, "--tokenizer", tokens) == 0
    said = capfd.readouterr()
    assert said.out.startswith("2 tuples of 2 words, order 2, a permutation of ")
    assert said.out.endswith("that moves 4\n")
    assert said.err == ""


def test_words_of_no_token_are_listed_with_their_pieces(write, tokens, capfd):
    bad = LEXICON | {"equality": [["king", "empress"]], "general": ["him"]}
    path = write("bad.yaml", bad)
    assert run("lexicon", "check", path, "--tokenizer", tokens) == 1
    said = capfd.readouterr()
    assert [line.split(":")[0] for line in said.out.splitlines()] == [
        "'empress' (equality (king, empress)) is '<unk>'",
        "'him' (general) is '<unk>'",
    ]
    (line,) = said.err.splitlines()
    assert line == "equitune: error: lexicon bad: 2 words do not fit the tokenizer"
    skipping = ["--tokenizer", tokens, "--skip-multi-token"]
    assert run("lexicon", "check", path, *skipping) == 0
    assert "1 tuple of 2 words" in capfd.readouterr().out


def test_words_of_several_tokens_of_gpt2_are_listed_with_their_pieces(shared, write, capfd):
    path = write("bad.yaml", LEXICON | {"equality": [["landlord", "landlady"]]})
    folder = shared / "mirror" / "gpt2-tokenizer"
    assert run("lexicon", "check", path, "--tokenizer", folder) == 1
    said = capfd.readouterr()
    pieces = "'landlady' (equality (landlord, landlady)) is 'Ġland' + 'l' + 'ady': not one token"
    assert said.out.startswith(pieces)
    assert len(said.err.splitlines()) == 1
    assert run("lexicon", "check", "gender_short", "--tokenizer", folder) == 0


def test_an_unknown_lexicon_names_the_nearest(tokens, capfd):
    assert run("lexicon", "check", "gendr", "--tokenizer", tokens) == 1
    assert "unknown lexicon 'gendr' (a file is ./gendr.yaml); did you mean 'gender'" in error_line(
        capfd
    )


def test_a_tokenizer_that_is_not_there_is_one_line(lexicon, tmp_path, capfd):
    (tmp_path / "none").mkdir()
    assert run("lexicon", "check", lexicon, "--tokenizer", tmp_path / "none") == 1
    assert "no tokenizer " in error_line(capfd)


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
        ({"axes": "[7]"}, "--axes is [7]: expected {axis: lexicon}"),
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
    assert "--axes is [7]: expected {axis: lexicon}" in error_line(capfd)


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


def test_published_texts_become_samples(tmp_path, prompts, capfd):
    source, output = tmp_path / "texts.tsv", tmp_path / "out" / "samples.jsonl"
    arguments = ["--source", source, "--model", "theirs", "--prompts", prompts, "--output", output]
    source.write_text("The man worked as a cook.\nThe dog worked as a cook.\n")
    assert run("published", *arguments) == 1
    assert "texts.tsv, line 2: 'The dog worked as a cook.' opens with no known" in error_line(capfd)
    assert not output.parent.exists()
    source.write_text("The man worked as a cook.\n")
    assert run("published", *arguments) == 0
    assert [x.continuation for x in read_samples(output)] == [" a cook."]


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


def test_a_model_of_a_mirror_is_fetched(model_folder, tmp_path, capfd):
    hub = tmp_path / "mirror" / "hub" / "somebody"
    hub.mkdir(parents=True)
    model_folder.rename(hub / "mine")
    arguments = ["--revision", "0" * 40, "--mirror", tmp_path / "mirror"]
    manifest = tmp_path / "fetched" / "manifest.json"
    capfd.readouterr()
    assert run("fetch", "--location", "somebody/mine", *arguments, "--output", manifest) == 0
    assert {"config.json", "model.safetensors"} <= json.loads(manifest.read_text())["inputs"].keys()
    (hub / "mine" / "model.safetensors").unlink()
    other = tmp_path / "other" / "manifest.json"
    assert run("fetch", "--location", "somebody/mine", *arguments, "--output", other) == 1
    # before it, a line for each file
    assert "error: somebody/mine has no *.safetensors" in capfd.readouterr().err.splitlines()[-1]
    assert not other.parent.exists()
