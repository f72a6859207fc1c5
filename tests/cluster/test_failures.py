"""What a cluster does to jobs, and what becomes of them."""

import json
import signal
import subprocess
from pathlib import Path

from pipeline import CELL, LOCAL, until

from equitune.io.layout import log_of

MODEL = CELL / "pretrained/identity/model.safetensors"
GPU = "pretrain_scan:slurm_partition=gpu"


def test_a_job_out_of_memory_is_retried_with_more(start, dataset, first_time):
    greedy = first_time("""python3 -c 'hog = b"x" * 2_200_000_000; input()' < /dev/zero""")
    # the other form of asking for a GPU, as docs/cluster.md has it
    gres = [GPU, "pretrain_scan:gpu=0", "pretrain_scan:gres=gpu:1"]
    run = start(str(MODEL), "--set-resources", *gres, first=greedy)
    code, said = run.wait()
    assert code == 0, said
    jobs = run.jobs("pretrain_scan")
    assert [job["JobState"] for job in jobs] == ["FAILED", "COMPLETED"]
    assert "exceeded memory limit" in Path(jobs[0]["StdOut"]).read_text()
    assert [job["MinMemoryNode"] for job in jobs] == ["2000M", "4000M"]
    assert {job["TresPerNode"] for job in jobs} == {"gres:gpu:1"}


def test_training_past_its_time_limit_goes_on_where_it_was(start, dataset, first_time, tmp_path):
    # it hangs once it has written a state, until SLURM ends it
    hangs = first_time(
        "(until ls results/states/*.pt 2> /dev/null; do sleep 0.1; done; kill -STOP $PPID) &"
    )
    steps = {"steps": 400, "save_seconds": 0.1}
    limit = ["--set-resources", GPU, "pretrain_scan:runtime=1"]
    # looked at after 11, 32, 63 and 104 seconds: SLURM ends it up to half a minute past the limit
    limit += ["--slurm-init-seconds-before-status-checks", "11"]
    run = start(str(MODEL), *limit, steps=steps, first=hangs)
    uninterrupted = start(str(MODEL), folder=dataset(tmp_path / "local"), where=LOCAL, steps=steps)
    for each in (run, uninterrupted):
        code, said = each.wait()
        assert code == 0, said
    jobs = run.jobs("pretrain_scan")
    assert [job["JobState"] for job in jobs] == ["TIMEOUT", "COMPLETED"]
    assert {job["TimeLimit"] for job in jobs} == {"00:01:00"}
    manifest = json.loads((run.folder / MODEL).with_name("manifest.json").read_text())
    assert manifest["resumed_at"] > 0
    assert (run.folder / MODEL).read_bytes() == (uninterrupted.folder / MODEL).read_bytes()


def test_an_interrupt_leaves_no_job_behind(start, dataset):
    run = start(str(MODEL), steps={"steps": 1_000_000})
    until((run.folder / log_of(str(MODEL))).exists)
    run.process.send_signal(signal.SIGINT)
    code, said = run.wait()
    assert code != 0, said
    until(lambda: not subprocess.check_output(["squeue", "--noheader"]))
    assert [job["JobState"] for job in run.jobs("pretrain_scan")] == ["CANCELLED"]


def test_a_request_that_no_node_can_meet_is_refused(start, dataset):
    run = start(str(MODEL), "--set-resources", "pretrain_scan:mem_mb=9000")
    code, said = run.wait()
    assert code != 0
    assert "Requested node configuration is not available" in said, said
    assert all("BatchHost" not in job for job in run.jobs("pretrain_scan"))  # none has run
