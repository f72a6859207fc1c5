"""What somebody changes outside of the rules is done again, and nothing else."""

import os
import shutil
import subprocess
import sys

import pytest
import yaml
from PIL import Image

pytestmark = [pytest.mark.workflow, pytest.mark.slow]  # short forms: tests/plan
SETTINGS = {
    "image": {
        "datasets": ["mine"],
        "sources": {"mine": {"kind": "folder", "size": 32, "location": "images"}},
    },
    "language": {"models": ["small"], "prompts": "prompts.yaml", "per_prompt": 20},
}
DATASET = "results/image/mine/seed0/dataset.safetensors"
TEXTS = "results/language/corpus/seed0/train.txt"
SPLIT = "results/scan/add_jump/train.txt"
PROJECT = ("Snakefile", "config", "workflow", "profiles", "resources", "envs")


@pytest.fixture(scope="module")
def planned(root, tmp_path_factory):
    """A folder where three files were made, and a function that names the rules to be run again."""
    folder = tmp_path_factory.mktemp("stale")
    for name in PROJECT:
        (folder / name).symlink_to(root / name)
    shutil.copytree(root / "equitune", folder / "equitune")
    for part in ("train", "test"):
        for name in ("a", "b"):
            place = folder / "images" / part / name
            place.mkdir(parents=True)
            for number in range(4):
                Image.new("RGB", (32, 32), (60 * number, 0, 0)).save(place / f"{number}.png")
    shutil.copyfile(root / "resources/prompts.yaml", folder / "prompts.yaml")
    (folder / "mine.yaml").write_text(yaml.safe_dump(SETTINGS))
    command = [sys.executable, "-m", "snakemake", "--cores", "1", DATASET, TEXTS, SPLIT]
    command += ["--configfile", "mine.yaml"]
    path = os.pathsep.join((os.path.dirname(sys.executable), os.environ["PATH"]))
    environment = {**os.environ, "PATH": path, "PYTHONPATH": ""}

    def run(*options):
        done = subprocess.run(
            [*command, *options],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    def again():
        said = run("-n")
        if "Nothing to be done" in said:
            return set()
        stats = said.partition("Job stats:")[2].partition("total ")[0]
        return {line.split()[0] for line in stats.splitlines()[3:] if line.strip()}

    run()
    return folder, again


def test_nothing_is_done_again_where_nothing_changed(planned):
    assert planned[1]() == set()


def test_images_prompts_and_code_make_what_uses_them_stale(planned):
    folder, again = planned
    added = folder / "images/train/a/new.png"
    Image.new("RGB", (32, 32)).save(added)
    assert again() == {"build_image_dataset"}
    added.unlink()
    assert again() == set()

    prompts = folder / "prompts.yaml"
    before = prompts.read_text()
    prompts.write_text(f"{before}\n# a line more\n")
    assert again() == {"generate_corpus"}
    prompts.write_text(before)
    assert again() == set()

    grammar = folder / "equitune/scan/grammar.py"
    before = grammar.read_text()
    grammar.write_text(f"# a comment changes nothing\n{before}")
    assert again() == set()
    grammar.write_text(f"{before}\n\nNEW = 1\n")
    assert again() == {"write_scan_split"}
