# What all rules share: the checked configuration, wildcards, commands.
import json
import os
import re
import sys
from dataclasses import asdict
from pathlib import Path

from equitune import config as configuration
from equitune.io import flat
from equitune.io.files import atomic_write
from equitune.io.layout import benchmark_of, log_of
from equitune.io.packages import read_note
from equitune.io.resources import DEFAULTS, RESOURCES
from equitune.io.texts import parse_yaml, read_text
from equitune.methods import METHODS, PLAIN
from equitune.plan import (
    Code,
    Commands,
    ImagePlan,
    LanguagePlan,
    Registry,
    ScanPlan,
    as_text,
    braces,
    changed,
    how,
    option,
)
from equitune.plan.image import CELL as IMAGE_CELL
from equitune.plan.image import DATA as IMAGE_DATA
from equitune.plan.image import FEATURES as IMAGE_FEATURES
from equitune.plan.language import CELL as LANGUAGE_CELL
from equitune.plan.language import CORPUS, folder_or_file
from equitune.plan.scan import CELL as SCAN_CELL
from equitune.results import catalogue

try:
    # what imports this workflow may say no more than what it wants otherwise
    default, whole = (parse_yaml(read_text(DEFAULTS), str(DEFAULTS)) for _ in range(2))
    configuration.merge(whole, config)
    CONFIG = configuration.load(whole)
    CHANGED = configuration.difference(default, whole)  # from the default run
    REGISTRY = Registry()
    REGISTRY.check(CONFIG)
except ValueError as error:
    sys.stderr.write(f"{error}\n")
    sys.exit(1)

SCAN = ScanPlan(CONFIG.scan, REGISTRY)
IMAGE = ImagePlan(CONFIG.image, REGISTRY)
LANGUAGE = LanguagePlan(CONFIG.language, REGISTRY)
# in the clone, or where that cannot be written to, or there is none, in the folder of the run
CLONE = (ROOT / "Snakefile").is_file()
NOTED = Path(ROOT if CLONE and os.access(ROOT, os.W_OK) else "") / ".snakemake/equitune"
COMMANDS = Commands(CONFIG)
# its hashes stand in the params of each rule: other code makes its results stale
CODE = Code(NOTED / "code.json")
WHEELS = (IMAGE.wheels, LANGUAGE.wheels)
NOTES = [note for wheels in WHEELS for note in wheels.notes]
PUBLISHED = str(RESOURCES / "published.csv")
CLAIMS = str(RESOURCES / "claims.yaml")
MIRROR = option("--mirror", CONFIG.retrieve.mirror)
GPU = 0 if CONFIG.device in ("cpu", "mps") else 1
RANKS = CONFIG.gpus_per_job  # of a training, on each node
GPUS = GPU * RANKS


def one_of(*names):
    """A wildcard's values; of none, what matches nothing."""
    return "|".join(re.escape(name) for name in dict.fromkeys(names)) or "(?!)"


wildcard_constraints:
    task=one_of(*CONFIG.scan.tasks),
    dataset=one_of(*CONFIG.image.datasets),
    architecture=one_of(
        *CONFIG.scan.architectures,
        *CONFIG.image.architectures,
        *map(CONFIG.image.network, CONFIG.image.architectures),
    ),
    network=one_of(*IMAGE.networks),
    method=one_of(*METHODS),
    model=one_of(*CONFIG.language.models),
    scorer=one_of(*LANGUAGE.trained),
    group=one_of(
        configuration.IDENTITY, *CONFIG.scan.permutations, *CONFIG.image.groups
    ),
    seed=r"\d+",


def per_attempt(amount):
    """A resource that grows each time the job has failed: memory of every step, minutes of those
    that begin again. Training goes on from its last state, so its minutes stay."""
    return lambda wildcards, attempt: attempt * amount


def start(wildcards, resources):
    """How a training starts."""
    return COMMANDS.start(resources)


def page_of(experiment):
    """An experiment's own page of the report."""
    return f"results/report_{experiment}.html"


def shown_table(file, place):
    """A table with its place in the report, if it has one."""
    if place is None:
        return f"results/tables/{file}.csv"
    category, caption, what = place
    return report(
        f"results/tables/{file}.csv",
        category=category,
        caption=f"../report/{caption}.rst",
        labels={"what": what, "kind": "table"},
    )
