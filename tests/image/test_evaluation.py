"""Evaluation: upright and moved accuracy, agreement over orbits, and the images that are shown."""

import base64
import io
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from equitune.actions import Rotate90
from equitune.config import ImageModel, Training
from equitune.image import evaluation, experiment, saved
from equitune.image.data import load_dataset, load_transformed, save_transformed, transform
from equitune.image.run import ImageRun
from equitune.results.tables import IMAGE_COLUMNS, IMAGE_SCORE_COLUMNS
from equitune.run.job import Job

METHODS = (("finetune", "identity"), ("equitune", "rotate90"), ("equizero", "flip"))


@pytest.fixture(scope="module")
def evaluated(dataset, tmp_path_factory):
    """Three methods trained a little, and the three tables of their evaluation."""
    folder = tmp_path_factory.mktemp("evaluated")
    data, models = dataset / "dataset.safetensors", []
    base = folder / "base" / "model.safetensors"
    plan = Training(steps=4, batch_size=7, learning_rate=1e-3)
    run = ImageRun(architecture="resnet18", seed=0, model=ImageModel(), training=plan)
    experiment.pretrain(run, data, Job(output=base, device="cpu"))
    for method, group in METHODS:
        models.append(folder / method / "model.safetensors")
        job = Job(output=models[-1], device="cpu")
        experiment.tune(replace(run, method=method, group=group), data, base, job)
    outputs = [folder / f"{name}.csv" for name in ("rows", "elements", "examples")]
    moved = [dataset / "rotate90.safetensors", dataset / "flip.safetensors"]
    scores = folder / "scores.csv"
    named = dict(zip(("output", "elements", "examples"), outputs, strict=True))
    evaluation.evaluate(data, moved, models, **named, device="cpu", scores=scores)
    outputs.append(scores)
    return models, *(pd.read_csv(path, keep_default_na=False) for path in outputs)


def test_a_row_for_each_model_with_the_columns_of_the_table(evaluated):
    _, rows, _, _, _ = evaluated
    assert tuple(rows.columns) == IMAGE_COLUMNS
    assert list(zip(rows["method"], rows["group"], strict=True)) == list(METHODS)
    assert (rows["dataset"] == "halves").all()


def test_accuracies_are_counted_on_the_stored_images(dataset, evaluated):
    models, rows, _, _, _ = evaluated
    parts, _ = load_dataset(dataset / "dataset.safetensors")
    test = parts["test"]
    turned, elements, _ = load_transformed(dataset / "rotate90.safetensors")
    for path, (_, row) in zip(models[:2], rows.iterrows(), strict=False):
        model, _, _ = saved.load(path)
        model.eval()
        with torch.no_grad():
            upright = model(test.pixels / 255).argmax(1)
            moved = torch.stack(
                [
                    model(Rotate90()(int(g), x)[None] / 255).argmax(1)[0]
                    for g, x in zip(elements, test.pixels, strict=True)
                ]
            )
        assert torch.equal(turned.labels, test.labels)
        assert row["upright_accuracy"] == pytest.approx(
            float((upright == test.labels).double().mean())
        )
        assert row["rotated_accuracy"] == pytest.approx(
            float((moved == test.labels).double().mean())
        )


def test_equivariant_models_agree_over_every_orbit_and_others_do_not(evaluated):
    _, rows, elements, _, _ = evaluated
    plain, turned, flipped = (rows.iloc[i] for i in range(3))
    assert plain["orbit_agreement"] < 1
    assert plain["equivariance_error"] > 1e-3
    for row in (turned, flipped):
        assert row["orbit_agreement"] == 1
        assert row["equivariance_error"] <= 1e-5
        assert row["rotated_accuracy"] == row["upright_accuracy"]
        own = elements[(elements["method"] == row["method"])]["accuracy"]
        assert (own == row["upright_accuracy"]).all()


def test_accuracy_by_element_names_the_group_it_is_measured_by(evaluated):
    _, rows, elements, _, _ = evaluated
    plain = elements[elements["method"] == "finetune"]
    assert list(plain["element"]) == ["e", "r", "r2", "r3"]
    assert set(plain["measured_by"]) == {"rotate90"}
    upright = plain.set_index("element").loc["e", "accuracy"]
    assert upright == pytest.approx(rows.iloc[0]["upright_accuracy"])
    assert len(elements[elements["method"] == "equizero"]) == 2


def test_examples_are_images_on_which_the_models_disagree(dataset, evaluated):
    _, _, _, examples, _ = evaluated
    parts, about = load_dataset(dataset / "dataset.safetensors")
    assert set(examples["measured_by"]) == {"rotate90"}
    assert set(examples["method"]) == {"finetune", "equitune"}
    for (place, element), rows in examples.groupby(["image", "element"]):
        (data,) = rows["png"][rows["png"] != ""]
        shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))
        turn = ["e", "r", "r2", "r3"].index(element)
        pixels = Rotate90()(turn, parts["test"].pixels[place])
        assert np.array_equal(shown, pixels.permute(1, 2, 0).numpy())
        label = about["classes"][int(parts["test"].labels[place])]
        assert set(rows["label"]) == {label}
    assert set(examples["test_size"]) == {len(parts["test"])}
    assert set(examples["disagree"]) <= set(range(1, len(parts["test"]) + 1))
    for _, rows in examples.groupby("image"):
        assert rows["prediction"].nunique() > 1
    equal = examples[examples["method"] == "equitune"].groupby("image")["prediction"].nunique()
    assert (equal == 1).all()


def test_examples_are_right_and_wrong_ones_of_all_classes_in_turn():
    labels = torch.arange(40) % 5
    split = torch.arange(40) % 8 != 0
    right = torch.arange(40) < 25
    chosen = evaluation.draw_examples(split, right, labels)
    assert evaluation.draw_examples(split, right, labels) == chosen
    assert all(split[chosen])
    assert [bool(right[place]) for place in chosen] == [True] * 3 + [False] * 2
    assert sorted(int(labels[place]) for place in chosen) == [0, 1, 2, 3, 4]
    assert chosen != sorted(chosen)  # not the first ones
    few = torch.tensor([False] * 38 + [True] * 2)
    assert sorted(evaluation.draw_examples(few, right, labels)) == [38, 39]
    assert evaluation.draw_examples(few & right, right, labels) == []


def test_every_image_has_its_scores(dataset, evaluated):
    models, rows, _, _, scores = evaluated
    assert tuple(scores.columns) == IMAGE_SCORE_COLUMNS
    parts, _ = load_dataset(dataset / "dataset.safetensors")
    test = parts["test"]
    assert len(scores) == len(models) * len(test)
    for path, row in zip(models, rows.to_dict("records"), strict=True):
        own = scores[scores["method"] == row["method"]]
        for way in ("upright", "rotated"):
            assert own[f"{way}_correct"].mean() == pytest.approx(row[f"{way}_accuracy"])
        model, _, _ = saved.load(path)
        with torch.no_grad():
            chances = model.eval()(test.pixels / 255).double().softmax(1).tolist()
        expected = [
            sum((p - float(c == label)) ** 2 for c, p in enumerate(chance))
            for chance, label in zip(chances, test.labels.tolist(), strict=True)
        ]
        assert own["upright_brier"].tolist() == pytest.approx(expected, abs=1e-5)
    assert scores["image_id"].nunique() == len(test)
    assert set(scores["measured_by"]) == {"rotate90", "flip"}


def test_moved_images_of_another_dataset_are_refused(dataset, evaluated, draw, tmp_path):
    models, *_ = evaluated
    moved, elements = transform(draw(12, seed=2), Rotate90(), 0)  # as many, other ones
    other = tmp_path / "other.safetensors"
    save_transformed(other, moved, elements, dataset="halves", group="rotate90", seed=0)
    outputs = {name: tmp_path / f"{name}.csv" for name in ("output", "elements", "examples")}
    with pytest.raises(ValueError, match=r"other\.safetensors is not the test part of .* moved"):
        evaluation.evaluate(dataset / "dataset.safetensors", [other], models, **outputs)
    assert not any(path.exists() for path in outputs.values())
