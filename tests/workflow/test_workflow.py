"""What holds for the workflow as a whole: determinism, redrawing, the report."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from filelock import FileLock

from equitune.io.layout import log_of

pytestmark = pytest.mark.workflow

FIGURES = {
    "scan_accuracy",
    "image_accuracy",
    "image_rotation",
    "image_orbit_digits_shufflenet_v2_x0_5",
    "language_regard",
    "language_gaps",
    "language_fairness",
    "language_pronouns",
}


RESULTS = {
    "model.safetensors",
    "evaluation.csv",
    "samples.jsonl",
    "measures.csv",
    "regard.csv",
    "scan.csv",
    "image.csv",
    "fairness.csv",
    "pronouns.csv",
}


def figures(folder):
    """The bytes of the figures that show no measured time, by name."""
    found = {
        file.name: file.read_bytes()
        for file in (folder / "results/figures").iterdir()
        if file.stem in FIGURES
    }
    assert len(found) == 3 * len(FIGURES)
    return found


def test_a_run_ends_with_the_places_of_what_it_made(said):
    places = [line for line in said if line.startswith(("Tables", "Figures", "Report"))]
    assert places == ["Tables: results/tables", "Figures: results/figures"]  # no page was asked for


@pytest.mark.slow
def test_kills_and_two_cores_give_the_same_numbers_bit_for_bit(finished, killed):
    names = sorted(file.name for file in (killed / "results/tables").glob("*.csv"))
    assert {"scan.csv", "image.csv", "image_elements.csv", "image_examples.csv"} <= set(names)
    for name in names:
        compared = []
        for folder in (finished, killed):
            table = pd.read_csv(folder / "results/tables" / name, dtype=str)
            # wall-clock time is measured, not computed
            if "measure" in table:
                table = table[table["measure"] != "train_seconds"]
            # somebody may have edited the package between the two
            if "what" in table:
                table = table[~table["what"].str.startswith("commit of ")]
            compared.append(table.drop(columns="train_seconds", errors="ignore").to_csv())
        assert compared[0] == compared[1], name


def test_a_second_run_has_nothing_to_do_and_no_state_is_left(snakemake, small, finished):
    again = snakemake(finished, "--cores", "1", settings=small)
    assert again.returncode == 0
    assert "Nothing to be done" in again.stdout + again.stderr
    assert not any((finished / "results/states").glob("*"))


def test_every_result_has_a_manifest_beside_it(finished):
    results = finished / "results"
    made = [
        file for place in ("scan", "image", "language") for file in (results / place).rglob("*")
    ]
    found = {
        file.name: [file.with_suffix(".manifest.json"), file.with_name("manifest.json")]
        for file in [*made, *(results / "tables").iterdir()]
        if file.name in RESULTS
    }
    assert set(found) == RESULTS
    for name, places in found.items():
        (manifest,) = [json.loads(place.read_text()) for place in places if place.exists()]
        assert manifest["inputs"], name
        assert {"configuration_hash", "device", "determinism", "git", "versions"} <= set(manifest)
        assert {"wall_seconds", "peak_memory_bytes"} <= set(manifest)


def test_two_snakemakes_do_not_work_in_one_folder(snakemake, small, finished):
    with FileLock(finished / ".snakemake/equitune.lock"):
        done = snakemake(finished, "--cores", "1", "figures", settings=small)
        assert done.returncode == 1
        assert done.stderr.splitlines()[-1] == (
            "another Snakemake works in this folder: wait until it has ended, or end it"
        )
        # to look is allowed
        assert snakemake(finished, "--cores", "1", "-n", settings=small).returncode == 0


def test_figures_are_redrawn_from_the_tables_alone(snakemake, finished):
    before = figures(finished)
    for file in (finished / "results/figures").iterdir():
        file.unlink()
    # what the configuration says by now does not matter
    done = snakemake(finished, "--cores", "1", "figures", settings={"device": "cpu"})
    assert done.returncode == 0, done.stderr
    assert figures(finished) == before
    assert "1 of 1 steps" in done.stderr


def test_the_report_holds_tables_and_figures(report):
    page = report.read_text()
    for name in FIGURES:
        assert f"{name}.svg" in page
    for name in ("scan_summary.csv", "image_summary.csv", "fairness_summary.csv"):
        assert name in page
    for caption in ("Exact match on SCAN", "Accuracy on the test set", "Shares of regard"):
        assert caption in page


def test_figures_are_drawn_from_somebody_elses_tables(snakemake, small, finished, tmp_path):
    folder = tmp_path / "results" / "tables"
    folder.mkdir(parents=True)
    (folder / "scan.csv").write_bytes((finished / "results/tables/scan.csv").read_bytes())
    done = snakemake(tmp_path, "--cores", "1", "figures", settings=small)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "results/figures/scan_accuracy.pdf").exists()
    assert not (tmp_path / "results/scan").exists()


def test_every_job_has_its_log_in_the_place_of_what_it_wrote(finished):
    files = [*(finished / "results/benchmarks").rglob("*.tsv")]
    assert len(files) > 50
    for file in files:
        rule, *place = file.relative_to(finished / "results/benchmarks").with_suffix("").parts
        assert (finished / "results" / Path(*place)).exists(), rule
        log = finished / log_of(str(Path("results", *place)))
        assert log.stat().st_size, rule
        if not rule.startswith("report"):  # a Snakemake writes it, no command of ours
            assert '\nseconds {"start"' in f"\n{log.read_text()}", rule


def test_a_command_that_is_copied_writes_the_same_bytes(finished, said, root, tmp_path):
    shutil.copytree(finished / "results/scan", tmp_path / "results/scan")
    commands = [line.partition("Shell command: ")[2] for line in said]
    (command,) = [one for one in commands if " scan tune " in one and "/equitune/" in one]
    model = Path(command.split()[-1])
    before = {name: (finished / model).with_name(name) for name in (model.name, "config.json")}
    shutil.rmtree((tmp_path / model).parent)
    # as in a terminal: the package's own command, and nothing of the workflow's
    kept = {name: one for name, one in os.environ.items() if not name.startswith("EQUITUNE")}
    path = os.pathsep.join([str(Path(sys.executable).parent), kept["PATH"]])
    kept |= {"PATH": path, "PYTHONPATH": str(root)}
    done = subprocess.run(
        ["bash", "-c", command], cwd=tmp_path, env=kept, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "add_jump GRU equitune" in done.stderr  # on the terminal
    for name, file in before.items():
        assert (tmp_path / model).with_name(name).read_bytes() == file.read_bytes()
    assert not (tmp_path / "results/logs").exists()
