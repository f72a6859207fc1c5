"""One training on two nodes of a cluster gives what it gives on one machine."""

import json

import torch
from pipeline import CELL
from safetensors.torch import load_file

MODEL = CELL / "pretrained/identity/model.safetensors"
# a launcher on each node; tasks_per_gpu: 0, as the plugin would ask for as many tasks for each GPU
NODES = [
    "slurm_partition=gpu",
    "gpu=0",
    'gres="gpu:1"',
    "nodes=2",
    "tasks=2",
    "tasks_per_gpu=0",
    'mpi="srun"',
]


def test_one_training_on_two_nodes(local, start, dataset):
    asked = [f"pretrain_scan:{each}" for each in NODES]
    run = start(str(MODEL), "--set-resources", *asked)
    code, said = run.wait()
    assert code == 0, said
    (job,) = run.jobs("pretrain_scan")
    assert (job["JobState"], job["NodeList"]) == ("COMPLETED", "node[1-2]")
    facts = json.loads((run.folder / MODEL).with_name("manifest.json").read_text())
    assert facts["ranks"] == 2
    weights, alone = (load_file(folder / MODEL) for folder in (run.folder, local))
    assert weights.keys() == alone.keys()
    assert all(torch.isfinite(weight).all() for weight in weights.values())
