"""Gains are of the same images, their intervals of images and seeds, and a no is said as a no."""

import itertools
import math

import pandas as pd
import pytest
from scipy import stats

from equitune.results import gains, tables

IDENTITY = ("finetune",)


def scores(correct, seeds=(0, 1, 2), images=40, cell=("digits", "resnet18"), group="rotate90"):
    """A table of scores: correct(method, seed, image) says whether a moved image is recognised."""
    rows = []
    methods = ("finetune", "finetune_augment", "finetune_augment_matched", "equitune")
    for method, seed, image in itertools.product(methods, seeds, range(images)):
        right = float(correct(method, seed, image))
        rows.append(
            {
                "dataset": cell[0],
                "architecture": cell[1],
                "method": method,
                "group": "identity" if method in IDENTITY else group,
                "seed": seed,
                "measured_by": group,
                "image_id": f"{image:032x}",
                "upright_correct": 1.0,
                "rotated_correct": right,
                "upright_brier": 0.1,
                "rotated_brier": 0.2 + 0.5 * (1 - right) + 0.01 * image,
            }
        )
    return pd.DataFrame(rows, columns=list(tables.IMAGE_SCORE_COLUMNS))


def better(method, seed, image):
    """Equi-tuned right of all but every tenth; plain of a half; augmented of about two thirds."""
    if method == "equitune":
        return image % 10 != seed
    return image % 2 == 0 if method == "finetune" else (image + seed) % 3 != 0


def chosen(table, **values):
    for column, value in values.items():
        table = table[table[column] == value]
    assert len(table) == 1
    return table.iloc[0]


def test_a_gain_and_its_interval_are_those_of_a_plain_loop():
    table = gains.gains(scores(better))
    row = chosen(table, against="finetune", measure="rotated_accuracy")
    each = {
        (s, i): float(better("equitune", s, i)) - float(better("finetune", s, i))
        for s in range(3)
        for i in range(40)
    }
    mean = sum(each.values()) / 120
    by_image = [sum(each[s, i] for s in range(3)) / 3 for i in range(40)]
    by_seed = [sum(each[s, i] for i in range(40)) / 40 for s in range(3)]

    def squared_error(values):
        m = sum(values) / len(values)
        return sum((x - m) ** 2 for x in values) / (len(values) - 1) / len(values)

    half = math.sqrt(
        stats.norm.ppf(0.975) ** 2 * squared_error(by_image)
        + stats.t.ppf(0.975, 2) ** 2 * squared_error(by_seed)
    )
    assert row["gain"] == pytest.approx(mean)
    assert (row["low"], row["high"]) == pytest.approx((mean - half, mean + half))
    assert (row["images"], row["seeds"]) == (40, 3)
    # the Brier score falls by half of that: less of it is a gain
    brier = chosen(table, against="finetune", measure="rotated_brier")
    assert brier["gain"] == pytest.approx(mean / 2)
    assert brier["low"] == pytest.approx((mean - half) / 2)


def test_of_one_seed_the_interval_is_of_the_images():
    table = gains.gains(scores(better, seeds=(1,)))
    row = chosen(table, against="finetune", measure="rotated_accuracy")
    each = pd.Series([float(better("equitune", 1, i)) - float(i % 2 == 0) for i in range(40)])
    half = stats.norm.ppf(0.975) * each.std() / math.sqrt(40)
    assert row["high"] - row["gain"] == pytest.approx(half)
    assert row["seeds"] == 1


@pytest.mark.parametrize(
    ("rights", "beginning"),
    [
        (
            lambda m, _, i: m == "equitune" or i % 2,
            "yes: equi-tuned is better than fine-tuned by 50",
        ),
        (
            lambda m, _, i: m != "equitune" or i % 2,
            "no: equi-tuned is worse than fine-tuned by 50",
        ),
        (
            lambda m, _, i: (i + (m == "equitune")) % 2,
            "not shown: equi-tuned and fine-tuned differ by 0.0 points of accuracy [-",
        ),
    ],
    ids=["better", "worse", "equal"],
)
def test_the_answer_is_said_whichever_it_is(rights, beginning):
    table = gains.gains(scores(rights))
    row = chosen(table, against="finetune", measure="rotated_accuracy")
    assert row["answer"].startswith(beginning)
    assert row["answer"].endswith("] on moved images")
    equal = chosen(table, against="finetune", measure="upright_accuracy")
    assert equal["answer"].startswith("not shown: ")
    assert equal["answer"].endswith("on upright images")


def test_a_cell_without_one_of_the_models_has_no_row():
    table = scores(better)
    without = table[table["method"] != "finetune_augment_matched"]
    assert set(gains.gains(without)["against"]) == {"finetune", "finetune_augment"}
    assert gains.gains(table[table["method"] != "equitune"]).empty
    assert list(gains.gains(table[:0]).columns) == list(tables.IMAGE_GAIN_COLUMNS)


def test_images_are_matched_and_not_counted_twice():
    """Rows in another order, an image that one model lacks, and two equal images of a test set."""
    table = scores(better, seeds=(0,))
    image = f"{3:032x}"
    lacks = (table["method"] == "equitune") & (table["image_id"] == image)
    twice = table[table["image_id"] == f"{5:032x}"]
    mixed = pd.concat([table[~lacks].sample(frac=1, random_state=0), twice])
    row = chosen(gains.gains(mixed), against="finetune", measure="rotated_accuracy")
    rest = [i for i in range(40) if i != 3]
    expected = [float(better("equitune", 0, i)) - float(i % 2 == 0) for i in rest]
    assert row["images"] == 39
    assert row["gain"] == pytest.approx(sum(expected) / 39)


def test_models_that_another_group_moved_are_not_compared():
    table = scores(better, seeds=(0,))
    flips = scores(better, seeds=(0,), group="flip")
    both = pd.concat([table, flips[flips["group"] == "flip"]])
    found = gains.gains(both)
    assert set(found.loc[found["against"] == "finetune", "group"]) == {"rotate90"}
    assert set(found.loc[found["against"] == "finetune_augment", "group"]) == {"rotate90", "flip"}


def parts(**changes):
    row = dict.fromkeys(tables.IMAGE_FORECAST_PART_COLUMNS, 0.1)
    row |= {"dataset": "digits", "architecture": "resnet18", "group": "rotate90", "seed": 1}
    return pd.DataFrame([row | changes])


def test_what_training_brought_stands_beside_the_forecast():
    table = gains.forecasts(parts(), scores(better))
    each = pd.Series(
        [0.5 * (float(better("equitune", 1, i)) - float(i % 2 == 0)) for i in range(40)]
    )
    assert list(table.columns) == list(tables.IMAGE_FORECAST_COLUMNS)
    assert table["tuned_gain"].item() == pytest.approx(each.mean())
    assert table["tuned_error"].item() == pytest.approx(each.std() / math.sqrt(40))


@pytest.mark.parametrize("changes", [{"group": "flip"}, {"seed": 7}, {"dataset": "other"}])
def test_a_forecast_without_both_models_has_an_empty_cell(changes):
    table = gains.forecasts(parts(**changes), scores(better))
    assert table[["tuned_gain", "tuned_error"]].isna().all(axis=None)
    assert gains.forecasts(parts()[:0], scores(better)).empty
