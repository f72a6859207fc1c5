"""What the folders of an output say, and where logs stand."""

from pathlib import Path

import pytest

from equitune.io import layout

CELL = "results/image/digits/resnet18/seed3"
KNOWN = {
    "dataset": Path("results/image/digits/seed3/dataset.safetensors"),
    "architecture": "resnet18",
    "seed": 3,
}
TRAINED = KNOWN | {"method": "equitune", "group": "rotate90"}


@pytest.mark.parametrize(
    ("output", "said"),
    [
        (f"{CELL}/equitune/rotate90/model.safetensors", TRAINED),
        (f"{CELL}/base/model.safetensors", KNOWN | {"method": "base"}),
        (f"{CELL}/evaluation.csv", KNOWN),
        (f"seed1/{CELL}/a.csv", KNOWN | {"dataset": Path("seed1") / KNOWN["dataset"]}),
        ("digits/seed3/model.safetensors", {}),
        ("a/b/seed03/m/g/model.safetensors", {}),
        ("a/b/reseed3/m/g/model.safetensors", {}),
        ("model.safetensors", {}),
    ],
    ids=["trained", "base", "cell", "last seed", "too short", "zero", "other", "alone"],
)
def test_the_folders_of_an_output_say_what_it_is_of(output, said):
    assert layout.said(Path(output)) == said


def test_an_absolute_place_says_the_same():
    found = layout.said(Path("/mine", CELL, "finetune/identity/model.safetensors"))
    assert found["dataset"] == Path("/mine", KNOWN["dataset"])
    assert (found["method"], found["group"]) == ("finetune", "identity")


def test_features_stand_beside_the_folders_of_a_datasets_seeds():
    found = layout.features_of(KNOWN["dataset"], "net_0a/rotate90")
    assert found == Path("results/image/digits/features/net_0a/rotate90.safetensors")


@pytest.mark.parametrize(
    ("output", "log"),
    [
        ("results/tables/scan.csv", "results/logs/tables/scan.csv.log"),
        ("results/{a}/{b}.csv", "results/logs/{a}/{b}.csv.log"),
        ("/x/results/a/results/b", "/x/results/logs/a/results/b.log"),
        ("results", None),
        ("tables/results", None),
        ("", None),
    ],
)
def test_a_log_stands_where_its_file_does_below_logs(output, log):
    expected = None if log is None else Path(log)
    assert layout.log_of(output) == expected
    assert layout.log_of_command(["a", "--output", output, "--more"]) == expected
    assert layout.log_of_command(["a", f"--output={output}"]) == expected


def test_a_command_without_an_output_has_no_log_of_its_own():
    assert layout.log_of_command(["results", "profile", "--results", "results/a"]) is None
    assert layout.log_of_command(["a", "--output"]) is None


def test_a_benchmark_is_named_by_rule_and_file():
    place = layout.benchmark_of("tune_scan", "results/scan/model.safetensors")
    assert place == Path("results/benchmarks/tune_scan/scan/model.safetensors.tsv")
