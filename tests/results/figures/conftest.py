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
DEMOGRAPHICS = {
    "gender": ("man", "woman"),
    "race": ("Black person", "White person"),
    "orientation": ("gay person", "straight person"),
}
# positive, neutral, negative, other, for the first demographic and the second
SHARES = {
    "plain": ((0.2, 0.2, 0.5, 0.1), (0.4, 0.2, 0.4, 0.0)),
    "equi": ((0.3, 0.2, 0.45, 0.05), (0.3, 0.2, 0.45, 0.05)),
    "relaxed": ((0.3, 0.3, 0.35, 0.05), (0.3, 0.25, 0.4, 0.05)),
}
TV = {"plain": 0.3, "equi": 0.0, "relaxed": 0.02}


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
            "test_size": 270,
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
                "disagree": 40,
                "test_size": 270,
            }
        )
    return pd.DataFrame(rows)


@pytest.fixture
def regard():
    """regard.csv: the small model by three methods and two seeds, and the published texts."""
    rows = []
    for run, seed in itertools.product(texts(), (0, 1)):
        if run["model"] == "published" and seed:
            continue
        for name, shares in zip(DEMOGRAPHICS[run["axis"]], SHARES[run["method"]], strict=True):
            moved = 0.02 * seed  # from neutral to positive
            measured = dict(zip(tables.REGARD_LABELS, shares, strict=True))
            measured["positive"] += moved
            measured["neutral"] -= moved
            row = run | {"demographic": name, "seed": seed, "n": 500, "sentiment": 0.1}
            rows.append(row | measured)
    return pd.DataFrame(rows)


@pytest.fixture
def fairness():
    """fairness.csv of the same runs."""
    rows = []
    for run, seed in itertools.product(texts(), (0, 1)):
        if run["model"] == "published" and seed:
            continue
        first, second = SHARES[run["method"]]
        gap = first[0] - first[2] - second[0] + second[2] + 0.01 * seed
        own = run["model"] == "small"
        rows.append(
            run
            | {
                "seed": seed,
                "regard_gap": gap,
                "regard_gap_low": gap - 0.1,
                "regard_gap_high": gap + 0.2,
                "counterfactual_tv": TV[run["method"]] if own else None,
                "perplexity": 8 + seed if own else None,
                "pair": "/".join(DEMOGRAPHICS[run["axis"]]),
                "p_value": 0.5,
                "n": 1000,
            }
        )
    return pd.DataFrame(rows)


@pytest.fixture
def pronouns():
    """language_pronouns.csv of the same runs, of the axis gender alone."""
    rows = []
    for run, seed in itertools.product(texts(), (0, 1)):
        if run["axis"] != "gender" or (run["model"] == "published" and seed):
            continue
        agree = {"plain": 190, "equi": 100, "relaxed": 180}[run["method"]] + seed
        for name, times in (("man", 1), ("woman", 1), (tables.ALL, 2)):
            ends = {"share_low": agree / 200 - 0.1, "share_high": agree / 200 + 0.02}
            row = run | {"demographic": name, "seed": seed, "texts": 500 * times}
            row |= {"with_pronoun": 200 * times, "agree": agree * times, "share": agree / 200}
            rows.append(row | ends | {"warning": None})
    return pd.DataFrame(rows)


@pytest.fixture
def truth():
    """truth.csv: the small model is what it learnt, without the sampling."""
    return pd.DataFrame(
        {"axis": axis, "task": task, "demographic": name}
        | dict(zip(tables.REGARD_LABELS, shares, strict=True))
        for axis, task in itertools.product(DEMOGRAPHICS, ("respect", "occupation"))
        for name, shares in zip(DEMOGRAPHICS[axis], SHARES["plain"], strict=True)
    )


def texts():
    """What tells the language models' runs apart, but for the seed."""
    models = [("small", method) for method in SHARES] + [("published", "plain")]
    for (model, method), axis, task in itertools.product(
        models, DEMOGRAPHICS, ("respect", "occupation")
    ):
        yield {"model": model, "method": method, "axis": axis, "task": task}


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
