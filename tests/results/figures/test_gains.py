"""Figures of gains: every interval, on the right side of zero; the forecast and what came of it."""

import itertools

import pandas as pd
import pytest

from equitune.results import tables
from equitune.results.figures.gains import image_forecast, image_gains

METHODS = ("equitune", "lambda_equitune")
AGAINST = ("finetune", "finetune_augment")


@pytest.fixture
def gains():
    rows = []
    for architecture, method, against, measure in itertools.product(
        ("efficientnet_lite0", "resnet18"), METHODS, AGAINST, ("rotated_accuracy", "upright_brier")
    ):
        gain = 0.2 if against == "finetune" else -0.03
        row = {"dataset": "cifar10", "architecture": architecture, "group": "rotate90"}
        row |= {"method": method, "against": against, "measure": measure, "gain": gain}
        row |= {"low": gain - 0.02, "high": gain + 0.02, "images": 300, "seeds": 3}
        rows.append(row | {"answer": "yes: …"})
    return pd.DataFrame(rows, columns=list(tables.IMAGE_GAIN_COLUMNS))


@pytest.fixture
def forecasts():
    rows = []
    for seed, architecture in itertools.product((0, 1), ("resnet18", "alexnet")):
        row = {"dataset": "digits", "architecture": architecture, "group": "rotate90"}
        row |= {"seed": seed, "forecast": 0.3 + 0.1 * seed, "forecast_error": 0.01}
        row |= {"averaged_gain": 0.31 + 0.1 * seed, "averaged_error": 0.02}
        tuned = 0.5 if architecture == "resnet18" else None
        row |= {"tuned_gain": tuned, "tuned_error": tuned and 0.03}
        rows.append(row | {"forecast_images": 215, "test_images": 359})
    return pd.DataFrame(rows, columns=list(tables.IMAGE_FORECAST_COLUMNS))


def test_every_comparison_has_its_interval(gains):
    figure, shown = image_gains(gains)
    assert [axis.get_title() for axis in figure.axes] == [
        "cifar10, EfficientNet-Lite0, rotate90 (n = 300 images, 3 seeds)",
        "cifar10, ResNet-18, rotate90 (n = 300 images, 3 seeds)",
    ]
    for axis in figure.axes:
        assert [label.get_text() for label in axis.get_yticklabels()] == [
            "equi-tuned",
            "λ-equi-tuned",
        ]
        lines = [s for c in axis.collections for s in c.get_segments()]
        assert sorted(round(x, 6) for line in lines for x, _ in line) == [
            -5,
            -5,
            -1,
            -1,
            18,
            18,
            22,
            22,
        ]
        points = [x for line in axis.lines if line.get_marker() == "o" for x in line.get_xdata()]
        assert sorted(round(x, 6) for x in points) == [-3, -3, 20, 20]
    assert len(shown) == 8
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["fine-tuned", "fine-tuned, augmented"]


def test_nothing_to_compare_is_said(gains):
    figure, shown = image_gains(gains[:0])
    assert "no equi-tuned model beside a fine-tuned one" in figure.axes[0].texts[0].get_text()
    assert shown.empty


def test_an_unknown_method_is_named(gains):
    with pytest.raises(ValueError, match="unknown method 'equitunee'; did you mean 'equitune'"):
        image_gains(gains.assign(method="equitunee"))


def test_measured_gains_stand_over_those_foretold(forecasts):
    figure, shown = image_forecast(forecasts)
    axis = figure.axes[0]
    drawn = [container.lines[0] for container in axis.containers]
    found = {
        (round(x, 6), round(y, 6)) for line in drawn for x, y in zip(*line.get_data(), strict=True)
    }
    found = {(x, y) for x, y in found if y == y}
    assert found == {(0.3, 0.31), (0.4, 0.41), (0.3, 0.5), (0.4, 0.5)}
    (diagonal,) = [line for line in axis.lines if line.get_linestyle() == "--"]
    assert list(diagonal.get_xdata()) == list(diagonal.get_ydata())
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend[-3:] == [
        "filled: same weights, averaged over the group",
        "open: equi-tuned instead of fine-tuned",
        "as foretold",
    ]
    assert len(shown) == 4


def test_no_forecast_is_an_error(forecasts):
    with pytest.raises(ValueError, match="has no rows"):
        image_forecast(forecasts[:0])
