"""Features of frozen backbones, computed once for all methods and seeds; trains nothing."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from equitune import devices
from equitune.config import IDENTITY, ImageBuilder, ImageModel
from equitune.files import sha256
from equitune.image import cache
from equitune.image.data import Images, image_action, load_dataset
from equitune.image.features import BATCH, orbit_features
from equitune.image.saved import build_model, describe_model, network, start_from
from equitune.progress import Progress


def extract(
    datasets: Sequence[Path],
    weights: Path,
    architecture: str,
    builder: ImageBuilder,
    model: ImageModel,
    group: str,
    output: Path,
    device: str = "auto",
) -> None:
    """Compute the features of every copy of every image once, for all methods and seeds.

    Args:
        datasets: as for `pretrain`; one for each seed, of the same images.
        weights: of the architecture, .safetensors or .pth; the backbone keeps them.
        architecture: as for `pretrain`.
        builder: as for `pretrain`.
        model: as for `pretrain`.
        group: which copies: "rotate90", "rotate_flip" or "flip".
        output: features for `tune` and the evaluation.
        device: as for `pretrain`.

    Raises:
        ValueError: a bad argument, or a dataset or weights that cannot be read or do not fit.
    """
    chosen = devices.prepare(device)
    _, about = load_dataset(datasets[0])
    facts = describe_model(architecture, builder, "pretrained", IDENTITY, 0, model)
    facts |= {key: about[key] for key in ("dataset", "size", "upsample", "classes")}
    classifier = build_model(facts)
    start_from(classifier, weights)
    backbone = classifier.backbone.eval().to(chosen)
    images, known = cache.distinct(datasets)
    action = image_action(group)
    parts = [
        orbit_features(backbone, part, action, list(action.group.elements)).cpu()
        for part in _shown(images.to(chosen), f"features of {about['dataset']}")
    ]
    cache.save(
        output, torch.cat(parts, dim=1), known, group, **feature_facts(facts, sha256(weights))
    )


def features_for(
    paths: Sequence[Path], facts: Mapping[str, Any], weights: Sequence[str], group: str | None
) -> cache.Orbits | None:
    """Return the features that a frozen model can be run from, if there are some.

    Args:
        paths: what `extract` wrote.
        facts: what the model was built from.
        weights: checksums of the files it was made from, those of its first weights among them.
        group: which copies are needed; None: any group's, for the images as they are.

    Raises:
        ValueError: the features are of other weights, or of another network or dataset.
    """
    if facts["model"]["backbone"] != "frozen":
        return None
    orbits = cache.choose(paths, group)
    if orbits is not None:
        own = orbits.facts["weights"]
        orbits.check(feature_facts(facts, own if own in weights else weights[-1]))
    return orbits


def feature_facts(facts: Mapping[str, Any], weights: str) -> dict[str, Any]:
    """Return what the features of a model with these first weights depend on."""
    return {
        "dataset": facts["dataset"],
        "network": network(facts),
        "options": facts["builder"]["options"],
        "size": facts["size"],
        "upsample": facts["builder"]["upsample"] * facts["upsample"],
        "pooled": facts["model"]["head"] == "linear",
        "weights": weights,
    }


def _shown(images: Images, label: str) -> Iterator[Images]:
    """Yield images part by part, and show how far it is."""
    with Progress(label, len(images)) as progress:
        for start in range(0, len(images), BATCH):
            yield images[start : start + BATCH]
            progress.advance(min(start + BATCH, len(images)))
