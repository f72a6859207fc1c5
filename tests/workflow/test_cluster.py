"""What the workflow asks of a cluster: nothing here needs one."""

import functools
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from equitune.io import layout
from equitune.io.registry import sources

pytestmark = pytest.mark.workflow
PROFILE = "profiles/slurm/config.yaml"


@pytest.fixture(scope="module")
def dry_run(root, tmp_path_factory):
    """Snakemake's dry run with a configuration, at an attempt: what it says.

    With `packages`, the index has been asked for all of them, and had them.
    """

    @functools.cache
    def run(configuration, attempt=1, packages=False):
        command = [sys.executable, "-m", "snakemake", "--snakefile", str(root / "Snakefile")]
        folder = tmp_path_factory.mktemp("dry")
        for source in sources().values() if packages else ():
            facts = {"source": source.name, "available": True, "reason": ""}
            facts |= {key: getattr(source, key) for key in ("package", "version", "licence")}
            if source.wheel:
                note = folder / f"results/packages/{source.name}.json"
                note.parent.mkdir(parents=True, exist_ok=True)
                note.write_text(json.dumps(facts | {"wheel": source.wheel}))
        command += ["--directory", str(folder), "--dry-run", "--cores", "1"]
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


def commands(said):
    """What a dry run tells of each job with a command: [rule, inputs, log, command]."""
    jobs = re.split(r"^(?=(?:local)?(?:rule|checkpoint) \w+:$)", said, flags=re.M)[1:]
    for job in jobs:
        facts = dict(re.findall(r"^ *(input|log|Shell command): (.*)$", job, re.M))
        if "log" in facts:  # else it has no command
            rule = re.search(r"(\w+):$", job, re.M)[1]
            yield rule, facts.get("input", "").split(", "), facts["log"], facts["Shell command"]


@pytest.mark.parametrize("name", ["paper", "config", "pretrained"])
def test_a_command_can_be_read_and_copied_by_hand(dry_run, root, name):
    """At most 500 letters, whose dataset and log are those that Snakemake knows of."""
    told = dry_run(f"config/{name}.yaml", packages=name != "paper")
    told = told.replace(f"{root}/", "")  # files of the package; elsewhere they are relative
    rules = set()
    for rule, inputs, log, command in commands(told):
        assert len(command) <= 500, command
        rules.add(rule)
        words = shlex.split(command)
        if re.fullmatch("(pretrain|tune|evaluate)_(scan|image)|forecast_image_gain", rule):
            assert str(layout.said(Path(words[-1]))["dataset"]) in inputs, command
        if '"${EQUITUNE' in command and "--log" not in words:
            assert layout.log_of_command(words) == Path(log), command
        elif "2>&1" not in command:
            assert words[words.index("--log") + 1] == log, command
    assert len(rules) > 30
    assert "tune_image" in rules


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
