"""The SCAN rules end to end on a small slice: table, figure, determinism, and what a user types."""

import pandas as pd
import pytest

from equitune.results import tables

SLICE = {
    "scan": {
        "tasks": ["add_jump"],
        "architectures": ["GRU", "RNN"],
        "subset": 150,
        "pretraining": {"GRU": {"steps": 12}, "RNN": {"steps": 12}},
        "tuning": {"GRU": {"steps": 6}, "RNN": {"steps": 6}},
    }
}
pytestmark = pytest.mark.workflow


@pytest.fixture(scope="module")
def finished(snakemake, tmp_path_factory):
    """A finished run with one core."""
    folder = tmp_path_factory.mktemp("one_core")
    done = snakemake(folder, "--cores", "1", "scan", settings=SLICE)
    assert done.returncode == 0, done.stderr
    return folder


def test_the_table_has_a_row_for_each_run(finished):
    table = tables.read(finished / "results/tables/scan.csv", tables.SCAN_COLUMNS)
    assert len(table) == 2 * 3
    assert set(table["method"]) == {"pretrained", "finetune", "equitune"}
    assert table["test_accuracy"].between(0, 1).all()
    assert (table["train_examples"] == 150).all()
    tuned = table[table["method"] == "equitune"]
    assert (tuned["equivariance_error"] <= 1e-5).all()
    assert (table[table["method"] != "equitune"]["equivariance_error"] > 1e-3).all()
    assert set(tuned["group"]) == {"jump_run"}
    assert (finished / "results/figures/scan_accuracy.svg").stat().st_size > 1000
    assert not any((finished / "results/states").glob("*"))


def test_two_cores_give_the_same_numbers_bit_for_bit(snakemake, finished, tmp_path):
    assert snakemake(tmp_path, "--cores", "2", "scan", settings=SLICE).returncode == 0
    compared = []
    for folder in (finished, tmp_path):
        table = pd.read_csv(folder / "results/tables/scan.csv", dtype=str)
        # wall-clock time is measured, not computed
        compared.append(table.drop(columns="train_seconds").to_csv())
    assert compared[0] == compared[1]
    for name in ("tables/scan_summary.csv", "figures/scan_accuracy.svg"):
        assert (finished / "results" / name).read_bytes() == (
            tmp_path / "results" / name
        ).read_bytes()


def test_a_second_run_has_nothing_to_do(snakemake, finished):
    again = snakemake(finished, "--cores", "1", "scan", settings=SLICE)
    assert again.returncode == 0
    assert "Nothing to be done" in again.stdout + again.stderr


def test_figures_are_redrawn_from_the_table_alone(snakemake, finished):
    figure = finished / "results/figures/scan_accuracy.svg"
    before = figure.read_bytes()
    for file in figure.parent.iterdir():
        file.unlink()
    # what the configuration says by now does not matter
    done = snakemake(finished, "--cores", "1", "figures", settings={"device": "cpu"})
    assert done.returncode == 0, done.stderr
    assert figure.read_bytes() == before
    assert "1 of 1 steps" in done.stderr


def test_the_report_holds_tables_and_figure(snakemake, finished):
    done = snakemake(finished, "--cores", "1", "report", settings=SLICE)
    assert done.returncode == 0, done.stderr
    page = (finished / "results/report.html").read_text()
    assert "scan_accuracy.svg" in page
    assert "scan_summary.csv" in page
    assert "Exact match on SCAN" in page


def test_figures_are_drawn_from_somebody_elses_table(snakemake, finished, tmp_path):
    folder = tmp_path / "results" / "tables"
    folder.mkdir(parents=True)
    (folder / "scan.csv").write_bytes((finished / "results/tables/scan.csv").read_bytes())
    done = snakemake(tmp_path, "--cores", "1", "figures", settings=SLICE)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "results/figures/scan_accuracy.pdf").exists()
    assert not (tmp_path / "results/scan").exists()


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        (
            {"scan": {"architectures": ["LTSM"]}},
            "config: scan.architectures[0]: unknown value 'LTSM'; did you mean 'LSTM'?",
        ),
        (
            {"scan": {"sedes": [1]}},
            "config: unknown key 'sedes' in scan; did you mean 'seeds' or 'methods'?",
        ),
    ],
)
def test_a_misspelt_configuration_is_one_line(snakemake, tmp_path, settings, line):
    done = snakemake(tmp_path, "--cores", "1", settings=settings)
    assert done.returncode == 1
    notices = ("Using workflow specific profile", "Config file")  # Snakemake's own, at every start
    lines = [text for text in done.stderr.splitlines() if not text.startswith(notices)]
    assert lines == [line]


def test_a_failed_job_leaves_its_traceback_in_its_log_and_no_output(snakemake, tmp_path):
    broken = {
        "scan": SLICE["scan"]
        | {
            "architectures": ["RNN"],
            "pretraining": {"RNN": {"steps": 3, "learning_rate": 1.0e30, "gradient_clip": 0}},
        }
    }
    done = snakemake(tmp_path, "--cores", "1", "scan", settings=broken)
    assert done.returncode == 1
    log = tmp_path / "results/logs/scan_pretrain/add_jump_RNN_0.log"
    assert "Traceback" in log.read_text()
    assert "lower learning_rate" in log.read_text()
    assert not list((tmp_path / "results/scan").glob("**/model.safetensors"))
