"""Splits of one's own: lines as people write them, words of their own, groups that fit them."""

import json

import pandas as pd
import pytest
import torch
import yaml

from equitune import cli, config
from equitune.scan import data
from equitune.scan.data import COMMANDS, SCAN, Pairs, read_pairs, sides_of, vocabularies, words_of
from equitune.scan.words import word_group

COLOURS = {"red": "ROT", "blue": "BLAU", "green": "GRÜN"}
CYCLES = {"commands": [["red", "blue"]], "actions": [["ROT", "BLAU"]]}


def lines(*names):
    """Pairs in words of another language than SCAN's."""
    return [
        (f"paint it {name}{' twice' * twice}", " ".join([COLOURS[name]] * (1 + twice)))
        for name in names
        for twice in (0, 1)
    ]


def write(path, pairs, form="IN: {} OUT: {}", end="\n"):
    text = end.join(form.format(*pair) for pair in pairs) + end
    path.write_bytes(text.encode())
    return path


@pytest.mark.parametrize("form", ["IN: {} OUT: {}", "{}\t{}", "IN: {}  OUT: {}  "])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\n\n", "\r\n \r\n"])
def test_lines_are_read_as_people_write_them(tmp_path, form, end):
    pairs = lines("red", "green")
    assert read_pairs(write(tmp_path / "a.txt", pairs, form, end)) == pairs


def test_words_of_scan_keep_its_vocabulary_and_others_make_one(caplog):
    scan = [("walk left", "I_TURN_LEFT I_WALK")]
    assert vocabularies(scan, scan) == SCAN
    assert words_of(SCAN) is None
    sides = vocabularies(lines("red"), lines("blue"))
    assert sides[0].words[2:] == ("blue", "it", "paint", "red", "twice")
    assert sides[1].words[2:] == ("BLAU", "ROT")
    assert [side.words for side in sides_of(words_of(sides))] == [side.words for side in sides]
    assert "words that no training pair has: blue" in caplog.text
    assert vocabularies([("walk", "GEHEN")], [])[0] is COMMANDS


def test_ids_of_many_words_are_stored_whole(tmp_path):
    pairs = [(f"w{i}", f"a{i}") for i in range(300)]
    sides = vocabularies(pairs, pairs)
    encoded = Pairs.encode(pairs, sides)
    data.save_dataset(tmp_path / "d.safetensors", dict.fromkeys(data.PARTS, encoded), task="t")
    loaded, _ = data.load_dataset(tmp_path / "d.safetensors")
    assert torch.equal(loaded["test"].commands, encoded.commands)
    assert int(loaded["test"].commands.max()) == 301


def test_a_group_moves_words_of_ones_own():
    sides = vocabularies(lines(*COLOURS), [])
    commands, actions = word_group(CYCLES, sides)
    ids = torch.tensor(sides[0].encode(["paint", "it", "red"]))
    assert sides[0].decode(commands(1, ids)) == ["paint", "it", "blue"]
    assert sides[1].decode(actions(1, torch.tensor(sides[1].encode(["BLAU"])))) == ["ROT"]
    with pytest.raises(ValueError, match="commands: unknown word 'jump'"):
        word_group({"commands": [["jump", "red"]]}, sides)


def run(*arguments):
    return cli.run(["scan", *map(str, arguments)])


def test_from_lines_to_the_table(tmp_path, capsys):
    train = write(tmp_path / "train.txt", lines("red", "green") + lines("blue")[:1])
    test = write(tmp_path / "test.txt", lines("blue")[1:])
    dataset, table = tmp_path / "d.safetensors", tmp_path / "rows.csv"
    split = ["dataset", "--train", train, "--test", test, "--task", "colours", "--seed", 0]
    split += ["--validation-fraction", 0.3, "--output", dataset]
    wrong = json.dumps({"commands": [["red", "bleu"]]})
    assert run(*split, "--permutation", wrong) == 1
    assert "unknown word 'bleu'; did you mean 'blue'" in capsys.readouterr().err
    assert run(*split, "--permutation", json.dumps(CYCLES)) == 0
    models = [tmp_path / name / "model.safetensors" for name in ("base", "lambda_equitune")]
    plan = ["--training", "{steps: 3, batch_size: 2, learning_rate: 0.01}", "--seed", 0]
    plan += ["--dataset", dataset, "--device", "cpu"]
    settings = ["--architecture", "GRU", "--model", "{embedding: 4, hidden: 4}"]
    assert run("pretrain", *plan, *settings, "--output", models[0]) == 0
    tune = ["--method", "lambda_equitune", "--group", "colours", "--pretrained", models[0]]
    tune += ["--permutation", json.dumps(CYCLES), "--output", models[1]]
    assert run("tune", *plan, *tune) == 0
    evaluate = ["--dataset", dataset, "--permutation", json.dumps(CYCLES), "--output", table]
    assert run("evaluate", *models, *evaluate, "--device", "cpu") == 0
    rows = pd.read_csv(table).set_index("method")
    assert rows["test_size"].tolist() == [1, 1]
    assert rows.loc["lambda_equitune", "equivariance_error"] < 1e-5
    assert rows.loc["pretrained", "equivariance_error"] > 1e-3
    # the same model on lines with other words
    write(tmp_path / "train.txt", lines("red", "blue"))
    assert run(*split) == 0
    capsys.readouterr()
    assert run("tune", *plan, *tune) == 1
    assert "has other words than the model: pretrain one on this dataset" in capsys.readouterr().err


OWN = {
    "tasks": ["colours"],
    "splits": {"colours": {"train": "a.txt", "test": "b.txt"}},
    "groups": {"colours": ["exchange"]},
    "permutations": {"exchange": CYCLES},
}


@pytest.fixture
def load(root):
    def load(**scan):
        whole = yaml.safe_load((root / "config" / "config.yaml").read_text())
        config.merge(whole, {"scan": scan})
        return config.load(whole).scan

    return load


def test_a_split_is_configured_by_its_files(load):
    scan = load(**OWN)
    assert scan.splits["colours"].test == "b.txt"
    assert scan.permutations["exchange"].actions == [["ROT", "BLAU"]]


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"tasks": ["colors"]}, r"scan.tasks\[0\]: unknown task 'colors'; did you mean 'colours'"),
        (
            {"splits": OWN["splits"] | {"simple": {"train": "a", "test": "b"}}},
            "scan.splits: 'simple' is a published split; choose another name",
        ),
        (
            {"tasks": ["add_jump", "colours"], "groups": {"add_jump": ["exchange"]}},
            r"scan.permutations.exchange.commands\[0\]\[0\]: unknown word 'red'",
        ),
        (
            {"permutations": {"exchange": CYCLES, "spare": {"commands": [["jmup", "run"]]}}},
            r"scan.permutations.spare.commands\[0\]\[0\]: unknown word 'jmup'; did you mean 'jump'",
        ),
    ],
    ids=["task", "published", "both", "unused"],
)
def test_what_does_not_fit_is_said_before_any_job(load, changed, text):
    with pytest.raises(ValueError, match=text):
        load(**{**OWN, **changed, "groups": OWN["groups"] | changed.get("groups", {})})
