"""Features of frozen backbones, computed once for all methods and seeds; trains nothing."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from equitune.image import cache
from equitune.image.data import Images, image_action, load_dataset
from equitune.image.features import BATCH, joined, orbit_features
from equitune.image.run import ImageDesign
from equitune.image.saved import DATA, build_model, start_from
from equitune.io.files import sha256
from equitune.run import devices
from equitune.run.progress import Progress


def extract(
    run: ImageDesign,
    datasets: Sequence[Path],
    weights: Path,
    *,
    group: str,
    output: Path,
    device: str = "auto",
) -> None:
    """Compute the features of every copy of every image once, for all methods and seeds.

    Args:
        run: of method "pretrained".
        datasets: as for `pretrain`; one for each seed, of the same images.
        weights: of the architecture, .safetensors or .pth; the backbone keeps them.
        group: which copies, of `IMAGE_GROUPS`.
        output: features for `tune` and the evaluation.
        device: "auto" or a torch device.

    Raises:
        ValueError: a bad argument, or a dataset or weights that cannot be read or do not fit.
    """
    chosen = devices.prepare(device)
    _, about = load_dataset(datasets[0])
    data = {key: about[key] for key in DATA}
    classifier = build_model(run, data)
    start_from(classifier, weights)
    backbone = classifier.backbone.eval().to(chosen)
    images, known = cache.distinct(datasets)
    action = image_action(group)
    parts = (
        orbit_features(backbone, part.to(chosen), action, list(action.group.elements)).cpu()
        for part in _shown(images, f"features of {about['dataset']}")
    )
    facts = feature_facts(run, {**data, "weights": sha256(weights)})
    cache.save(output, joined(parts, len(images)), known, group, **facts)


def features_for(
    paths: Sequence[Path], run: ImageDesign, data: Mapping[str, Any], group: str | None
) -> cache.Orbits | None:
    """Return the features that a frozen model can be run from, if there are some.

    Args:
        paths: what `extract` wrote.
        run: the model's.
        data: `DATA` of its dataset, and "weights", the checksum of its first weights.
        group: which copies are needed; None: any group's, for the images as they are.

    Raises:
        ValueError: the features are of other weights, or of another network or dataset.
    """
    if not run.frozen or run.by_input:
        return None
    orbits = cache.choose(paths, group)
    if orbits is not None:
        orbits.check(feature_facts(run, data))
    return orbits


def feature_facts(run: ImageDesign, data: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the features of a model with its first weights depend on."""
    return {
        "dataset": data["dataset"],
        "network": run.network,
        "options": run.builder.options,
        "size": data["size"],
        "upsample": run.builder.upsample * data["upsample"],
        "pooled": run.model.head == "linear",
        "weights": data["weights"],
    }


def _shown(images: Images, label: str) -> Iterator[Images]:
    """Yield images part by part, and show how far it is."""
    with Progress(label, len(images)) as progress:
        for place, part in enumerate(images.parts(BATCH)):
            yield part
            progress.advance(place * BATCH + len(part))
