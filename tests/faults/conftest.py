"""A small training run of each experiment, as commands."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from equitune.cli import run

STEPS = {"scan": 120, "image": 16, "language": 200}
SAVE_SECONDS = 0.1


@dataclass(frozen=True)
class Case:
    """The commands of one experiment.

    Attributes:
        name: of the experiment.
        command: trains a model; without --state-folder and --output.
        result: what it writes, the weights, in the folder of its output.
        output: the name of its output.
        evaluate: from the folder of the model to the commands that make a table of it.
        table: the table.
    """

    name: str
    command: list[str]
    result: str
    output: str
    evaluate: object
    table: str

    def train(self, folder, **training):
        """The arguments of the training command that writes into a folder."""
        settings = {**self.training(), **training}
        states = ["--state-folder", str(folder / "states")]
        return [
            *self.command,
            *("--training", json.dumps(settings)),
            *states,
            *("--output", str(folder / "model" / self.output)),
        ]

    def training(self):
        """Settings of the training."""
        return {
            "steps": STEPS[self.name],
            "batch_size": 8,
            "learning_rate": 1e-3,
            "save_seconds": SAVE_SECONDS,
            "validate_every": 7,
        }

    def weights(self, folder):
        """The bytes of the trained weights."""
        return (folder / "model" / self.result).read_bytes()

    def manifest(self, folder):
        """What the training said of itself."""
        return json.loads((folder / "model" / "manifest.json").read_text())


def command(*arguments):
    assert run([str(x) for x in arguments]) == 0
    return [str(x) for x in arguments]


@pytest.fixture(scope="session")
def settings(root):
    return yaml.safe_load((root / "config/config.yaml").read_text())


def scan_case(folder, settings):
    scan = settings["scan"]
    train, test, data = folder / "train.txt", folder / "test.txt", folder / "data.safetensors"
    command("scan", "split", "add_jump", "--train", train, "--test", test)
    command(
        *("scan", "dataset", "--train", train, "--test", test, "--task", "add_jump"),
        *("--seed", 0, "--validation-fraction", 0.2, "--subset", 120, "--output", data),
    )
    permutation = json.dumps(scan["permutations"]["jump_run"])
    return Case(
        "scan",
        [
            *("scan", "pretrain", "--dataset", str(data), "--architecture", "GRU"),
            *("--seed", "0", "--model", json.dumps(scan["model"]), "--device", "cpu"),
        ],
        "model.safetensors",
        "model.safetensors",
        lambda place: [
            [
                *("scan", "evaluate", place / "model/model.safetensors", "--dataset", data),
                *("--permutation", permutation, "--output", place / "table.csv"),
            ]
        ],
        "table.csv",
    )


def image_case(folder, settings):
    data, moved = folder / "data.safetensors", folder / "moved.safetensors"
    base = folder / "base/model.safetensors"
    source = json.dumps(settings["image"]["sources"]["digits"])
    command(
        *("image", "dataset", "--source", source, "--name", "digits", "--seed", 0),
        *("--validation-fraction", 0.2, "--subset", 24, "--output", data),
    )
    command(
        *("image", "transform", "--dataset", data, "--group", "rotate90", "--seed", 0),
        *("--output", moved),
    )
    about = [
        *("--dataset", str(data), "--architecture", "shufflenet_v2_x0_5", "--builder", "{}"),
        *("--seed", "0"),
        *("--model", json.dumps(settings["image"]["model"]), "--device", "cpu"),
    ]
    once = json.dumps({"steps": 1, "batch_size": 8, "learning_rate": 1e-3})
    command("image", "pretrain", *about, "--training", once, "--output", base)
    return Case(
        "image",
        [
            *("image", "tune", *about, "--weights", str(base)),
            *("--method", "finetune_augment", "--group", "rotate90"),  # draws while it trains
        ],
        "model.safetensors",
        "model.safetensors",
        lambda place: [
            [
                *("image", "evaluate", place / "model/model.safetensors", "--dataset", data),
                *("--transformed", moved, "--output", place / "table.csv"),
                *("--elements", place / "elements.csv", "--examples", place / "examples.csv"),
            ]
        ],
        "table.csv",
    )


def language_case(folder, settings):
    train, validation = folder / "train.txt", folder / "validation.txt"
    command(
        *("language", "corpus", "--per-prompt", 5, "--seed", 0),
        *("--train", train, "--validation", validation),
    )
    network = settings["language"]["network"] | {"layers": 1, "width": 8, "dropout": 0.1}
    return Case(
        "language",
        [
            *("language", "pretrain", "--train", str(train), "--validation", str(validation)),
            *("--seed", "0", "--network", json.dumps(network), "--device", "cpu"),
        ],
        "model.safetensors",
        "manifest.json",
        lambda place: [
            [
                *("language", "generate", "--base", place / "model", "--model", "small"),
                *("--method", "equi", "--axes", "{race: race}", "--task", "respect"),
                *("--sampling", "{samples: 2, new_tokens: 5}", "--seed", 0),
                *("--output", place / "samples.jsonl"),
            ]
        ],
        "samples.jsonl",
    )


@pytest.fixture(scope="session")
def cases(settings, tmp_path_factory):
    """Make the inputs of each experiment's case when it is asked for, once."""
    made = {}

    def case(name):
        if name not in made:
            make = {"scan": scan_case, "image": image_case, "language": language_case}[name]
            made[name] = make(tmp_path_factory.mktemp(name), settings)
        return made[name]

    return case


@pytest.fixture(scope="session")
def server(root):
    """Start a command in a process of its own; see server.py."""
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("server.py"))],
        cwd=root,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )

    class Started:
        """A command that runs."""

        def __init__(self, arguments):
            self.pid = self._ask(json.dumps([str(x) for x in arguments]))

        def wait(self):
            """Return its exit code, negative for the signal that ended it."""
            return self._ask("wait")

        def _ask(self, line):
            process.stdin.write(f"{line}\n")
            process.stdin.flush()
            return int(process.stdout.readline())

    yield Started
    process.communicate(timeout=10)
