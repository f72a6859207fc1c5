"""A manifest says what a result was made from, with and when."""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest
import torch

from equitune.io.files import configuration_hash, sha256
from equitune.run import manifests


def test_manifest_says_what_a_result_was_made_from(tmp_path):
    inputs = {"dataset.safetensors": "0" * 64}
    configuration = {"steps": 10}
    path = tmp_path / "manifest.json"
    manifests.write_manifest(path, configuration, inputs, seed=3, device="cpu")
    manifest = json.loads(path.read_text())
    assert manifest["configuration"] == configuration
    assert manifest["configuration_hash"] == configuration_hash(configuration)
    assert manifest["inputs"] == inputs
    assert (manifest["seed"], manifest["device"]) == (3, "cpu")
    assert manifest["determinism"] == "seeded"
    assert 0 < manifest["wall_seconds"] < 1e6
    assert manifest["versions"]["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert manifest["versions"]["python"] == ".".join(map(str, sys.version_info[:3]))
    assert 1e6 < manifest["peak_memory_bytes"]["cpu"] < 1e12
    assert "git" in manifest


@pytest.mark.skipif(not shutil.which("git"), reason="no git here: nothing is under its control")
def test_git_state_of_a_tracked_file_and_of_others(tmp_path, monkeypatch):
    for place in ("GLOBAL", "SYSTEM"):  # whose commits may have to be signed
        monkeypatch.setenv(f"GIT_CONFIG_{place}", os.devnull)
    assert manifests.git_state(tmp_path / "code.py") is None

    def git(*arguments):
        identity = ["-c", "user.name=name", "-c", "user.email=name@example.org"]
        command = ["git", *identity, *arguments]
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)

    git("init", "--quiet")
    (tmp_path / "code.py").write_text("x = 1\n")
    assert manifests.git_state(tmp_path / "code.py") is None
    git("add", "code.py")
    git("commit", "--quiet", "-m", "first")
    state = manifests.git_state(tmp_path / "code.py")
    assert re.fullmatch("[0-9a-f]{40}", state["commit"])
    assert state["dirty"] is False
    # an installed package inside another project's repository has not that project's commit
    (tmp_path / "other.py").write_text("y = 1\n")
    assert manifests.git_state(tmp_path / "other.py") is None
    (tmp_path / "code.py").write_text("x = 2\n")
    assert manifests.git_state(tmp_path / "code.py") == {**state, "dirty": True}


def test_describe_stands_beside_the_result_with_the_checksums_of_its_inputs(tmp_path):
    data = tmp_path / "data.csv"
    data.write_text("a,b\n")
    manifests.describe(tmp_path / "evaluation.csv", {"seed": 1}, [data], torch.device("cpu"))
    manifest = json.loads((tmp_path / "evaluation.manifest.json").read_text())
    assert manifest["inputs"] == {str(data): sha256(data)}
    assert (manifest["configuration"], manifest["device"]) == ({"seed": 1}, "cpu")
