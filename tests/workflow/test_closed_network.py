"""All experiments where there is no network, after `snakemake retrieve` where there is one."""

import re
import shutil
import socket
import subprocess
import sys

import pytest

from equitune.results import tables

pytestmark = pytest.mark.workflow

FETCHING = ("retrieve_file", "retrieve_weights", "retrieve_model", "retrieve_package")


@pytest.fixture(scope="module")
def closed():
    """The command that runs another one without a network."""
    for command in (["unshare", "-n"], ["unshare", "-rn"]):
        if shutil.which("unshare") and subprocess.run([*command, "true"]).returncode == 0:
            return command
    pytest.skip("unshare -n is not allowed here: a network cannot be taken away")


def connects(port, before=()):
    """Whether a process reaches a port of this machine's loopback."""
    code = f"import socket; socket.create_connection(('127.0.0.1', {port}), 5)"
    done = subprocess.run([*before, sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0 or "OSError: [Errno 101] Network is unreachable" in done.stderr
    return done.returncode == 0


def test_there_is_no_network_in_there(closed):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert connects(port)
        assert not connects(port, closed)


@pytest.mark.slow
def test_every_experiment_needs_no_network_once_all_is_retrieved(
    snakemake, small, closed, shared, tmp_path
):
    mirror = tmp_path / "mirror"
    mirror.symlink_to(shared / "mirror")
    small["retrieve"] = {"mirror": str(mirror)}
    small["scan"] |= {"source": "published", "architectures": ["RNN"], "methods": ["equitune"]}
    small["image"] |= {"datasets": ["cifar10_subset"], "groups": ["flip"], "methods": ["equitune"]}
    small["language"] |= {"models": ["small"], "scorer": "tfidf"}
    small["language"] |= {"axes": ["gender"], "methods": ["equi"]}
    done = snakemake(tmp_path, "--cores", "1", "retrieve", settings=small)
    assert done.returncode == 0, done.stderr
    held = {path.name for path in (tmp_path / "results/sources").rglob("*.*")}
    assert {"cifar10-jpeg-subset.tar", "tasks_train_addprim_jump.txt", "dev.tsv"} <= held
    assert not list((tmp_path / "results").glob("**/*.safetensors"))  # it computes nothing

    mirror.unlink()
    made = [f"results/tables/{name}.csv" for name in ("scan", "image", "regard")]
    done = snakemake(tmp_path, "--cores", "2", *made, settings=small, before=closed)
    assert done.returncode == 0, done.stderr
    assert not any(re.search(rf"(rule|checkpoint) {name}:", done.stderr) for name in FETCHING)
    for name, columns in (
        ("scan", tables.SCAN_COLUMNS),
        ("image", tables.IMAGE_COLUMNS),
        ("regard", tables.REGARD_COLUMNS),
    ):
        assert len(tables.read(tmp_path / f"results/tables/{name}.csv", columns)) > 0
