"""What a run was made with: facts that agree, that differ, and that are missing."""

import json

import pandas as pd

from equitune import cli
from equitune.results.provenance import provenance


def manifest(seed=0, commit="a" * 40, dirty=False, device="cpu"):
    return {
        "configuration": {"seed": seed},
        "git": {"commit": commit, "dirty": dirty},
        "device": device,
        "determinism": "seeded",
        "machine": "Linux x86_64",
        "versions": {"python": "3.11", "torch": "2.13"},
    }


def facts(manifests, now=None):
    return provenance(manifests, now).set_index("what")["value"].to_dict()


def test_models_that_agree_are_one_value():
    now = {"commit": "b" * 40, "dirty": True}
    assert facts([manifest(0), manifest(1), manifest(10)], now) == {
        "trained models": "3",
        "seeds": "0, 1, 10",
        "commit of the models": "a" * 12,
        "commit of the tables": f"{'b' * 12}, with changes",
        "device": "cpu",
        "determinism": "seeded",
        "machine": "Linux x86_64",
        "versions": "python 3.11, torch 2.13",
    }


def test_models_that_differ_are_counted():
    told = facts([manifest(), manifest(device="cuda:0"), manifest(dirty=True)])
    assert told["device"] == "cpu (2 models); cuda:0 (1 models)"
    assert told["commit of the models"] == (
        f"{'a' * 12} (2 models); {'a' * 12}, with changes (1 models)"
    )


def test_outside_of_version_control_it_says_so():
    told = facts([manifest() | {"git": None}])
    assert told["commit of the models"] == "not under version control"


def test_without_models_the_commit_of_the_tables_is_left():
    assert facts([]) == {"trained models": "0", "commit of the tables": "not under version control"}


def test_the_command_reads_the_manifests_of_the_runs_that_were_evaluated(tmp_path):
    runs = [("finetune", "identity"), ("equitune", "rotate90")]
    for seed, (method, group) in enumerate([*runs, ("equizero", "rotate90")]):
        path = tmp_path / method / group / "manifest.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(manifest(seed)))
    part = tmp_path / "evaluation.csv"
    pd.DataFrame(runs, columns=["method", "group"]).to_csv(part, index=False)
    base = tmp_path / "manifest.json"
    base.write_text(json.dumps(manifest(7)))
    output = tmp_path / "provenance.csv"
    arguments = ["results", "provenance", str(part), str(base), "--output", str(output)]
    assert cli.run(arguments) == 0
    told = pd.read_csv(output, dtype=str).set_index("what")["value"]
    assert told["trained models"] == "3"
    assert told["seeds"] == "0, 1, 7"  # none of a run that the table does not have
