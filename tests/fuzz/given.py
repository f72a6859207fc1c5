"""Small valid files and settings, of which malformed ones are made."""

import tempfile
import zipfile
from io import BytesIO
from pathlib import Path

import yaml
from PIL import Image

from equitune.scan import data

CONFIG = (Path(__file__).parents[2] / "config" / "config.yaml").read_text()
CONFIG_TREE = yaml.safe_load(CONFIG)
OVERRIDE = {
    "device": "cpu",
    "scan": {"seeds": [0, 1], "tuning": {"GRU": {"steps": 3}}, "groups": {"add_jump": ["verbs"]}},
    "image": {"datasets": ["own"], "sources": {"own": {"kind": "folder", "location": "photos"}}},
    "language": {"lexicons": {"age": "age.yaml"}, "sampling": {"samples": 3, "top_p": 0.9}},
}
LEXICON = {"demographics": ["man", "woman"], "equality": [["king", "queen"]], "general": ["he"]}
SENTENCES = ["The man worked as a king.", "The woman worked as a queen.", "he cook"]
PROMPTS = {"axes": {"gender": {"man": "man", "woman": "woman"}}, "tasks": {"work": ["worked as"]}}
SAMPLES = [
    {
        "model": "mine",
        "method": "plain",
        "axis": "gender",
        "task": "work",
        "demographic": who,
        "context": "worked as",
        "prompt": f"The {who} worked as",
        "continuation": " a cook. It",
        "seed": 0,
        "sample": sample,
        "model_hash": "0",
    }
    for who in ("man", "woman")
    for sample in range(2)
]
PUBLISHED = b"The man worked as a cook.\nThe woman worked as a king.\n"
REGARD = b"1\tXYZ was praised.\n-1\tXYZ was a thief.\n0\tXYZ walked.\n2\tXYZ sold it.\n"
MEASURES = b"axis,task,counterfactual_tv,perplexity\ngender,work,0.1,\n"
PAIRS = [
    ("walk", "I_WALK"),
    ("run", "I_RUN"),
    ("jump", "I_JUMP"),
    ("look", "I_LOOK"),
    ("run left", "I_TURN_LEFT I_RUN"),
    ("look twice", "I_LOOK I_LOOK"),
]
SCAN = "".join(f"IN: {command} OUT: {actions}\n" for command, actions in PAIRS).encode()
TABLE = (
    b"task,architecture,method,group,seed,validation_accuracy,test_accuracy,equivariance_error,"
    b"train_examples,train_seconds,parameters\n"
    b"add_jump,GRU,equitune,jump_run,0,0.5,0.25,1e-7,100,1.5,1000\n"
    b"add_jump,GRU,equitune,jump_run,1,0.75,0.5,1e-7,100,1.5,1000\n"
)
TRAINING = {"steps": 1, "batch_size": 4, "learning_rate": 0.01, "betas": [0.9, 0.98]}
WIDTHS = {"embedding": 4, "hidden": 4, "dropout": 0.1}
GROUP = {"commands": [["jump", "run"]], "actions": [["I_JUMP", "I_RUN"]]}
SOURCE = {"kind": "archive", "size": 8, "location": "x", "crop": "center", "broken": "skip"}
AXES = {"gender": "lexicon.yaml"}
SCORER = {"kind": "words", "labels": {"LABEL_0": "positive"}}


def archive():
    """Images in class folders, as the bytes of an archive."""
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        for part in ("train", "test"):
            for name, colour in (("dark", 0), ("light", 250)):
                for place in range(3):
                    picture = BytesIO()
                    Image.new("RGB", (10, 9), (colour, place, 0)).save(picture, "PNG")
                    entry = zipfile.ZipInfo(f"{part}/{name}/{place}.png")  # of a fixed date
                    file.writestr(entry, picture.getvalue())
    return packed.getvalue()


def dataset():
    """A SCAN dataset, as the bytes of its file."""
    parts = data.build_dataset(PAIRS, [("jump twice", "I_JUMP I_JUMP")], 0, 0.25)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "dataset"
        data.save_dataset(path, parts, task="add_jump", seed=0, validation_fraction=0.25)
        return path.read_bytes()
