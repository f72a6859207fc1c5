# What all rules share: the checked configuration, the package on the path, wildcards.
import json
import re
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
from equitune.names import nearest
from equitune.retrieve import sources

SOURCES = {source.mirror: name for name, source in sources().items()}

try:
    CONFIG = configuration.load(config)
    for name, source in CONFIG.image.sources.items():
        if source.kind == "archive" and source.location not in SOURCES.values():
            known = nearest(source.location, SOURCES.values())
            place = f"config: image.sources.{name}.location"
            raise ValueError(f"{place}: unknown file {source.location!r}{known}")
except ValueError as error:
    sys.stderr.write(f"{error}\n")
    sys.exit(1)

SCAN, IMAGE = CONFIG.scan, CONFIG.image
GPU = 0 if CONFIG.device in ("cpu", "mps") else 1
PUBLISHED = str(ROOT / "resources" / "published.csv")
STATES = "results/states"
SCAN_CELL = "results/scan/{task}/{architecture}/seed{seed}"
IMAGE_DATA = "results/image/{dataset}/seed{seed}"
IMAGE_CELL = "results/image/{dataset}/{architecture}/seed{seed}"
IMAGE_ORBIT = "results/figures/image_orbit_{dataset}_{architecture}"
IMAGE_CELLS = [
    {"dataset": dataset, "architecture": architecture}
    for dataset in IMAGE.datasets
    for architecture in IMAGE.architectures
]


def one_of(*names):
    """A wildcard's values."""
    return "|".join(re.escape(name) for name in dict.fromkeys(names))


wildcard_constraints:
    task=one_of(*SCAN.tasks),
    dataset=one_of(*IMAGE.datasets),
    architecture=one_of(*SCAN.architectures, *IMAGE.architectures),
    method=one_of(*configuration.SCAN_METHODS, *configuration.IMAGE_METHODS),
    group=one_of(configuration.IDENTITY, *SCAN.permutations, *IMAGE.groups),
    seed=r"\d+",


def as_json(settings):
    """Settings as one argument of a command."""
    return json.dumps(asdict(settings))


def models(cell, methods, groups):
    """The models of a cell by method and group, in the order of the configuration."""
    for method in methods:
        groupless = method in configuration.GROUPLESS
        for group in [configuration.IDENTITY] if groupless else groups:
            yield f"{cell}/{method}/{group}/model.safetensors"


def scan_models(wildcards):
    """All models of one task, architecture and seed."""
    groups = SCAN.groups[wildcards.task]
    return list(models(SCAN_CELL.format(**wildcards), SCAN.methods, groups))


def image_models(wildcards):
    """All models of one dataset, architecture and seed."""
    return list(models(IMAGE_CELL.format(**wildcards), IMAGE.methods, IMAGE.groups))


def dataset_archive(name):
    """The archive that a dataset comes in, none where it needs no retrieving."""
    source = IMAGE.sources[name]
    archive = {"cifar10": "cifar10", "archive": source.location}.get(source.kind)
    return [
        f"results/sources/{file}" for file, known in SOURCES.items() if known == archive
    ]


def imagenet(architecture):
    """The file of an architecture's ImageNet weights."""
    return f"results/weights/{architecture}.pth"


def image_weights(wildcards):
    """The weights that tuning starts from: trained here, ImageNet's, or a file."""
    if IMAGE.weights == "self":
        return f"{IMAGE_CELL}/base/model.safetensors".format(**wildcards)
    return (
        imagenet(wildcards.architecture)
        if IMAGE.weights == "imagenet"
        else IMAGE.weights
    )


def scan_permutation(wildcards):
    """The cycles of the named group; none for the identity."""
    if wildcards.group == configuration.IDENTITY:
        return as_json(configuration.Permutation())
    return as_json(SCAN.permutations[wildcards.group])
