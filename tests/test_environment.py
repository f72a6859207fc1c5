"""The environment that the rules name has what a step imports, at the versions that are tested."""

import re
import tomllib

import yaml

WORKFLOW_ONLY = {"snakemake", "snakemake-executor-plugin-slurm", "pygments"}  # no step imports them


def names(requirements):
    """The normalised names of requirements, with their pins where they have one."""
    parts = (re.match(r"([\w.-]+)(?:==(.+))?", line).groups() for line in requirements)
    return {re.sub(r"[-_.]+", "-", name).lower(): pin for name, pin in parts}


def test_the_environment_of_the_rules_has_what_the_extras_ask_for(root):
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    asked = [*project["dependencies"], *extras["image"], *extras["language"], *extras["workflow"]]
    packages = yaml.safe_load((root / "envs/equitune.yaml").read_text())["dependencies"][-1]["pip"]
    held, pinned = names(packages), names((root / "constraints.txt").read_text().splitlines())
    assert set(held) == set(names(asked)) - WORKFLOW_ONLY
    assert held == {name: pinned[name] for name in held}
