"""Snakemake in a folder of its own, on this machine or on a cluster, while a test looks on."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import yaml

# this SLURM keeps no accounts; its jobs take 6 to 18 seconds, and are looked at after 4 and 18
CLUSTER = ["--workflow-profile", "profiles/slurm", "--slurm-status-command", "squeue"]
CLUSTER += ["--slurm-init-seconds-before-status-checks", "4", "--latency-wait", "10"]
LOCAL = ["--cores", "2"]
SCAN = {
    "tasks": ["add_jump"],
    "architectures": ["GRU"],
    "subset": 150,
    "pretraining": {"GRU": {"steps": 12}},
    "tuning": {"GRU": {"steps": 6}},
}
CELL = Path("results/scan/add_jump/GRU/seed0")


class Run:
    """A Snakemake process in a folder, and SLURM's record of its jobs."""

    def __init__(self, root, folder, *arguments, steps=None, first=None):
        scan = SCAN | ({"pretraining": {"GRU": steps}} if steps else {})
        override = folder / "override.yaml"
        override.write_text(yaml.safe_dump({"scan": scan}))
        command = [sys.executable, "-m", "snakemake", "--snakefile", str(root / "Snakefile")]
        command += ["--directory", str(folder), *arguments, "--configfile", str(override)]
        paths = {"PATH": [str(Path(sys.executable).parent), os.environ["PATH"]]}
        paths["PYTHONPATH"] = filter(None, [first and str(first), os.getenv("PYTHONPATH")])
        self.folder = folder
        self.log = folder / "snakemake.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                env=os.environ | {name: os.pathsep.join(each) for name, each in paths.items()},
                # a shell that runs the tests in the background has them ignore interrupts
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )

    def wait(self):
        """Its exit code and what it said."""
        return self.process.wait(timeout=300), self.log.read_text()

    def jobs(self, rule):
        """SLURM's record of a rule's jobs, by the names of its fields, oldest first."""
        lines = subprocess.check_output(["scontrol", "--oneliner", "show", "jobs"], text=True)
        records = [dict(re.findall(r"(\S+?)=(\S*)", line)) for line in lines.splitlines()]
        return [
            record
            for record in records
            if record.get("WorkDir") == str(self.folder)
            and record["Comment"].startswith(f"rule_{rule}")
        ]


def until(condition, seconds=60):
    """Wait until a condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds} s in vain"
        time.sleep(0.2)
