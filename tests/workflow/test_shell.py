"""Texts of a configuration in commands: they arrive whole, and no shell takes them for its own."""

import itertools
import json
import re
import shlex

import pytest
import yaml

from equitune.language.tokenizer import build_tokenizer

pytestmark = pytest.mark.workflow

NAME = """it's $(touch owned) `touch owned`; touch owned & "x" > owned\n#"""
PROMPTS = {
    "axes": {"gender": {"man": "man", "woman": "woman"}},
    "tasks": {"respect": ["was known for"]},
}
LEXICON = {"demographics": ["man", "woman"], "equality": [], "general": []}
COMMAND = re.compile(r"^ *Shell command: (.*?)(?=\n\n|\Z)", re.MULTILINE | re.DOTALL)


@pytest.fixture
def folder(tmp_path):
    """A working folder that nobody would call so, with files and folders that are called so."""
    folder = tmp_path / NAME
    for name in ("photos/ant", "photos/bee", "model", "mirror/hub/own/model"):
        (folder / NAME / name).mkdir(parents=True)
    for name in ("photos/ant/0.png", "photos/bee/0.png"):
        (folder / NAME / name).touch()
    for name in ("model/config.json", "model/model.safetensors", "text", "weights.pth"):
        (folder / NAME / name).write_text("{}")
    for name in ("config.json", "model.safetensors"):
        (folder / NAME / "mirror/hub/own/model" / name).write_text("{}")
    build_tokenizer(["The man was known for a woman"]).save_pretrained(folder / NAME / "model")
    (folder / NAME / "prompts").write_text(yaml.safe_dump(PROMPTS))
    (folder / NAME / "lexicon.yaml").write_text(yaml.safe_dump(LEXICON))
    return folder


@pytest.fixture
def named(small):
    """Settings whose every path holds the name."""
    small["retrieve"] = {"mirror": f"./{NAME}/mirror"}
    small["image"] |= {
        "datasets": ["own"],
        "sources": {"own": {"kind": "folder", "size": 32, "location": f"./{NAME}/photos"}},
        "weights": f"{NAME}/weights.pth",
    }
    small["language"] |= {
        "prompts": f"./{NAME}/prompts",
        "axes": ["gender"],
        "lexicons": {"gender": f"./{NAME}/lexicon.yaml"},
        "models": ["own", "hub"],
        "methods": ["plain", "equizero"],
        "sources": {
            "own": {"kind": "folder", "location": f"{NAME}/model", "text": f"{NAME}/text"},
            "hub": {"kind": "hub", "location": "own/model", "revision": NAME},
        },
        "scorer": "own",
        "scorers": {
            "own": {
                "kind": "transformer",
                "location": f"{NAME}/model",
                "labels": {f"{NAME} {{seed}}": "other"},
            }
        },
    }
    return small


def owned(folder):
    return [path for path in folder.rglob("owned*")]


def test_every_text_arrives_whole(snakemake, folder, named):
    done = snakemake(folder, "--dry-run", "--printshellcmds", "--cores", "1", settings=named)
    assert done.returncode == 0, done.stderr
    commands = [shlex.split(text) for text in COMMAND.findall(done.stdout + done.stderr)]
    given = [pair for words in commands for pair in itertools.pairwise(words)]
    language, image = named["language"], named["image"]
    for pair in (
        ("--mirror", named["retrieve"]["mirror"]),
        ("--prompts", language["prompts"]),
        ("--weights", image["weights"]),
        ("--base", language["sources"]["own"]["location"]),
        ("--text", language["sources"]["own"]["text"]),
        ("--revision", NAME),
        ("--trained", f"{NAME}/model"),
        ("--axes", json.dumps(language["lexicons"], separators=(",", ":"))),
    ):
        assert pair in given, pair
    sources = [json.loads(value) for name, value in given if name == "--source" and "{" in value]
    assert image["sources"]["own"]["location"] in [source["location"] for source in sources]
    scorers = [json.loads(value) for name, value in given if name == "--scorer"]
    assert len(scorers) == 2 * 2  # of each model, to choose and to evaluate
    assert all(scorer["labels"] == language["scorers"]["own"]["labels"] for scorer in scorers)
    assert not owned(folder)


@pytest.mark.parametrize("target", ["all", "benchmarks"])
def test_a_file_is_one_word(snakemake, tmp_path, small, target):
    plan = snakemake(tmp_path, "-n", "-p", "--cores", "1", target, settings=small)
    assert plan.returncode == 0, plan.stderr
    commands = [shlex.split(text) for text in COMMAND.findall(plan.stdout + plan.stderr)]
    assert commands
    assert [words for words in commands if "/" in words] == []  # none is given letter by letter
    if target == "benchmarks":
        given = [pair for words in commands for pair in itertools.pairwise(words)]
        assert ("--language", "results/language/corpus/seed0/base") in given


@pytest.mark.slow
def test_nothing_in_a_name_is_run(snakemake, folder, named):
    targets = ["results/scan/add_jump/train.txt", "results/language/hub/hub/manifest.json"]
    targets += ["results/language/corpus/seed0/train.txt"]
    done = snakemake(folder, "--cores", "1", *targets, settings=named)
    assert done.returncode == 0, done.stderr
    manifest = json.loads((folder / targets[1]).read_text())
    assert manifest["configuration"]["revision"] == NAME  # it came from the mirror
    lines = (folder / targets[2]).read_text().splitlines()
    assert {line.split()[1] for line in lines} == {"man", "woman"}  # of those prompts
    assert not owned(folder)
