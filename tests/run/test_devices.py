"""Which device is taken: the named one, or of several GPUs one that nobody else has.

GPUs are pretended: what counts is the lock, which the system drops when a process ends.
"""

import os
import re
import subprocess
import sys

import pytest
import torch

from equitune.run import devices

HOLD = """
import sys
from pathlib import Path
from equitune.run import devices
devices.logger.info = lambda *a: print("waits", flush=True)
devices.POLL_SECONDS = 0.05
names = devices.visible_gpus(int(sys.argv[2]))
print(*devices.own_gpus(names, int(sys.argv[3]), Path(sys.argv[1])), flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def no_scheduler(monkeypatch):
    for name in (*devices.SCHEDULERS, "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(devices, "_held", {})


@pytest.fixture
def job(tmp_path):
    """Start jobs that take a GPU and keep it until they are ended."""
    started = []

    def start(count=2, wanted=1, **environment):
        process = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(tmp_path), str(count), str(wanted)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | environment,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def said(process):
    return process.stdout.readline().strip()


def test_each_job_gets_a_gpu_of_its_own_and_the_next_waits_for_a_killed_one(job):
    first = job()
    assert said(first) == "0"
    second, third = job(), None
    assert said(second) == "1"
    third = job()
    assert said(third) == "waits"
    second.kill()  # -9: nothing in the process could have unlocked it
    assert said(third) == "1"


def test_gpus_are_told_apart_by_what_cuda_visible_devices_names(job):
    first = job(CUDA_VISIBLE_DEVICES="4,7")
    assert said(first) == "0"  # the first that it sees is GPU 4
    second = job(CUDA_VISIBLE_DEVICES="7,4")
    assert said(second) == "0"  # GPU 7
    third = job(CUDA_VISIBLE_DEVICES="4,5")
    assert said(third) == "1"  # 4 is taken


def test_a_process_keeps_the_gpu_it_has(tmp_path):
    for _ in range(2):
        assert devices.own_gpus(["a", "b"], folder=tmp_path) == [0]
    devices._held[0].release()


def test_jobs_of_several_gpus_get_disjoint_ones_and_none_holds_a_part(job):
    first = job(3, 2)
    assert said(first) == "0 1"
    second = job(3, 2)
    assert said(second) == "waits"
    third = job(3)  # the one that the waiting job does not hold
    assert said(third) == "2"
    first.kill()
    assert said(second) == "0 1"


def test_more_gpus_than_there_are_is_one_line(tmp_path):
    with pytest.raises(ValueError, match="3 ranks on this machine but 2 GPUs: start 2 ranks or"):
        devices.own_gpus(["a", "b"], 3, tmp_path)


@pytest.mark.parametrize(
    ("device", "said"),
    [
        ("auto", "4 ranks on this machine but 2 GPUs: start 2 ranks or fewer (set gpus_per_job)"),
        ("cuda:1", "device is 'cuda:1', one GPU for 4 ranks: expected cuda or auto"),
    ],
)
def test_ranks_that_cannot_have_a_gpu_each_are_one_line(monkeypatch, device, said):
    world = {"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "3", "LOCAL_WORLD_SIZE": "4"}
    for name, value in world.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch, "empty", lambda *shape, device: None)
    with pytest.raises(ValueError, match=re.escape(said)):
        devices.prepare(device)


def test_each_rank_has_the_gpu_of_its_number_on_the_machine(monkeypatch):
    world = {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4"}
    for name, value in world.items():
        monkeypatch.setenv(name, value)
    assert devices.ranks_gpu(torch.device("cuda"), 4) == 1


def test_a_schedulers_choice_stands(monkeypatch, tmp_path):
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    assert [devices.own_gpus(["a", "b"], n, tmp_path) for n in (1, 2)] == [[0], [0, 1]]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("visible", "names"),
    [("", ["0", "1"]), ("3, 5", ["3", "5"]), ("GPU-ab,GPU-cd,GPU-ef", ["GPU-ab", "GPU-cd"])],
)
def test_names_of_the_gpus_that_are_seen(monkeypatch, visible, names):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert devices.visible_gpus(2) == names


def test_auto_takes_a_gpu_where_there_is_one(monkeypatch):
    asked = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", asked.append)
    monkeypatch.setattr(devices, "own_gpus", lambda names: [len(names) - 1])
    assert devices.prepare("auto") == devices.prepare("cuda") == torch.device("cuda:1")
    assert asked == [torch.device("cuda:1")] * 2


def test_auto_is_the_cpu_where_there_is_no_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert devices.prepare("auto") == torch.device("cpu")
    assert torch.get_num_threads() == 1


@pytest.mark.parametrize("device", ["cuda", "cuda:99", "abacus"])
def test_a_device_that_is_not_there_is_one_clear_line(monkeypatch, device):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    message = f"device '{device}' is not available here: set device: auto"
    with pytest.raises(ValueError, match=message):
        devices.prepare(device)
