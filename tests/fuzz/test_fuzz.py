"""Malformed files and settings through the command line: success, or one clear line and nothing."""

import itertools
import shlex
import shutil

import pytest
from fuzz import given as valid
from fuzz.mutations import broken_bytes, broken_jsonl, broken_yaml
from hypothesis import HealthCheck, assume, given, settings

from equitune import config
from equitune.io.texts import parse_yaml

# what stands for an input in a command: a file that holds it, or its text
FILE, TEXT = "broken", "TEXT"
SCORED = "--seed 0 --output out/r --fairness out/f --texts out/t --prompts prompts.yaml"
EVALUATE = f"language evaluate {SCORED} --scorer '{{kind: words}}'"
SCORER = "language scorer --output out/scorer --accuracy out/accuracy"
PRETRAIN = "scan pretrain --dataset dataset --architecture RNN --seed 0 --output out/model"
IMAGES = "image dataset --name x --seed 0 --validation-fraction 0.25 --output out/images"
# of each command: how many inputs it meets, and what they are
TARGETS = {
    "config check broken": (80, broken_yaml(valid.CONFIG_TREE)),
    "config check config.yaml broken": (60, broken_yaml(valid.OVERRIDE)),
    "language lexicon check ./broken --tokenizer tokens": (80, broken_yaml(valid.LEXICON)),
    "language truth --prompts broken --output out/truth.csv": (50, broken_yaml(valid.PROMPTS)),
    f"{EVALUATE} broken": (80, broken_jsonl(valid.SAMPLES)),
    f"{EVALUATE} samples.jsonl --measures broken": (30, broken_bytes(valid.MEASURES)),
    "language published --source broken --model x --prompts prompts.yaml --output out/samples": (
        40,
        broken_bytes(valid.PUBLISHED),
    ),
    f"{SCORER} --train broken --dev regard --test regard": (20, broken_bytes(valid.REGARD)),
    f"{SCORER} --train regard --dev regard --test broken": (10, broken_bytes(valid.REGARD)),
    "scan dataset --train broken --test scan --task x --seed 0 --validation-fraction 0.25"
    " --output out/dataset": (90, broken_bytes(valid.SCAN)),
    "scan evaluate --dataset broken --permutation {} --output out/rows out/none": (
        20,
        broken_bytes(valid.dataset()),
    ),
    "results table scan broken --output out/table --summary out/summary": (
        60,
        broken_bytes(valid.TABLE),
    ),
    f"{IMAGES} --source '{{kind: archive, location: x, size: 8}}' --archive broken": (
        30,
        broken_bytes(valid.archive()),
    ),
    f"{IMAGES} --archive archive --source TEXT": (40, broken_yaml(valid.SOURCE)),
    f"{PRETRAIN} --model '{{hidden: 4}}' --training TEXT": (60, broken_yaml(valid.TRAINING)),
    f"{PRETRAIN} --training '{{steps: 1, batch_size: 4, learning_rate: 0.01}}' --model TEXT": (
        40,
        broken_yaml(valid.WIDTHS),
    ),
    "scan tune --dataset dataset --pretrained pretrained/model.safetensors --method equitune"
    " --group mine --seed 0 --training '{steps: 1, batch_size: 4, learning_rate: 0.01}'"
    " --output out/model --permutation TEXT": (50, broken_yaml(valid.GROUP)),
    "language measure --base none --method equi --task work --output out/m --axes TEXT": (
        30,
        broken_yaml(valid.AXES),
    ),
    f"language evaluate samples.jsonl {SCORED} --scorer TEXT": (30, broken_yaml(valid.SCORER)),
}
SHARE = 0.6  # of the inputs, at least, differ from one another
# what a valid setting may ask for here: training for long is not a fault
AFFORDABLE = {
    config.Training: lambda found: found.steps <= 3,
    config.Seq2SeqModel: lambda found: found.hidden <= 64,
}


def affordable(text):
    """Whether settings ask for no more than seconds."""
    for kind, few in AFFORDABLE.items():
        try:
            if not few(config.parse(kind, parse_yaml(text, ""))):
                return False
        except ValueError:
            continue
    return True


def test_hundreds_of_inputs_are_tried():
    assert SHARE * sum(examples for examples, _ in TARGETS.values()) >= 500


def called(command):
    """A command's name, and the option that its input is of."""
    words = shlex.split(command)
    name = itertools.takewhile(lambda word: not word.startswith("--"), words)
    before = words[next(n for n, word in enumerate(words) if word.endswith((FILE, TEXT))) - 1]
    return " ".join([*name, before] if before.startswith("--") else name)


@pytest.mark.parametrize(
    "part", [pytest.param(5, id="short"), pytest.param(1, id="whole", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("command", TARGETS, ids=called)
def test_whatever_comes_ends_in_success_or_one_line(files, folder, meets, command, part):
    shutil.copytree(files, folder, dirs_exist_ok=True)
    most, inputs = TARGETS[command]
    examples = max(10, most // part)
    words, tried, refused = shlex.split(command), set(), 0

    @settings(max_examples=examples, suppress_health_check=list(HealthCheck))
    @given(inputs)
    def meet(content):
        nonlocal refused
        if content in tried:
            return
        text = content.decode("utf-8", "replace")
        if TEXT in words:
            assume(affordable(text))
        (folder / FILE).write_bytes(content)
        refused += meets(*(text if word == TEXT else word for word in words)) != ""
        shutil.rmtree(folder / "out", ignore_errors=True)
        tried.add(content)

    meet()
    assert len(tried) >= SHARE * examples
    assert refused >= examples // 4
