"""What averaging a network over the group will gain, foretold before training and then measured.

The forecast needs no labels: E‖p(x) - p_G(x)‖² over the validation images, where p are the
probabilities of the network as it is, and p_G their mean over the copies of x (`equitune.gain`).
Beside it stands what the same mean saves of the Brier score on the moved test images.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from equitune.actions import Action, Trivial
from equitune.gain import orbit_variance, summarize
from equitune.image import cache
from equitune.image.data import Images, image_action, load_dataset, load_transformed
from equitune.image.evaluation import write
from equitune.image.extraction import features_for
from equitune.image.models import Classifier
from equitune.image.prediction import cached_logits, orbit_logits, squared_loss
from equitune.image.saved import load
from equitune.results.tables import IMAGE_FORECAST_PART_COLUMNS
from equitune.run import devices
from equitune.run.manifests import describe


def forecast(
    dataset: Path,
    transformed: Path,
    model: Path,
    output: Path,
    *,
    device: str = "auto",
    features: Sequence[Path] = (),
) -> None:
    """Write the forecast for one network, and what its mean over the group saves.

    Args:
        dataset: the dataset the model was trained on; of its validation part the labels are not
            looked at.
        transformed: its test part, each image moved by an element of the group.
        model: weights written by `equitune.image.experiment`, of a model that uses no group.
        output: CSV with a row of `IMAGE_FORECAST_PART_COLUMNS`.
        device: where to compute.
        features: as for `equitune.image.evaluation.evaluate`.

    Raises:
        ValueError: a file that cannot be read, features of something else, or a model that is
            invariant already.
    """
    chosen = devices.prepare(device)
    parts, about = load_dataset(dataset)
    turned, elements, moved_by = load_transformed(transformed)
    group = moved_by["group"]
    action = image_action(group)
    network, run, data = load(model)
    if network.features.group.order > 1:
        raise ValueError(f"{model} is made with {run.method}: expected a model that uses no group")
    network.to(chosen)
    known = features_for(features, run, data, group)

    unlabelled = parts["validation"].to(chosen)
    gain = summarize(
        orbit_variance(_probabilities(network, action, unlabelled, known), Trivial(action.group))
    )
    test = parts["test"].to(chosen)
    probabilities = _probabilities(network, action, test, known)
    rows = torch.arange(len(test), device=chosen)
    own = probabilities[elements.to(chosen), rows]  # of each image as it was moved
    labels = turned.labels.to(chosen)
    saved = squared_loss(own, labels) - squared_loss(probabilities.mean(0), labels)
    averaged = summarize(saved)
    row = {
        "dataset": about["dataset"],
        "architecture": run.architecture,
        "group": group,
        "seed": run.seed,
        "forecast": gain.value,
        "forecast_error": gain.standard_error,
        "forecast_images": gain.n,
        "averaged_gain": averaged.value,
        "averaged_error": averaged.standard_error,
        "test_images": averaged.n,
    }
    write([row], output, IMAGE_FORECAST_PART_COLUMNS)
    settings = {"group": group, "seed": run.seed}
    describe(output, settings, [dataset, transformed, model, *features], chosen)


def _probabilities(
    network: Classifier, action: Action, images: Images, known: cache.Orbits | None
) -> Tensor:
    """Return the probabilities (|G|, n, classes) of every copy of images, in float64."""
    if known is not None:
        logits = cached_logits(network, known.of(images), action)
    else:
        logits = orbit_logits(network, images, action)
    return logits.double().softmax(2)
