# What all rules share: the checked configuration, the package on the path, wildcards.
import json
import shlex
import sys
from dataclasses import asdict
from pathlib import Path

ROOT = Path(workflow.basedir)
sys.path.insert(0, str(ROOT))
# jobs find the package in this folder, whatever environment they run in
shell.prefix(
    f"export PYTHONPATH={shlex.quote(str(ROOT))}${{{{PYTHONPATH:+:$PYTHONPATH}}}}; "
)

from equitune import config as configuration

try:
    CONFIG = configuration.load(config)
except ValueError as error:
    sys.stderr.write(f"{error}\n")
    sys.exit(1)

SCAN = CONFIG.scan
GPU = 0 if CONFIG.device in ("cpu", "mps") else 1
PUBLISHED = str(ROOT / "resources" / "published.csv")
STATES = "results/states"
SCAN_CELL = "results/scan/{task}/{architecture}/seed{seed}"


wildcard_constraints:
    task="|".join(SCAN.tasks),
    architecture="|".join(SCAN.architectures),
    method="|".join(configuration.SCAN_METHODS),
    group="|".join([configuration.IDENTITY, *SCAN.permutations]),
    seed=r"\d+",


def as_json(settings):
    """Settings as one argument of a command."""
    return json.dumps(asdict(settings))


def scan_models(wildcards):
    """All models of one task, architecture and seed, in the order of the configuration."""
    for method in SCAN.methods:
        groups = (
            [configuration.IDENTITY]
            if method in configuration.GROUPLESS
            else SCAN.groups[wildcards.task]
        )
        for group in groups:
            yield f"{SCAN_CELL}/{method}/{group}/model.safetensors".format(**wildcards)


def scan_permutation(wildcards):
    """The cycles of the named group; none for the identity."""
    if wildcards.group == configuration.IDENTITY:
        return as_json(configuration.Permutation())
    return as_json(SCAN.permutations[wildcards.group])
