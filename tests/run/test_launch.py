"""`equitune --ranks`: GPUs of its own, one line for what is wrong, and the ranks' exit code."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest
import torch
from safetensors.torch import load_file

from equitune import cli
from equitune.run import devices, launch

TRAINING = {"steps": 40, "batch_size": 8, "learning_rate": 1e-3, "save_seconds": 0}
MODEL = ["--architecture", "GRU", "--seed", "0", "--model", "{hidden: 8, embedding: 8, dropout: 0}"]


@pytest.fixture
def gpus(monkeypatch):
    """Pretend that there are so many."""

    def pretend(count):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
        monkeypatch.setattr(devices, "_held", {})
        for name in devices.SCHEDULERS:
            monkeypatch.delenv(name, raising=False)

    return pretend


def test_more_ranks_than_gpus_is_one_line_before_any_rank_starts(gpus, capfd):
    gpus(2)
    assert cli.run(["--ranks", "3", "scan", "pretrain"]) == 1
    assert capfd.readouterr().err == (
        "equitune: error: 3 ranks on this machine but 2 GPUs: start 2 ranks or fewer (set "
        "gpus_per_job), or set device: cpu\n"
    )


@pytest.mark.parametrize("spelt", [["--device", "cpu"], ["--device=cpu"]], ids=["two", "one"])
def test_ranks_on_a_cpu_take_no_gpu(gpus, monkeypatch, spelt):
    gpus(1)
    started = []
    monkeypatch.setattr(
        "torch.distributed.launcher.api.elastic_launch",
        lambda plan, python: lambda *words: started.append((plan.nproc_per_node, words)),
    )
    assert launch.launch(["--ranks", "3", "scan", *spelt], 3) == 0
    assert started == [(3, ("-m", "equitune", "--ranks", "3", "scan", *spelt))]


def test_the_ranks_see_the_gpus_that_the_launcher_took(gpus, monkeypatch, tmp_path):
    gpus(3)
    seen = []
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,6,7")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(
        "torch.distributed.launcher.api.elastic_launch",
        lambda plan, python: lambda *words: seen.append(os.environ["CUDA_VISIBLE_DEVICES"]),
    )
    busy = devices.FileLock(tmp_path / f"equitune-gpus-{os.getuid()}" / "5.lock")
    with busy:
        launch.launch(["scan"], 2)
    assert seen == ["6,7"]
    for lock in devices._held.values():
        lock.release()


def test_launchers_of_one_srun_meet_on_its_node(monkeypatch):
    plans = []
    for node in range(2):
        step = {
            "NODEID": node,
            "STEP_NUM_NODES": 2,
            "JOB_ID": 123,
            "LAUNCH_NODE_IPADDR": "10.0.0.7",
        }
        for name, value in step.items():
            monkeypatch.setenv(f"SLURM_{name}", str(value))
        plans.append(launch._plan(4))
    assert {(p.min_nodes, p.max_nodes, p.nproc_per_node) for p in plans} == {(2, 2, 4)}
    assert {p.rdzv_endpoint for p in plans} == {"10.0.0.7:20123"}
    assert [p.rdzv_configs["rank"] for p in plans] == [0, 1]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """A small one of SCAN."""
    folder = tmp_path_factory.mktemp("scan")
    texts = ["--train", str(folder / "train.txt"), "--test", str(folder / "test.txt")]
    output = folder / "dataset.safetensors"
    assert cli.run(["scan", "split", "add_jump", *texts]) == 0
    options = ["--task", "add_jump", "--seed", "0", "--validation-fraction", "0.2"]
    options += ["--subset", "60", "--output", str(output)]
    assert cli.run(["scan", "dataset", *texts, *options]) == 0
    return output


def start(dataset, folder, *, ranks=2, launcher=(), **environment):
    """Start a training by `--ranks`, or by another launcher."""
    own = ["--log", str(folder / "log.txt"), "--ranks", str(ranks)]
    first = ["-m", *launcher, "-m", "equitune"] if launcher else ["-m", "equitune", *own]
    command = [sys.executable, *first, "scan", "pretrain", "--dataset", str(dataset), *MODEL]
    command += ["--training", json.dumps(TRAINING), "--output", str(folder / "model.safetensors")]
    return subprocess.Popen(
        [*command, "--device", "cpu", "--state-folder", str(folder / "states")],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | environment,
    )


def end(process):
    """Wait for it; return its exit code and what it said."""
    said = process.communicate(timeout=180)[1]
    return process.returncode, said


def trained(folder):
    """The weights, and what the manifest says."""
    facts = json.loads((folder / "manifest.json").read_text())
    return load_file(folder / "model.safetensors"), facts


@pytest.mark.slow
def test_what_all_ranks_find_wrong_is_said_once(tmp_path):
    code, said = end(start(tmp_path / "none.safetensors", tmp_path))
    assert code == 1
    assert re.fullmatch(r"equitune: error: [^\n]*none\.safetensors[^\n]*\n", said)


@pytest.mark.slow
def test_ranks_that_are_stopped_go_on_to_the_weights_of_one_process(dataset, tmp_path):
    alone, both = tmp_path / "alone", tmp_path / "both"
    assert end(start(dataset, alone, ranks=1))[0] == 0
    process = start(dataset, both)
    while process.poll() is None and not list(both.glob("states/*.pt")):
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    code, said = end(process)
    assert code == 75, said
    code, said = end(start(dataset, both))
    assert code == 0, said
    (weights, facts), (expected, _) = trained(both), trained(alone)
    assert facts["ranks"] == 2
    assert facts["resumed_at"] > 0
    torch.testing.assert_close(weights, expected, atol=1e-5, rtol=0)


ACCELERATE = "--multi_gpu --num_processes 2 --num_machines 1 --mixed_precision no"
OTHERS = {
    "torchrun": "torch.distributed.run --standalone --nproc-per-node 2",
    "accelerate": f"accelerate.commands.launch {ACCELERATE} --dynamo_backend no",
}


@pytest.mark.slow
@pytest.mark.parametrize("launcher", OTHERS)
def test_other_launchers_start_the_same_training(dataset, tmp_path, launcher):
    own, other = tmp_path / "own", tmp_path / "other"
    assert end(start(dataset, own))[0] == 0
    process = start(dataset, other, launcher=OTHERS[launcher].split())
    code, said = end(process)
    assert code == 0, said
    (weights, facts), (expected, _) = trained(other), trained(own)
    assert facts["ranks"] == 2
    assert all(torch.equal(weights[name], expected[name]) for name in expected)


@pytest.mark.slow
def test_two_nodes_train_one_model(dataset, tmp_path):
    """As srun starts a launcher on each; the second writes nothing."""
    step = {"STEP_NUM_NODES": "2", "JOB_ID": "4711", "LAUNCH_NODE_IPADDR": "127.0.0.1"}
    variables = {f"SLURM_{name}": value for name, value in step.items()}
    alone, both = tmp_path / "alone", tmp_path / "both"
    processes = [
        start(dataset, both, ranks=1, SLURM_NODEID=node, **variables) for node in ("0", "1")
    ]
    ends = [end(process) for process in processes]
    assert [code for code, _ in ends] == [0, 0], ends
    assert end(start(dataset, alone, ranks=1))[0] == 0
    (weights, facts), (expected, _) = trained(both), trained(alone)
    assert facts["ranks"] == 2
    torch.testing.assert_close(weights, expected, atol=1e-5, rtol=0)
