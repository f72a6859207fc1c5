"""How good the models of one architecture are on upright and on moved images.

Three tables come of it: one row per model (accuracies, agreement over the orbit, equivariance
error), one row per model and group element (accuracy against rotation), and a few test images with
every model's prediction for each of their copies. A fourth, on demand, has one row per model and
test image, from which models are compared in pairs.
"""

import base64
import io
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from equitune.actions import Action, Trivial
from equitune.compat import extra
from equitune.config import IDENTITY
from equitune.equivariance import equivariance_error
from equitune.image import cache
from equitune.image.data import Images, image_action, load_dataset, load_transformed, transform
from equitune.image.extraction import features_for
from equitune.image.features import SIDE, as_input
from equitune.image.models import Classifier
from equitune.image.prediction import accuracy, brier, cached_logits, orbit_logits
from equitune.image.saved import load
from equitune.io.files import atomic_write
from equitune.results.tables import (
    IMAGE_COLUMNS,
    IMAGE_ELEMENT_COLUMNS,
    IMAGE_EXAMPLE_COLUMNS,
    IMAGE_SCORE_COLUMNS,
)
from equitune.run import devices
from equitune.run.manifests import describe

with extra("workflow"):
    import pandas as pd

logger = logging.getLogger(__name__)

ERROR_EXAMPLES = 64  # validation images on which the equivariance error is measured, of SIDE pixels
ERROR_LEAST = 8
RIGHT, WRONG = 3, 2  # images shown that all models get right as they are, and that one gets wrong
EXAMPLE_SEED = 0  # of the order in which they are drawn


def evaluate(
    dataset: Path,
    transformed: Sequence[Path],
    models: Sequence[Path],
    *,
    output: Path,
    elements: Path,
    examples: Path,
    device: str = "auto",
    features: Sequence[Path] = (),
    scores: Path | None = None,
) -> None:
    """Score models on the test part, upright and moved; write the tables.

    Args:
        dataset: the dataset the models were trained on.
        transformed: its group-transformed test parts, one for each group; models without a group
            are measured by the first.
        models: weights of `equitune.image.experiment`, config.json and manifest.json beside each.
        output: CSV with the columns of results/tables/image.csv.
        elements: CSV with the accuracy for every element of the model's group.
        examples: CSV with a few images, as PNG, and what each model makes of their copies.
        device: where to compute.
        features: what `equitune.image.extraction.extract` wrote, one for each group; models with
            another frozen backbone, and trained ones, are run on the images.
        scores: CSV with what every model makes of every test image, if wanted.

    Raises:
        ValueError: a file that cannot be read, features of something else, or moved images that
            are not of this dataset.
    """
    chosen = devices.prepare(device)
    parts, about = load_dataset(dataset)
    test, validation = parts["test"].to(chosen), parts["validation"].to(chosen)
    moved = dict(_elements(path, parts["test"], dataset) for path in transformed)
    first = next(iter(moved))
    known = cache.keys(test)
    rows, by_element, by_model, by_image = [], [], [], []
    for path in models:
        model, run, data = load(path)
        model.to(chosen)
        group = first if run.group == IDENTITY else run.group
        action = image_action(group)
        which = {"dataset": about["dataset"]} | {
            key: getattr(run, key) for key in ("architecture", "method", "group", "seed")
        }
        manifest = json.loads(path.with_name("manifest.json").read_text(encoding="utf-8"))
        orbits = features_for(features, run, data, group)
        upright, rotated, predictions = _outcome(model, action, test, moved[group], orbits)
        rows.append(
            which
            | {
                "upright_accuracy": accuracy(predictions[action.group.identity], test),
                "rotated_accuracy": accuracy(rotated.argmax(1), test),
                "orbit_agreement": float((predictions == predictions[:1]).all(0).double().mean()),
                "equivariance_error": worst_error(model, action, validation),
                "train_seconds": round(manifest["train_seconds"], 1),
                "parameters": sum(p.numel() for p in model.parameters()),
                "test_size": len(test),
            }
        )
        logger.info(
            "%(dataset)s %(architecture)s %(method)s: upright %(upright_accuracy).4f, "
            "rotated %(rotated_accuracy).4f",
            rows[-1],
        )
        by_element += [
            which | {"measured_by": group, "element": name, "accuracy": accuracy(row, test)}
            for name, row in zip(action.group.names, predictions, strict=True)
        ]
        by_model.append((which, group, action, predictions.cpu()))
        scored = score_rows(which | {"measured_by": group}, known, upright, rotated, test.labels)
        by_image.append(scored)
    write(rows, output, IMAGE_COLUMNS)
    write(by_element, elements, IMAGE_ELEMENT_COLUMNS)
    shown = example_rows(parts["test"], about["classes"], first, by_model)
    write(shown, examples, IMAGE_EXAMPLE_COLUMNS)
    if scores is not None:
        write(pd.concat(by_image), scores, IMAGE_SCORE_COLUMNS)
    settings = {"groups": list(moved), "seeds": [row["seed"] for row in rows]}
    describe(output, settings, [dataset, *transformed, *models, *features], chosen)


def _elements(transformed: Path, test: Images, dataset: Path) -> tuple[str, Tensor]:
    """Return a group, and the element (n,) that each stored image was moved by, checked."""
    stored, elements, facts = load_transformed(transformed)
    again, drawn = transform(test, image_action(facts["group"]), facts["seed"])
    pairs = zip(stored.parts(), again.parts(), strict=False)
    same = len(stored) == len(again) and all(torch.equal(a.pixels, b.pixels) for a, b in pairs)
    same = same and torch.equal(elements, drawn)
    if not same:
        raise ValueError(
            f"{transformed} is not the test part of {dataset} moved by its seed: make it again "
            "with equitune image transform"
        )
    return facts["group"], elements


def _outcome(
    model: Classifier,
    action: Action,
    test: Images,
    by: Tensor,
    orbits: cache.Orbits | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return what a model makes of the test images.

    Args:
        model: on the device of the images.
        action: how the group moves them.
        test: n images.
        by: the element that moves each of them, (n,).
        orbits: features to compute it from; None: from the pixels.

    Returns:
        Logits (n, classes) of the images as they are and as turned, and the predicted class of
        every copy, (|G|, n).
    """
    if orbits is not None:
        logits = cached_logits(model, orbits.of(test), action)
    else:
        logits = orbit_logits(model, test, action)
    rows = torch.arange(len(test), device=logits.device)
    return logits[action.group.identity], logits[by.to(logits.device), rows], logits.argmax(2)


def score_rows(
    run: dict[str, Any], known: Sequence[str], upright: Tensor, rotated: Tensor, labels: Tensor
) -> pd.DataFrame:
    """Return a row for every image: whether it is recognised, and the Brier score, both ways.

    Args:
        run: what identifies the model among others.
        known: what each image is known by.
        upright: logits (n, classes) of the images as they are.
        rotated: logits (n, classes) of the moved images.
        labels: (n,).
    """
    ways = {"upright": upright, "rotated": rotated}
    columns = {f"{way}_correct": (logits.argmax(1) == labels) for way, logits in ways.items()}
    columns |= {f"{way}_brier": brier(logits, labels) for way, logits in ways.items()}
    lists = {name: values.double().cpu().numpy() for name, values in columns.items()}
    return pd.DataFrame(run | {"image_id": known} | lists)


def worst_error(model: Classifier, action: Action, images: Images) -> float:
    """Largest relative difference between the logits of gx and of x, over group and examples.

    Of larger images fewer are looked at, 8 at 224 pixels.
    """
    side = max(model.backbone.size * model.backbone.upsample, SIDE)
    part = as_input(images.pixels[: max(ERROR_EXAMPLES * SIDE**2 // side**2, ERROR_LEAST)])
    return float(equivariance_error(model, action, Trivial(action.group), part).max())


def example_rows(
    test: Images,
    classes: Sequence[str],
    group: str,
    by_model: Sequence[tuple[dict[str, Any], str, Action, Tensor]],
) -> list[dict[str, Any]]:
    """Return, for a few test images, what each model measured by a group makes of every copy.

    Drawn by `EXAMPLE_SEED` from the images on whose copies the models disagree: some that every
    model gets right as they are, and some that one gets wrong; classes not yet shown come first.
    """
    shown = [entry for entry in by_model if entry[1] == group]
    everything = torch.cat([predictions for *_, predictions in shown])  # (models · |G|, n)
    split = (everything != everything[:1]).any(0)
    action = shown[-1][2]
    upright = torch.stack([each[action.group.identity] for *_, each in shown])
    chosen = draw_examples(split, (upright == test.labels).all(0), test.labels)
    rows = []
    for place in chosen:
        for g, element in enumerate(action.group.names):
            picture = png(action(g, test.pixels[place]))
            for run, _, _, predictions in shown:
                rows.append(
                    run
                    | {
                        "measured_by": group,
                        "image": place,
                        "label": classes[int(test.labels[place])],
                        "element": element,
                        "prediction": classes[int(predictions[g, place])],
                        "png": picture,
                        "disagree": int(split.sum()),
                        "test_size": len(test),
                    }
                )
                picture = ""  # once is enough
    return rows


def draw_examples(split: Tensor, right: Tensor, labels: Tensor) -> list[int]:
    """Return the places of the images to show; see `example_rows`.

    Args:
        split: whether the models disagree on an image's copies, (n,), bool.
        right: whether every model gets it right as it is, (n,), bool.
        labels: its class, (n,).
    """
    generator = torch.Generator().manual_seed(EXAMPLE_SEED)
    order = torch.randperm(len(labels), generator=generator).tolist()
    chosen: list[int] = []
    for good, count in ((right, RIGHT), (~right, WRONG)):
        left = [place for place in order if split[place] and good[place]]
        for _ in range(min(count, len(left))):
            seen = [int(labels[place]) for place in chosen]
            # of the classes that are shown least, the image that was drawn first
            chosen.append(min(left, key=lambda place: seen.count(int(labels[place]))))
            left.remove(chosen[-1])
    return chosen


def png(pixels: Tensor) -> str:
    """Return an image (3, height, width), uint8, as PNG in base64."""
    with extra("image"):
        from PIL import Image

    data = io.BytesIO()
    Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy()).save(data, "PNG")
    return base64.b64encode(data.getvalue()).decode()


def write(
    rows: Sequence[dict[str, Any]] | pd.DataFrame, path: Path, columns: Sequence[str]
) -> None:
    """Write rows as CSV, whole or not at all, with a header even where there are none."""
    with atomic_write(path) as temporary:
        pd.DataFrame(rows, columns=list(columns)).to_csv(temporary, index=False)
