"""Snakemake as a user calls it, in a folder of its own, and a finished run of a small slice."""

import copy
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

SCAN_STEPS = {"pretraining": {"steps": 12}, "tuning": {"steps": 6}}
IMAGE_STEPS = {"steps": 2, "batch_size": 8}
SLICE = {
    "scan": {
        "tasks": ["add_jump"],
        "architectures": ["GRU", "RNN"],
        "subset": 150,
        **{stage: dict.fromkeys(("GRU", "RNN"), steps) for stage, steps in SCAN_STEPS.items()},
    },
    "image": {
        "architectures": ["resnet18"],
        "methods": ["pretrained", "finetune_augment", "equitune"],
        "groups": ["rotate90", "flip"],
        "subset": 24,
        "pretraining": {"resnet18": IMAGE_STEPS},
        "tuning": {"resnet18": IMAGE_STEPS},
    },
    "language": {
        "methods": ["gpt2", "equi"],
        "axes": ["gender", "race"],
        "tasks": ["respect"],
        "per_prompt": 20,
        "sampling": {"samples": 4},
        "network": {"layers": 1, "width": 8},
        "pretraining": {"steps": 4, "batch_size": 8},
    },
}


@pytest.fixture
def small():
    """Settings of a run of minutes made seconds: few steps on few examples."""
    return copy.deepcopy(SLICE)


@pytest.fixture(scope="session")
def finished(snakemake, tmp_path_factory):
    """A finished run of the slice with one core."""
    folder = tmp_path_factory.mktemp("one_core")
    done = snakemake(folder, "--cores", "1", settings=SLICE)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="session")
def report(snakemake, finished):
    """The report of the finished run."""
    done = snakemake(finished, "--cores", "1", "report", settings=SLICE)
    assert done.returncode == 0, done.stderr
    return finished / "results/report.html"


@pytest.fixture(scope="session")
def snakemake(root):
    """Run the project's Snakefile in a folder with the arguments and settings given."""

    def run(folder, *arguments, settings):
        override = folder / "override.yaml"
        override.write_text(yaml.safe_dump(settings))
        command = [sys.executable, "-m", "snakemake", "--snakefile", str(root / "Snakefile")]
        command += ["--directory", str(folder), *arguments, "--configfile", str(override)]
        # the rules' python is that of the tests, whether or not its environment is active
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
            env=os.environ | {"PATH": path},
        )

    return run
