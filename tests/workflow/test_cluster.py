"""What the workflow asks of a cluster: nothing here needs one."""

import re
import subprocess
import sys

import pytest
import yaml

pytestmark = pytest.mark.workflow
PROFILE = "profiles/slurm/config.yaml"


@pytest.fixture(scope="module")
def dry_run(root, tmp_path_factory):
    """Snakemake's dry run with a configuration, at an attempt: what it says."""

    def run(configuration, attempt=1):
        command = [sys.executable, "-m", "snakemake", "--snakefile", str(root / "Snakefile")]
        command += ["--directory", str(tmp_path_factory.mktemp("dry")), "--dry-run", "--cores", "1"]
        command += ["--attempt", str(attempt), "--configfile", str(root / configuration)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    return run


def asked(said):
    """What each rule asks for: {rule: {resource: value}}."""
    jobs = re.findall(r"^(?:local)?rule (\w+):$.*?^    resources: (.*?)$", said, re.M | re.S)
    return {rule: dict(pair.split("=", 1) for pair in line.split(", ")) for rule, line in jobs}


@pytest.fixture(scope="module")
def paper(dry_run):
    """The dry run of the full reproduction."""
    return dry_run("config/paper.yaml")


def test_the_job_counts_in_the_docs_are_those_of_the_paper_configuration(paper, root):
    counts = re.findall(r"^(\w+) +(\d+)$", paper.rpartition("Job stats:")[2], re.M)
    page = (root / "docs/cluster.md").read_text()
    assert dict(re.findall(r"^(\w+) +(\d+)$", page, re.M)) == dict(counts)


def test_a_command_can_be_read_and_copied_by_hand(paper, root):
    """At most 500 letters, and 600 where settings and paths are many."""
    told = paper.replace(f"{root}/", "")  # files of the package; elsewhere they are relative
    commands = re.findall(
        r"^(?:local)?rule (\w+):$.*?^ *Shell command: ([^\n]*)", told, re.M | re.S
    )
    longest = {}
    for rule, command in commands:
        longest[rule] = max(longest.get(rule, 0), len(command))
    assert len(longest) > 30
    long = {rule: letters for rule, letters in longest.items() if letters > 500}
    assert long.keys() <= {"tune_image", "tune_scan", "evaluate_language", "generate_texts"}, long
    assert all(letters <= 600 for letters in long.values()), long


def test_the_profile_sends_the_rules_that_use_a_gpu_where_there_is_one(root):
    rules = [
        rule.partition(":")[0]
        for file in (root / "workflow/rules").glob("*.smk")
        for rule in re.split(r"^rule ", file.read_text(), flags=re.MULTILINE)[1:]
        if "gpu=GPU" in rule
    ]
    profile = yaml.safe_load((root / PROFILE).read_text())
    assert sorted(profile["set-resources"]) == sorted(rules)
    assert not any("mem_mb" in line for line in profile["set-resources"].values())


def test_a_step_that_failed_gets_more_memory_and_training_no_more_time(paper, dry_run):
    first, second = asked(paper), asked(dry_run("config/paper.yaml", attempt=2))
    for rule in ("pretrain_scan", "tune_image", "evaluate_image", "generate_texts"):
        assert int(second[rule]["mem_mb"]) == 2 * int(first[rule]["mem_mb"])
    assert second["tune_image"]["runtime"] == first["tune_image"]["runtime"]  # it resumes
    assert int(second["evaluate_image"]["runtime"]) == 2 * int(first["evaluate_image"]["runtime"])
