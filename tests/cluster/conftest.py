"""A SLURM of two nodes on this machine, and what is compared with its runs."""

import shutil
import subprocess
from pathlib import Path

import pytest
from pipeline import CLUSTER, LOCAL, Run

SCRIPT = Path(__file__).with_name("slurm.sh")
HOOK = """import os, subprocess, sys
if sys.orig_argv[1:3] == ["-m", "equitune"]:
    try:
        os.mkdir("called")
    except FileExistsError:
        pass
    else:
        subprocess.run(["sh", "-c", {shell!r}])
"""


@pytest.fixture(scope="session")
def slurm():
    """The cluster, as long as the tests run."""
    started = subprocess.run([SCRIPT, "start"], capture_output=True, text=True, check=False)
    if started.returncode:
        pytest.exit(started.stderr.strip(), returncode=1)
    yield
    subprocess.run([SCRIPT, "stop"], check=True)


@pytest.fixture(scope="session")
def local(root, tmp_path_factory):
    """A finished run of the same slice on this machine alone."""
    folder = tmp_path_factory.mktemp("local")
    code, said = Run(root, folder, *LOCAL, "results/tables/scan.csv").wait()
    assert code == 0, said
    return folder


@pytest.fixture
def start(root, slurm, tmp_path):
    """Start Snakemake in the test's folder, through the cluster's profile unless told otherwise."""
    runs = []

    def run(*arguments, folder=tmp_path, where=CLUSTER, **settings):
        runs.append(Run(root, folder, *where, *arguments, **settings))
        return runs[-1]

    yield run
    for each in runs:
        each.process.kill()


@pytest.fixture
def dataset(local, tmp_path):
    """Lay what training starts from into the test's folder, or another: it needs no cluster."""

    def lay(folder=tmp_path):
        for part in ("train.txt", "test.txt", "seed0/dataset.safetensors"):
            target = folder / "results/scan/add_jump" / part
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(local / "results/scan/add_jump" / part, target)
        return folder

    lay()
    return lay


@pytest.fixture
def first_time(tmp_path):
    """Have the shell do something else as well when a job starts the package for the first time.

    The commands name their Python in full, so it is not found on PATH; but each Python imports
    `sitecustomize` from PYTHONPATH, which the commands keep.
    """

    def wrap(shell):
        folder = tmp_path / "first"
        folder.mkdir()
        (folder / "sitecustomize.py").write_text(HOOK.format(shell=shell))
        return folder

    return wrap
