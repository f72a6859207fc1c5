"""The measurements of a GPU, tried on a CPU: what is divided by what, and what is not measured."""

import subprocess
import sys

import pandas as pd
import pytest
import torch

from equitune.results import tables

pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def gpu(script):
    return script("gpu")


@pytest.fixture
def place(gpu, monkeypatch):
    """A CPU on which nothing runs: every work takes its number in seconds."""
    monkeypatch.setattr(gpu, "alternate", lambda works, rounds, clock: [(1.0, 4.0)[: len(works)]])
    return gpu.Place(torch.device("cpu"), gpu.SIZES["small"], 1, None)


@pytest.fixture
def quick(gpu, monkeypatch):
    """No model is made."""
    monkeypatch.setattr(gpu.image_cost, "classifier", lambda *_, **__: torch.nn.Linear(1, 1))
    monkeypatch.setattr(gpu, "from_orbits", lambda *_, **__: None)


@pytest.mark.usefixtures("quick")
def test_images_are_measured_against_plain_ones_on_all_copies(gpu, place):
    rows = list(gpu.images(place))
    floors = [each for each in rows if each["benchmark"] == "gpu_floor"]
    assert [each["at_most"] for each in floors] == [1.05, None, 1.05, None]
    assert {each["ratio"] for each in floors} == {0.25}
    rates = [each for each in rows if each["benchmark"] == "gpu_rate"]
    assert {(each["value"], each["denominator_value"]) for each in rates} == {(2.0, 2.0)}
    kinds = [each["numerator"].partition(", ")[2] for each in floors]
    assert kinds[:2] == ["float32, channels last, eager", "float32, channels last, compiled"]
    assert [each["benchmark"] for each in rows].count("gpu_compiled") == 2
    assert [each["benchmark"] for each in gpu.frozen(place)] == ["gpu_frozen"]


@pytest.mark.usefixtures("quick")
def test_a_cpu_is_called_one_and_what_it_cannot_tell_is_left_out(gpu, place):
    rows = [*gpu.memory(place), *gpu.scan(place), *gpu.checks(place)]
    assert all("no GPU: sizes that only try the script" in each["machine"] for each in rows)
    missing = {each["benchmark"] + each["setting"] for each in rows if not each["n"]}
    assert missing == {"gpu_memory32 px, batch 2", "gpu_checkslock", "gpu_checkshalving"}
    assert all("not measured" in each["note"] for each in rows if not each["n"])
    resumed = next(each for each in rows if each["setting"] == "resume")
    assert resumed["ratio"] == 1


def test_generation_is_measured_against_the_plain_model(gpu, place):
    mean, frame = gpu.language(place)
    assert (mean["numerator"], frame["numerator"]) == ("generate, mean", "generate, frame")
    assert (mean["value"], mean["denominator_value"]) == (4.0, 1.0)  # tokens a second


def test_a_training_that_does_not_resume_is_found(script, monkeypatch, tmp_path):
    checks = script("gpu_checks")
    whole = checks.fit
    calls = []

    def forgetful(model, plan, objective, **settings):
        calls.append(settings["state"])
        return whole(model, plan, objective, **settings | ({"seed": 5} if len(calls) == 3 else {}))

    monkeypatch.setattr(checks, "fit", forgetful)
    monkeypatch.setattr(checks, "state_of", lambda *_: None)  # it begins again
    assert not checks.resume(torch.device("cpu"), tmp_path)


@pytest.mark.slow
def test_all_of_it_runs_on_a_cpu(root, tmp_path):
    command = [sys.executable, root / "benchmarks/gpu.py", "--rounds", "1", "--device", "cpu"]
    done = subprocess.run([*command, "--output", tmp_path / "gpu.csv"], check=False)
    assert done.returncode == 0
    table = pd.read_csv(tmp_path / "gpu.csv")
    assert tuple(table.columns) == tables.COST_COLUMNS
    assert set(table["benchmark"]) == {
        *("gpu_floor", "gpu_rate", "gpu_compiled", "gpu_frozen", "gpu_memory"),
        *("gpu_language", "gpu_scan", "gpu_checks"),
    }
    assert (table["torch"] == torch.__version__).all()
