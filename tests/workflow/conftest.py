"""Snakemake as a user calls it, in a folder of its own, and a finished run of a small slice."""

import contextlib
import copy
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
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
        "models": ["small"],
        "methods": ["plain", "equi"],
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
def started(root):
    """Start the project's Snakefile in a folder with the arguments and settings given.

    `before` is a command that takes the one to start as its arguments.
    """

    def start(folder, *arguments, settings, before=(), **options):
        override = folder / "override.yaml"
        override.write_text(yaml.safe_dump(settings))
        command = [*before, sys.executable, "-m", "snakemake", "--directory", str(folder)]
        command += ["--snakefile", str(root / "Snakefile"), *arguments]
        command += ["--configfile", str(override)]
        # the rules' python is that of the tests, whether or not its environment is active
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        return subprocess.Popen(command, env=os.environ | {"PATH": path}, **(options or quiet))

    return start


@pytest.fixture(scope="session")
def snakemake(started):
    """Run the project's Snakefile to its end; what it says comes back with its exit code."""

    def run(folder, *arguments, settings, before=()):
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        with started(folder, *arguments, settings=settings, before=before, **pipes) as process:
            try:
                out, err = process.communicate(timeout=900)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    return run


def models_in(folder):
    """How many models there are: os.walk goes on where a job has just removed a folder."""
    return sum("model.safetensors" in files for _, _, files in os.walk(folder / "results"))


@pytest.fixture(scope="session")
def killed(started, tmp_path_factory):
    """A run of the slice with two cores that was killed twice, Snakemake and all its jobs.

    It is killed when it has made so many models, while it makes the next.
    """
    folder = tmp_path_factory.mktemp("killed")
    for models in (1, 5):
        process = started(folder, "--cores", "2", settings=SLICE)
        while models_in(folder) < models:
            assert process.poll() is None, f"it ended before it made {models} models"
            time.sleep(0.1)
        family = [process, *psutil.Process(process.pid).children(recursive=True)]
        for each in family:
            with contextlib.suppress(psutil.NoSuchProcess):  # a job that has just ended
                each.kill()
        process.wait()
    process = started(folder, "--cores", "2", settings=SLICE)
    assert process.wait(900) == 0
    return folder
