"""Fixtures of the figures' tests: tables as an experiment leaves them."""

import base64
import io
import itertools

import pandas as pd
import pytest
from PIL import Image

from equitune.results import tables

UPRIGHT = {"finetune": 0.9, "finetune_augment": 0.8, "equitune": 0.85}
MOVED = {"finetune": 0.4, "finetune_augment": 0.75, "equitune": 0.85}
SECONDS = {"finetune": 10.0, "finetune_augment": 11.0, "equitune": 40.0}
ARCHITECTURES = ("alexnet", "resnet18")


@pytest.fixture
def published(root):
    return tables.read(root / "resources" / "published.csv", tables.PUBLISHED_COLUMNS)


@pytest.fixture
def images():
    """image.csv: two datasets, two architectures, three methods, two seeds."""
    return pd.DataFrame(
        run
        | {
            "upright_accuracy": UPRIGHT[run["method"]] + 0.02 * run["seed"],
            "rotated_accuracy": MOVED[run["method"]] + 0.02 * run["seed"],
            "orbit_agreement": 1.0,
            "equivariance_error": 0.0,
            "train_seconds": SECONDS[run["method"]] * (1 + run["seed"]),
            "parameters": 3,
        }
        for run in runs(("cifar10", "digits"), (0, 1))
    )


@pytest.fixture
def elements():
    """image_elements.csv of one dataset, measured by the quarter turns."""
    return pd.DataFrame(
        run
        | {
            "measured_by": "rotate90",
            "element": element,
            "accuracy": (UPRIGHT if element == "e" else MOVED)[run["method"]] + 0.02 * run["seed"],
        }
        for run in runs(("digits",), (0, 1))
        for element in ("e", "r", "r2", "r3")
    )


@pytest.fixture
def examples():
    """image_examples.csv: two images; only the fine-tuned model errs, on the second copy."""
    rows = []
    for run, image, (place, element) in itertools.product(
        runs(("digits",), (0,)), (4, 7), enumerate(("e", "r", "r2", "r3"))
    ):
        wrong = run["method"] == "finetune" and element == "r"
        rows.append(
            run
            | {
                "measured_by": "rotate90",
                "image": image,
                "label": str(image),
                "element": element,
                "prediction": "9" if wrong else str(image),
                # in one of the rows of a copy
                "png": picture(10 * image + place) if run["method"] == "equitune" else None,
            }
        )
    return pd.DataFrame(rows)


def runs(datasets, seeds):
    """What tells the runs apart."""
    for dataset, architecture, method, seed in itertools.product(
        datasets, ARCHITECTURES, UPRIGHT, seeds
    ):
        yield {
            "dataset": dataset,
            "architecture": architecture,
            "method": method,
            "group": "identity" if method == "finetune" else "rotate90",
            "seed": seed,
        }


def picture(grey):
    """A picture of one grey."""
    data = io.BytesIO()
    Image.new("RGB", (4, 4), (grey, grey, grey)).save(data, "PNG")
    return base64.b64encode(data.getvalue()).decode()
