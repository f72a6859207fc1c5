"""Snakemake as a user calls it, in a folder of its own, and a finished run of a small slice."""

import contextlib
import copy
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import yaml

SCAN_STEPS = {"pretraining": {"steps": 12}, "tuning": {"steps": 6}}
ARCHITECTURES = ("GRU", "RNN")  # those that a slice may name
IMAGE_STEPS = {"steps": 2, "batch_size": 8, "learning_rate": 1.0e-3}
SLICE = {
    "scan": {
        "tasks": ["add_jump"],
        "architectures": ["GRU"],
        "subset": 150,
        **{stage: dict.fromkeys(ARCHITECTURES, steps) for stage, steps in SCAN_STEPS.items()},
    },
    "image": {
        "architectures": ["shufflenet_v2_x0_5", "efficientnet_lite0"],  # the second is of a package
        "builders": {"efficientnet_lite0": {"weights": "imagenet"}},
        "methods": ["pretrained", "finetune_augment", "equitune"],
        "subset": 24,
        "pretraining": {"shufflenet_v2_x0_5": IMAGE_STEPS},
        "tuning": {
            "shufflenet_v2_x0_5": IMAGE_STEPS,
            "efficientnet_lite0": IMAGE_STEPS,
        },
    },
    "language": {
        "models": ["small", "smollm2"],  # likewise, and no index here has one
        "methods": ["plain", "equi", "equizero"],
        "axes": ["gender", "race"],
        "tasks": ["respect"],
        "per_prompt": 20,
        "sampling": {"samples": 4},
        "network": {"layers": 1, "width": 8},
        "pretraining": {"steps": 4, "batch_size": 8},
    },
}
SAID = "said.txt"
PROJECT = ("Snakefile", "config", "workflow", "profiles", "resources", "equitune", "envs")


@pytest.fixture
def small():
    """Settings of a run of minutes made seconds: few steps on few examples."""
    return copy.deepcopy(SLICE)


@pytest.fixture
def project(root, tmp_path):
    """A function that runs a command line in a folder with the project's files, as a user does."""
    for name in PROJECT:
        (tmp_path / name).symlink_to(root / name)
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    environment = os.environ | {"PATH": path, "PYTHONPATH": str(root)}

    def run(line):
        done = subprocess.run(
            line,
            shell=True,
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        return done.returncode, done.stdout + done.stderr

    return run


@pytest.fixture(scope="session")
def finished(snakemake, tmp_path_factory):
    """A finished run of the slice with one core."""
    folder = tmp_path_factory.mktemp("one_core")
    done = snakemake(folder, "--cores", "1", settings=SLICE)
    assert done.returncode == 0, done.stderr
    (folder / SAID).write_text(done.stderr)
    return folder


@pytest.fixture(scope="session")
def said(finished):
    """The lines that Snakemake said of the finished run."""
    return (finished / SAID).read_text().splitlines()


@pytest.fixture(scope="session")
def report(snakemake, finished):
    """The report of the finished run."""
    done = snakemake(finished, "--cores", "1", "report", settings=SLICE)
    assert done.returncode == 0, done.stderr
    return finished / "results/report.html"


@pytest.fixture(scope="session")
def started(root):
    """Start the project's Snakefile in a folder with the arguments and settings given.

    `before` is a command that takes the one to start as its arguments. The package index is one
    without any package, and the proxy a port where nobody answers, so that nothing is downloaded.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    closed = kept | {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1"}
    closed["https_proxy"] = "http://127.0.0.1:9"

    def start(folder, *arguments, settings, before=(), **options):
        override = folder / "override.yaml"
        override.write_text(yaml.safe_dump(settings))
        command = [*before, sys.executable, "-m", "snakemake", "--directory", str(folder)]
        command += ["--snakefile", str(root / "Snakefile"), *arguments]
        command += ["--configfile", str(override)]
        # the rules' python is that of the tests, whether or not its environment is active
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        return subprocess.Popen(command, env=closed | {"PATH": path}, **(options or quiet))

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


@pytest.fixture(scope="session")
def plan(snakemake):
    """A dry run in a folder: what Snakemake says, and how many jobs of each rule it would run."""

    def look(folder, *targets, settings):
        done = snakemake(folder, "--cores", "1", "-n", *targets, settings=settings)
        assert done.returncode == 0, done.stderr
        said = done.stdout + done.stderr
        stats = said.partition("Job stats:")[2].partition("total ")[0]
        jobs = re.findall(r"^(\w+) +(\d+)$", stats, re.MULTILINE)
        return said, {name: int(number) for name, number in jobs}

    return look


def models_in(folder):
    """How many models there are: os.walk goes on where a job has just removed a folder."""
    return sum("model.safetensors" in files for _, _, files in os.walk(folder / "results"))


@pytest.fixture(scope="session")
def killed(started, finished, tmp_path_factory):
    """Tables of the slice by a run with two cores that was killed twice with all its jobs.

    It is killed when it has made this many models, while it makes the next. Those of SCAN and of
    images; the other steps that keep a state are killed in tests/faults. No figure is drawn: one
    depends on its tables alone.
    """
    found = [x.relative_to(finished) for x in finished.glob("results/tables/*.csv")]
    tables = sorted(str(x) for x in found if x.name.startswith(("scan", "image")))
    folder = tmp_path_factory.mktemp("killed")
    for models in (1, 3):
        process = started(folder, "--cores", "2", *tables, settings=SLICE)
        while models_in(folder) < models:
            assert process.poll() is None, f"it ended before it made {models} models"
            time.sleep(0.1)
        family = [process, *psutil.Process(process.pid).children(recursive=True)]
        for each in family:
            with contextlib.suppress(psutil.NoSuchProcess):  # a job that has just ended
                each.kill()
        process.wait()
    process = started(folder, "--cores", "2", *tables, settings=SLICE)
    assert process.wait(900) == 0
    return folder
