"""The forecast is made without labels, and what is measured beside it is what averaging saves."""

import pandas as pd
import pytest
import torch

from equitune.actions import Rotate90
from equitune.config import ImageModel, Training
from equitune.image import experiment, forecast, saved
from equitune.image.data import load_dataset, load_transformed
from equitune.image.run import ImageRun
from equitune.io.files import load_tensors, save_tensors
from equitune.run.job import Job


@pytest.fixture(scope="module")
def base(dataset, tmp_path_factory):
    output = tmp_path_factory.mktemp("base") / "model.safetensors"
    plan = Training(steps=10, batch_size=7, learning_rate=1e-3)
    data = dataset / "dataset.safetensors"
    run = ImageRun(architecture="resnet18", seed=0, model=ImageModel(), training=plan)
    experiment.pretrain(run, data, Job(output=output, device="cpu"))
    return output


def foretell(dataset, model, output, data=None):
    moved = dataset / "rotate90.safetensors"
    forecast.forecast(data or dataset / "dataset.safetensors", moved, model, output, device="cpu")
    return pd.read_csv(output).iloc[0]


def probabilities(model, images):
    """Of every copy, in float64, image by image: [image][element] -> (classes,)."""
    rotate, model = Rotate90(), model.double().eval()
    with torch.no_grad():
        return [
            [model(rotate(g, x[None]).double() / 255)[0].softmax(0) for g in range(4)]
            for x in images.pixels
        ]


def test_it_is_what_a_plain_loop_gives(dataset, base, tmp_path):
    row = foretell(dataset, base, tmp_path / "forecast.csv")
    model, _, _ = saved.load(base)
    parts, _ = load_dataset(dataset / "dataset.safetensors")
    each = []
    for copies in probabilities(model, parts["validation"]):
        mean = sum(copies) / 4
        each.append(sum(float(((p - mean) ** 2).sum()) for p in copies) / 4)
    n = len(each)
    value = sum(each) / n
    error = (sum((x - value) ** 2 for x in each) / (n - 1) / n) ** 0.5
    assert (row["architecture"], row["group"], row["seed"]) == ("resnet18", "rotate90", 0)
    assert row["forecast_images"] == n
    assert row["forecast"] == pytest.approx(value, rel=1e-4)
    assert row["forecast_error"] == pytest.approx(error, rel=1e-4)

    turned, elements, _ = load_transformed(dataset / "rotate90.safetensors")
    saved_loss = []
    pairs = zip(probabilities(model, parts["test"]), elements, turned.labels, strict=True)
    for copies, g, label in pairs:
        right = torch.eye(3, dtype=torch.float64)[label]
        own = float(((copies[int(g)] - right) ** 2).sum())
        saved_loss.append(own - float(((sum(copies) / 4 - right) ** 2).sum()))
    assert row["test_images"] == len(saved_loss)
    assert row["averaged_gain"] == pytest.approx(sum(saved_loss) / len(saved_loss), rel=1e-4)


def test_labels_change_nothing(dataset, base, tmp_path):
    tensors, facts = load_tensors(dataset / "dataset.safetensors")
    tensors["validation.labels"] = (tensors["validation.labels"] + 1) % 3
    tensors["train.labels"] = (tensors["train.labels"] + 1) % 3
    other = tmp_path / "dataset.safetensors"
    save_tensors(other, tensors, facts)
    first = foretell(dataset, base, tmp_path / "a.csv")
    second = foretell(dataset, base, tmp_path / "b.csv", other)
    pd.testing.assert_series_equal(first, second)


def test_a_model_that_is_invariant_already_is_refused(dataset, base, tmp_path):
    output = tmp_path / "tuned" / "model.safetensors"
    plan = Training(steps=1, batch_size=7, learning_rate=1e-3)
    settings = {"seed": 0, "model": ImageModel(), "training": plan}
    run = ImageRun(architecture="resnet18", method="equitune", group="rotate90", **settings)
    job = Job(output=output, device="cpu")
    experiment.tune(run, dataset / "dataset.safetensors", base, job)
    with pytest.raises(ValueError, match="is made with equitune: expected a model that uses no gr"):
        foretell(dataset, output, tmp_path / "out.csv")
