# What all rules share: the checked configuration, the package on the path, wildcards.
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

ROOT = Path(workflow.basedir)
sys.path.insert(0, str(ROOT))
# jobs find the package in this folder whatever environment they run in
os.environ["PYTHONPATH"] = os.pathsep.join(
    filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")])
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


wildcard_constraints:
    task="|".join(SCAN.tasks),
    architecture="|".join(SCAN.architectures),
    method="|".join(configuration.SCAN_METHODS),
    group="|".join([configuration.IDENTITY, *SCAN.permutations]),
    seed=r"\d+",


def as_json(settings):
    """Settings as one argument of a command."""
    return json.dumps(asdict(settings))
