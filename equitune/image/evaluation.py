"""How good the models of one architecture are on upright and on moved images; trains nothing.

Three tables come of it: a row a model (accuracies, agreement over the orbit, equivariance error), a
row a model and group element (accuracy against rotation), and a few test images with every model's
prediction for each of their copies.
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

from equitune import devices
from equitune.actions import Action, Trivial
from equitune.config import IDENTITY
from equitune.equivariance import equivariance_error
from equitune.extras import extra
from equitune.files import atomic_write
from equitune.image.data import Images, image_action, load_dataset, load_transformed
from equitune.image.experiment import accuracy, load, predict
from equitune.image.features import as_input
from equitune.manifests import describe
from equitune.results.tables import (
    IMAGE_COLUMNS,
    IMAGE_ELEMENT_COLUMNS,
    IMAGE_EXAMPLE_COLUMNS,
)

with extra("workflow"):
    import pandas as pd

logger = logging.getLogger(__name__)

ERROR_EXAMPLES = 64  # validation images on which the equivariance error is measured
RIGHT, WRONG = 3, 2  # images shown whose upright prediction is right, and wrong


def evaluate(
    dataset: Path,
    transformed: Sequence[Path],
    models: Sequence[Path],
    output: Path,
    elements: Path,
    examples: Path,
    device: str = "auto",
) -> None:
    """Score models on the test part, upright and moved; write the three tables.

    Args:
        dataset: the dataset the models were trained on.
        transformed: its group-transformed test parts, one for each group; models without a group
            are measured by the first.
        models: weights written by `equitune.image.experiment`, each with its manifest beside it.
        output: CSV with the columns of results/tables/image.csv.
        elements: CSV with the accuracy for every element of the model's group.
        examples: CSV with a few images, as PNG, and what each model makes of their copies.
        device: where to compute.

    Raises:
        ValueError: a file that cannot be read.
    """
    chosen = devices.prepare(device)
    parts, about = load_dataset(dataset)
    test, validation = parts["test"].to(chosen), parts["validation"].to(chosen)
    moved: dict[str, Images] = {}
    for path in transformed:
        images, _, facts = load_transformed(path)
        moved[facts["group"]] = images.to(chosen)
    first = next(iter(moved))
    rows, by_element, by_model = [], [], []
    for path in models:
        model, facts = load(path)
        model.to(chosen)
        group = first if facts["group"] == IDENTITY else facts["group"]
        action = image_action(group)
        run = {"dataset": about["dataset"]} | {
            key: facts[key] for key in ("architecture", "method", "group", "seed")
        }
        # the predicted class of every copy: (|G|, n)
        predictions = torch.stack(
            [
                predict(model, Images(action(g, test.pixels), test.labels))
                for g in action.group.elements
            ]
        )
        manifest = json.loads(path.with_name("manifest.json").read_text(encoding="utf-8"))
        rows.append(
            run
            | {
                "upright_accuracy": accuracy(predictions[action.group.identity], test),
                "rotated_accuracy": accuracy(predict(model, moved[group]), moved[group]),
                "orbit_agreement": float((predictions == predictions[:1]).all(0).double().mean()),
                "equivariance_error": worst_error(model, action, validation),
                "train_seconds": round(manifest["train_seconds"], 1),
                "parameters": sum(p.numel() for p in model.parameters()),
            }
        )
        logger.info(
            "%(dataset)s %(architecture)s %(method)s: upright %(upright_accuracy).4f, "
            "rotated %(rotated_accuracy).4f",
            rows[-1],
        )
        by_element += [
            run | {"measured_by": group, "element": name, "accuracy": accuracy(row, test)}
            for name, row in zip(action.group.names, predictions, strict=True)
        ]
        by_model.append((run, group, action, predictions.cpu()))
    write(rows, output, IMAGE_COLUMNS)
    write(by_element, elements, IMAGE_ELEMENT_COLUMNS)
    shown = example_rows(parts["test"], about["classes"], first, by_model)
    write(shown, examples, IMAGE_EXAMPLE_COLUMNS)
    settings = {"groups": list(moved), "seeds": [row["seed"] for row in rows]}
    describe(output, settings, [dataset, *transformed, *models], chosen)


def worst_error(model: torch.nn.Module, action: Action, images: Images) -> float:
    """Largest relative difference between the logits of gx and of x, over group and examples."""
    part = as_input(images.pixels[:ERROR_EXAMPLES])
    return float(equivariance_error(model, action, Trivial(action.group), part).max())


def example_rows(
    test: Images,
    classes: Sequence[str],
    group: str,
    by_model: Sequence[tuple[dict[str, Any], str, Action, Tensor]],
) -> list[dict[str, Any]]:
    """Return, for a few test images, what each model measured by a group makes of every copy.

    Shown are the first images on which the models disagree: some that the last model, upright,
    gets right, and some that it gets wrong.
    """
    shown = [entry for entry in by_model if entry[1] == group]
    everything = torch.cat([predictions for *_, predictions in shown])  # (models · |G|, n)
    split = (everything != everything[:1]).any(0)
    _, _, action, last = shown[-1]
    right = last[action.group.identity] == test.labels
    chosen = [
        place
        for good, count in ((right, RIGHT), (~right, WRONG))
        for place in (split & good).nonzero().flatten().tolist()[:count]
    ]
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
                    }
                )
                picture = ""  # once is enough
    return rows


def png(pixels: Tensor) -> str:
    """Return an image (3, height, width), uint8, as PNG in base64."""
    with extra("image"):
        from PIL import Image

    data = io.BytesIO()
    Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy()).save(data, "PNG")
    return base64.b64encode(data.getvalue()).decode()


def write(rows: Sequence[dict[str, Any]], path: Path, columns: Sequence[str]) -> None:
    """Write rows as CSV, whole or not at all, with a header even where there are none."""
    with atomic_write(path) as temporary:
        pd.DataFrame(rows, columns=list(columns)).to_csv(temporary, index=False)
