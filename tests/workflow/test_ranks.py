"""`gpus_per_job`: a rule starts its training as several ranks."""

import json

import pytest
from pipeline import CELL, LOCAL, Run

pytestmark = [pytest.mark.workflow, pytest.mark.slow]


def test_a_training_of_the_workflow_runs_on_two_ranks(root, tmp_path):
    manifest = CELL / "pretrained/identity/manifest.json"
    ranks = ["--config", "gpus_per_job=2", "device=cpu"]
    run = Run(root, tmp_path, *LOCAL, str(manifest), *ranks)
    code, said = run.wait()
    assert code == 0, said
    assert '"${EQUITUNE:-equitune}" --ranks 2 --log' in said
    assert json.loads((tmp_path / manifest).read_text())["ranks"] == 2
    logs = sorted(file.name for file in (tmp_path / "results/logs/pretrain_scan").iterdir())
    assert logs == ["add_jump_GRU_0.log", "add_jump_GRU_0.rank1.log"]
