"""`gpus_per_job`: a rule starts its training as several ranks."""

import json

import pytest
from pipeline import CELL, LOCAL, Run

from equitune.io.layout import log_of

pytestmark = [pytest.mark.workflow, pytest.mark.slow]


def test_a_training_of_the_workflow_runs_on_two_ranks(root, tmp_path):
    manifest = CELL / "pretrained/identity/manifest.json"
    ranks = ["--config", "gpus_per_job=2", "device=cpu"]
    run = Run(root, tmp_path, *LOCAL, str(manifest), *ranks)
    code, said = run.wait()
    assert code == 0, said
    assert '"${EQUITUNE:-equitune}" --ranks 2 --minutes' in said
    assert json.loads((tmp_path / manifest).read_text())["ranks"] == 2
    logs = (tmp_path / log_of(str(manifest))).parent.iterdir()
    names = sorted(file.name for file in logs)
    assert names == ["model.safetensors.log", "model.safetensors.rank1.log"]
