"""The language commands as a person meets them: one line for a mistake, nothing half-written."""

import json

from language_commands import LEXICON, error_line, run

from equitune.language.samples import read_samples


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
