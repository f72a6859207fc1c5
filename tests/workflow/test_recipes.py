"""The recipes of docs/recipes.md, run as they stand there in a folder like the project's."""

import os

import pages
import pytest

pytestmark = pytest.mark.workflow


@pytest.fixture(scope="module")
def page(root):
    """The blocks of the page."""
    return [*pages.blocks(root / "docs/recipes.md")]


@pytest.fixture(scope="module")
def lines(page):
    """The commands of the page, in their order."""
    shown = [block.text for block in page if block.language == "bash"]
    return [line for text in shown for line in text.splitlines()]


@pytest.fixture
def run(project, page, tmp_path):
    """As `project`, in a folder with mine.yaml."""
    (mine,) = (block.text for block in page if block.language == "yaml")
    (tmp_path / "mine.yaml").write_text(mine)
    return project


def test_what_does_nothing_can_be_tried_at_once(run, lines, tmp_path):
    before = {*os.listdir(tmp_path)}
    harmless = [line for line in lines if " -n" in line or line.startswith("equitune config")]
    assert len(harmless) == 3
    for line in harmless:
        code, said = run(line)
        assert code == 0, said
    assert "report_scan" in said
    assert {*os.listdir(tmp_path)} - before <= {".snakemake"}


def test_what_cannot_be_is_one_line(run, tmp_path):
    code, said = run("snakemake --cores 1 -n report --configfile mine.yaml")
    assert code == 1
    assert said.splitlines()[-1].startswith("nothing to report on, as results/tables and")
    (tmp_path / "mine.yaml").write_text("scan.seeds: [0, 1]")
    code, said = run("snakemake --cores 1 -n --configfile mine.yaml")
    assert code == 1
    assert said.splitlines()[-1].endswith("--config 'scan={seeds: VALUE}'")


@pytest.mark.slow
def test_every_recipe_does_what_it_says(run, lines, tmp_path):
    results = tmp_path / "results"
    cell = results / "scan/add_jump/GRU"
    kept = {}
    for line in lines:
        code, said = run(line)
        assert code == 0, f"{line}\n{said}"
        first = cell / "seed0/equitune/jump_run/model.safetensors"
        if first.exists():  # it is trained once
            kept.setdefault("seed0", first.stat().st_mtime_ns)
            assert first.stat().st_mtime_ns == kept["seed0"], line
    assert (cell / "seed2/equitune/jump_run/model.safetensors").exists()
    scan = (results / "report_scan.html").read_text()
    assert "scan_accuracy.svg" in scan
    assert "commit of the models" in scan
    whole = (results / "report.html").read_text()
    assert "Compositional generalization:" in whole
    assert "Image classification:" not in whole  # it was not run
    assert (results / "report.zip").stat().st_size > 10_000
    assert (tmp_path / "elsewhere/results/report_scan.html").exists()
    assert (tmp_path / "elsewhere/.snakemake").is_dir()
    assert (tmp_path / "redrawn/scan_accuracy.svg").exists()
