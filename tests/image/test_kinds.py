"""The kinds of sources of images: a record and a reader are all that a new one needs.

That is tried in a copy of the package, as the configuration reads the records when it is imported.
"""

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from equitune.config.image_kinds import IMAGE_KINDS
from equitune.image.sources import READERS

RECORD = """
IMAGE_KINDS["npz"] = ImageKind("arrays of your own", "path")
"""
READER = """
def read_npz(source: ImageSource, place: Path, seed: int, name: str) -> Split:
    pixels = torch.from_numpy(np.load(place)["pixels"])
    images = Images(pixels, torch.arange(len(pixels)) % 2)
    return images, images, ("even", "odd")


READERS["npz"] = read_npz
"""
LOAD = """
from pathlib import Path
import yaml
from equitune import config
default = yaml.safe_load(Path("config/config.yaml").read_text(encoding="utf-8"))
def load(**source):
    default["image"]["datasets"] = ["mine"]
    default["image"]["sources"] = {"mine": {"kind": "npz", "size": 8, **source}}
    return config.load(default).image
"""
USES = {
    "config": """
source = config.schema()["$defs"]["ImageSource"]["properties"]
assert source["kind"]["enum"][-1] == "npz"
assert source["kind"]["description"].endswith("; npz: arrays of your own")
assert "of kind folder, npz: its path" in source["location"]["description"]
try:
    load()
except ValueError as error:
    assert "image.sources.mine.location is needed for kind npz" in str(error), error
else:
    raise AssertionError("a kind with a path was loaded without one")
""",
    "plan": """
from equitune.plan.image import ImagePlan
from equitune.plan.inputs import _image
from equitune.plan.registry import Registry
there, absent = (ImagePlan(load(location=x), Registry()) for x in ("mine.npz", "absent.npz"))
assert there.archive("mine") == []
assert there.fingerprint("mine") != absent.fingerprint("mine")
assert [*_image(there)] == []
(problem,) = _image(absent)
assert problem.startswith("image.sources.mine.location: absent.npz"), problem
assert "a file of arrays of your own" in problem, problem
""",
    "dataset": """
from equitune import cli
from equitune.image.data import load_dataset
cli.run("image dataset --name mine --seed 0 --validation-fraction 0.5 --output made".split()
        + ["--source", "{kind: npz, size: 8, location: mine.npz}"])
parts, about = load_dataset(Path("made"))
assert about["classes"] == ["even", "odd"]
assert parts["test"].pixels.shape == (4, 3, 8, 8)
""",
}


@pytest.fixture(scope="module")
def extended(root, tmp_path_factory):
    """A folder with a copy of the package that has one more kind, and a file of that kind."""
    folder = tmp_path_factory.mktemp("extended")
    package = folder / "equitune"
    shutil.copytree(root / "equitune", package, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("config", "resources"):
        (folder / name).symlink_to(root / name)
    for name, text in {"config/image_kinds.py": RECORD, "image/sources.py": READER}.items():
        with (package / name).open("a", encoding="utf-8") as file:
            file.write(text)
    np.savez(folder / "mine.npz", pixels=np.zeros((4, 3, 8, 8), dtype=np.uint8))
    return folder


@pytest.mark.parametrize("place", USES)
def test_a_record_and_a_reader_are_all_that_a_new_kind_needs(extended, place):
    done = subprocess.run(
        [sys.executable, "-c", LOAD + USES[place]],
        capture_output=True,
        text=True,
        cwd=extended,
        env=os.environ | {"PYTHONPATH": str(extended)},
        timeout=120,
    )
    assert done.returncode == 0, done.stderr


def test_each_kind_has_a_reader():
    assert IMAGE_KINDS.keys() == READERS.keys()
