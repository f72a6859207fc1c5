"""The workflow as a part of somebody else's, elsewhere, without an activated environment."""

import os
import shutil
import subprocess
import sys

import pytest
import yaml

pytestmark = pytest.mark.workflow
DATASET = "results/scan/add_jump/seed0/dataset.safetensors"
MINE = {"scan": {"tasks": ["add_jump"], "architectures": ["GRU"], "subset": 150}}
OWN = """
rule own:
    output: "own/{method}.txt"
    shell: "echo path=${{PYTHONPATH:-}} hub=${{HF_HUB_OFFLINE:-}} > {output}"
"""
GIT = ("git", "-c", "user.name=t", "-c", "user.email=t@localhost")
MODULE = """
module equitune:
    snakefile: "ROOT/Snakefile"
    config: config.get("equitune", {})

use rule * from equitune as equitune_*
"""


@pytest.fixture
def run(root, tmp_path):
    """A function that runs Snakemake by its path, and nothing else of its environment's."""

    def start(snakefile, settings, *arguments, path=None):
        (tmp_path / "Snakefile").write_text(snakefile.replace("ROOT", str(root)))
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(settings))
        kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        kept |= {"PYTHONPATH": str(path)} if path else {}
        done = subprocess.run(
            [sys.executable, "-m", "snakemake", "--cores", "1", *arguments],
            cwd=tmp_path,
            env=kept | {"PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    return start


def test_a_module_has_its_own_paths_and_leaves_the_importers_rules_alone(run, tmp_path):
    text = f'configfile: "config.yaml"\n{OWN}{MODULE}'
    run(text, {"equitune": MINE}, DATASET, "own/any.txt")
    assert (tmp_path / DATASET).exists()
    assert (tmp_path / "own/any.txt").read_text() == "path= hub=\n"


@pytest.mark.slow
def test_a_module_plans_all_experiments(run):
    text = f'configfile: "config.yaml"\n{MODULE}'
    said = run(text, {"equitune": {}}, "-n", "equitune_all")
    assert "equitune_tune_image" in said
    assert "equitune_retrieve_package" in said


@pytest.mark.slow
def test_it_can_be_included(run, tmp_path):
    text = f'{OWN}include: "ROOT/Snakefile"\n'
    run(text, MINE, DATASET, "--configfile", "config.yaml")
    assert (tmp_path / DATASET).exists()
    said = run(text, {}, "-n", "scan")
    assert "tune_scan" in said


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
@pytest.mark.parametrize("package", ["clone", "wheel"])
def test_a_module_out_of_a_repository(root, run, tmp_path, monkeypatch, package):
    repository = tmp_path / "repository"
    repository.mkdir()
    for part in ("workflow", "envs"):
        shutil.copytree(root / part, repository / part)
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "all"], ["tag", "v1"]):
        subprocess.run([*GIT, *command], cwd=repository, check=True)
    place = root
    if package == "wheel":  # the package and what a wheel carries in it
        place = tmp_path / "site-packages"
        shutil.copytree(root / "equitune", place / "equitune")
        shutil.copytree(root / "resources", place / "equitune/_resources")
        shutil.copy(root / "config/config.yaml", place / "equitune/_resources")
    text = MODULE.replace("ROOT/Snakefile", f"git+file://{repository}/workflow/Snakefile@v1")
    steps = {stage: {"GRU": {"steps": 4}} for stage in ("pretraining", "tuning")}
    settings = {"equitune": {"scan": MINE["scan"] | steps}}
    run(f'configfile: "config.yaml"\n{text}', settings, "equitune_scan", path=place)
    assert (tmp_path / "results/report_scan.html").is_file()
    assert package == "clone" or {*os.listdir(place)} == {"equitune"}
