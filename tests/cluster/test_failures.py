"""What a cluster does to jobs, and what becomes of them."""

import signal
import subprocess
import sys

from pipeline import CELL, until

MODEL = str(CELL / "pretrained/identity/model.safetensors")
# python that takes more memory than its job asked for, the first time
GREEDY = """#!/bin/sh
mkdir once 2> /dev/null \\
    && exec {python} -c 'import time; hog = b"x" * 2_200_000_000; time.sleep(60)'
exec {python} "$@"
"""


def test_a_job_out_of_memory_is_retried_with_more(submit, dataset, tmp_path):
    python = tmp_path / "bin/python"
    python.parent.mkdir()
    python.write_text(GREEDY.format(python=sys.executable))
    python.chmod(0o755)
    # the other form of asking for a GPU, as docs/cluster.md has it
    gres = ["--set-resources", "scan_pretrain:slurm_partition=gpu", "scan_pretrain:gpu=0"]
    run = submit(MODEL, *gres, "scan_pretrain:gres=gpu:1", path=[python.parent])
    code, said = run.wait()
    assert code == 0, said
    jobs = run.jobs("scan_pretrain")
    assert [job["JobState"] for job in jobs] == ["OUT_OF_MEMORY", "COMPLETED"]
    assert [job["MinMemoryNode"] for job in jobs] == ["2000M", "4000M"]
    assert {job["TresPerNode"] for job in jobs} == {"gres:gpu:1"}


def test_an_interrupt_leaves_no_job_behind(submit, dataset):
    run = submit(MODEL, steps={"steps": 1_000_000})
    until(lambda: [job["JobState"] for job in run.jobs("scan_pretrain")] == ["RUNNING"])
    run.process.send_signal(signal.SIGINT)
    code, said = run.wait()
    assert code != 0, said
    until(lambda: not subprocess.check_output(["squeue", "--noheader"]))
    assert [job["JobState"] for job in run.jobs("scan_pretrain")] == ["CANCELLED"]


def test_a_request_that_no_node_can_meet_is_refused(submit, dataset):
    run = submit(MODEL, "--set-resources", "scan_pretrain:mem_mb=9000")
    code, said = run.wait()
    assert code != 0
    assert "Requested node configuration is not available" in said, said
    assert not run.jobs("scan_pretrain")
