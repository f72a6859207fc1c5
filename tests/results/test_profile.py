"""What each job of a run took, from files as Snakemake and the commands leave them."""

import os

import pandas as pd
import pytest

from equitune import cli
from equitune.results import tables
from equitune.results.figures.jobs import PARTS, job_times
from equitune.results.profile import most_at_once, profile

HEAD = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"
LOG = 'a message\nseconds {"start": 0.5, "imports": 2.0, "training": 6.0, "processor": 9.0}\n'


def job(results, rule, name, taken, end, log=None, memory="100.5"):
    """Write what a job of a rule leaves that writes a file: benchmark file and log."""
    file = results / "benchmarks" / rule / f"{name}.tsv"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"{HEAD}{taken}\t0:00:01\t{memory}\t1\t1\t1\t0\t0\t90\t0.1\n")
    os.utime(file, (end, end))
    if log is not None:
        place = results / "logs" / f"{name}.log"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(log)


@pytest.fixture
def results(tmp_path):
    job(tmp_path, "tune_scan", "scan/LSTM/model.safetensors", 10.0, 1010.0, LOG)
    job(tmp_path, "tune_scan", "scan/GRU/model.safetensors", 20.0, 1025.0, LOG)
    job(tmp_path, "retrieve_file", "sources/test", 3.0, 1028.0, "cut off", memory="NA")
    job(tmp_path, "plot_scan_accuracy", "figures/scan_accuracy.svg", 2.0, 1031.0)
    job(tmp_path, "", "plot_image_cost", 1.0, 1032.0)  # of somebody's rule without a folder
    return tmp_path


def test_a_row_for_each_job_in_the_order_of_their_ends(results):
    table = profile(results)
    assert list(table.columns) == list(tables.JOB_COLUMNS)
    assert [*zip(table["rule"], table["job"], table["end"], strict=True)] == [
        ("tune_scan", "scan/LSTM/model.safetensors", 10),
        ("tune_scan", "scan/GRU/model.safetensors", 25),
        ("retrieve_file", "sources/test", 28),
        ("plot …", "figures/scan_accuracy.svg", 31),
        ("plot …", "plot_image_cost", 32),
    ]
    measured = ["start_seconds", "imports_seconds", "training_seconds", "processor_seconds"]
    assert table.loc[0, measured].tolist() == [0.5, 2, 6, 9]
    assert table.loc[2:, [*measured]].isna().all(axis=None)
    assert table["peak_mb"].isna().tolist() == [False, False, True, False, False]


def test_jobs_that_ran_at_the_same_time():
    jobs = pd.DataFrame({"seconds": [10, 20, 3, 2], "end": [10, 25, 28, 31]})
    assert most_at_once(jobs) == 2  # the third begins as the second ends
    assert most_at_once(jobs.assign(seconds=1)) == 1


def test_the_figure_shows_all_seconds_of_each_rule(results):
    figure, shown = job_times(profile(results))
    shown = shown.set_index("rule")
    assert shown["jobs"].to_dict() == {"tune_scan": 2, "retrieve_file": 1, "plot …": 2}
    assert shown[[*PARTS]].sum(axis=1).to_dict() == {
        "tune_scan": 30, "retrieve_file": 3, "plot …": 3
    }  # fmt: skip
    # 30 s, of which the processor computed 18 and 12 were waited for: 1 + 4 + 12 + 1 + 12
    assert shown.loc["tune_scan"].to_dict() == {
        "jobs": 2, "training": 12, "other": 1, "imports": 4, "start": 1, "waiting": 12
    }  # fmt: skip
    assert shown.loc["plot …", "other"] == 3
    (axis,) = figure.axes
    assert "5 jobs, at most 2 at a time: 32 s" in axis.get_title()
    assert "44% of them without a job" in axis.get_title()  # 1 - 36 / 64


def test_the_command_writes_table_and_figure(results):
    assert cli.run(["results", "profile", "--results", str(results)]) == 0
    table = tables.read(results / "tables" / "jobs.csv", tables.JOB_COLUMNS)
    assert len(table) == 5
    for suffix in (".svg", ".pdf", ".csv"):
        assert (results / "figures" / f"job_times{suffix}").stat().st_size > 100


def test_a_folder_without_runs_is_refused(tmp_path, capsys):
    assert cli.run(["results", "profile", "--results", str(tmp_path)]) == 1
    assert "benchmarks has no files: run snakemake first" in capsys.readouterr().err
