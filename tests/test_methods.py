"""The methods stand in one table: whoever needs to know them reads it, so that a new one is there.

What a new record needs is tried in a process of its own, as the package reads the table once.
"""

import dataclasses
import subprocess
import sys

import pytest

from equitune import config
from equitune.image import models as image
from equitune.methods import METHODS, Method, names
from equitune.plan import how
from equitune.scan import models as scan

NEW = """
from equitune import methods
methods.METHODS["new"] = methods.Method(
    "new", "a new one", "#123456", ("scan", "image", "language"), "mean", augments=True
)
"""
USES = {
    "config": """
from equitune import config
for experiment in ("scan", "image", "language"):
    assert "new" in getattr(config, f"{experiment.upper()}_METHODS")
definitions = config.schema()["$defs"]
for kind in ("Scan", "Image", "Language"):
    assert "new" in definitions[kind]["properties"]["methods"]["items"]["enum"], kind
assert "new" not in config.GROUPLESS and "new" not in config.CHOOSING
""",
    "scan": """
from equitune.config import Permutation, Seq2SeqModel
from equitune.scan.models import build
sizes = Seq2SeqModel(embedding=4, hidden=4)
swap = Permutation(commands=[["jump", "run"]], actions=[["I_JUMP", "I_RUN"]])
assert build("RNN", sizes, "new", swap).output_action.group.order == 2
""",
    "image": """
from equitune.actions import Rotate90
from equitune.image.experiment import AUGMENTED
from equitune.image.models import build
model = build("resnet18", "new", Rotate90(), 32, classes=3)
assert model.features.output_action.group.order == 4 and "new" in AUGMENTED
""",
    "results": """
import pandas as pd
from equitune.results import gains, tables
from equitune.results.figures.image import image_accuracy
assert "new" in gains.TUNED
rows = pd.DataFrame([dict.fromkeys(tables.IMAGE_COLUMNS, 0.5)]).astype({"seed": int})
rows = rows.assign(dataset="digits", architecture="alexnet", method="new", group="rotate90")
figure, _ = image_accuracy(rows, pd.DataFrame(columns=list(tables.PUBLISHED_COLUMNS)))
assert "a new one" in [text.get_text() for text in figure.legends[0].get_texts()]
""",
}


@pytest.mark.parametrize("place", USES)
def test_a_new_record_is_all_that_a_new_method_needs(root, place):
    command = [sys.executable, "-c", NEW + USES[place]]
    done = subprocess.run(command, capture_output=True, text=True, cwd=root, timeout=120)
    assert done.returncode == 0, done.stderr


def test_each_experiment_knows_how_its_methods_combine_copies():
    for experiment, known in (("scan", scan.COMBINE), ("image", image.COMBINE)):
        assert {METHODS[name].combine for name in names(experiment)} <= known.keys()


def test_the_configuration_takes_the_methods_of_the_table():
    for experiment in ("scan", "image", "language"):
        assert names(experiment) == getattr(config, f"{experiment.upper()}_METHODS")
    assert {*config.CHOOSING} == {"equizero", "relaxed_equizero"}
    assert {*config.GROUPLESS} == {"pretrained", "plain", "finetune"}
    defaults = config.LanguageTuning().methods
    assert {*defaults} <= {*names("language")} - {*config.CHOOSING}


def test_names_are_chosen_by_what_is_known_of_methods():
    assert names("image", augments=True, combine=None) == (
        "finetune_augment",
        "finetune_augment_matched",
        "distilled",
    )
    assert names("image", teacher="equitune") == ("distilled",)
    assert names("scan", head_only=True) == ("pretrained",)
    assert names("language", relaxed=True) == ("relaxed", "relaxed_equizero")
    assert names() == tuple(METHODS)
    with pytest.raises(AttributeError):
        names("scan", moving=True)


def test_a_method_moves_the_group_if_it_has_copies_or_moved_images():
    blank = ("x", "x", "#000000", ("image",))
    assert not Method(*blank).moves
    assert Method(*blank, "mean").moves
    assert Method(*blank, augments=True).moves


def test_the_table_imports_nothing_heavy(root):
    code = "import sys, equitune.methods; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root)
    heavy = {"torch", "pandas", "pydantic", "matplotlib", "equitune.config"}
    assert not heavy & {*done.stdout.split()}


def test_whatever_a_method_does_makes_its_results_stale_and_how_it_looks_does_not(monkeypatch):
    before, whole = how("equitune"), METHODS["equitune"]
    looks = {"name": "other", "label": "other", "colour": "#000000", "experiments": ()}
    for field in dataclasses.fields(Method):
        other = dataclasses.replace(whole, **{field.name: looks.get(field.name, "another")})
        monkeypatch.setitem(METHODS, "equitune", other)
        assert (how("equitune") == before) == (field.name in looks), field.name
