"""A SLURM of two nodes on this machine, and what is compared with its runs."""

import shutil
import subprocess
from pathlib import Path

import pytest
from pipeline import CLUSTER, LOCAL, Run

SCRIPT = Path(__file__).with_name("slurm.sh")


@pytest.fixture(scope="session")
def slurm():
    """The cluster, as long as the tests run."""
    started = subprocess.run([SCRIPT, "start"], capture_output=True, text=True, check=False)
    if started.returncode:
        pytest.exit(started.stderr.strip(), returncode=1)
    yield
    subprocess.run([SCRIPT, "stop"], check=True)


@pytest.fixture
def submit(root, slurm, tmp_path):
    """Start Snakemake through the profile in a folder where SCAN's dataset stands already."""
    runs = []

    def start(*arguments, **settings):
        runs.append(Run(root, tmp_path, *CLUSTER, *arguments, **settings))
        return runs[-1]

    yield start
    for run in runs:
        run.process.kill()


@pytest.fixture(scope="session")
def local(root, tmp_path_factory):
    """A finished run of the same slice on this machine alone."""
    folder = tmp_path_factory.mktemp("local")
    code, said = Run(root, folder, *LOCAL, "results/tables/scan.csv").wait()
    assert code == 0, said
    return folder


@pytest.fixture
def dataset(local, tmp_path):
    """What stands before training: nothing of it needs the cluster."""
    for part in ("train.txt", "test.txt", "seed0/dataset.safetensors"):
        target = tmp_path / "results/scan/add_jump" / part
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(local / "results/scan/add_jump" / part, target)
