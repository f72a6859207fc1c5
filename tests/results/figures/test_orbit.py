"""The orbit figure: every copy's picture, every model's prediction, right and wrong told apart."""

import pandas as pd
import pytest

from equitune.results import style
from equitune.results.figures.orbit import image_orbit


def texts(figure):
    return [text.get_text() for text in figure.texts]


def test_every_copy_has_its_picture_and_every_prediction(examples):
    figure, shown = image_orbit(examples, "digits", "alexnet")
    # row by row, in each row the elements from left to right
    greys = [round(float(axis.images[0].get_array()[0, 0, 0]) * 255) for axis in figure.axes]
    assert greys == [40, 41, 42, 43, 70, 71, 72, 73]
    rows = [axis.get_position() for axis in figure.axes]
    assert len({round(box.y0, 9) for box in rows[:4]}) == 1
    assert rows[0].x0 < rows[1].x0 < rows[2].x0 < rows[3].x0
    for name, box in (("4", rows[0]), ("7", rows[4])):
        place = next(t.get_position() for t in figure.texts if t.get_text() == name)
        assert place[0] < box.x0
        assert box.y0 < place[1] < box.y1
    assert rows[4].y1 < rows[0].y0
    assert texts(figure)[2:6] == ["0°", "90°", "180°", "270°"]
    assert texts(figure).count("✓ 4") == texts(figure).count("✓ 7") == 11
    assert texts(figure).count("✗ 9") == 2
    assert texts(figure).count("equi-tuned") == 2
    assert len(shown) == 2 * 4 * 3
    assert "png" not in shown


def test_a_wrong_prediction_is_marked_by_colour_and_weight_too(examples):
    figure, _ = image_orbit(examples, "digits", "alexnet")
    looks = {
        text.get_text()[0]: (text.get_color(), text.get_fontweight())
        for text in figure.texts
        if text.get_text()[0] in "✓✗"
    }
    assert looks == {"✓": (style.RIGHT, "normal"), "✗": (style.WRONG, "bold")}


def test_a_prediction_stands_below_its_own_copy_in_its_methods_line(examples):
    figure, _ = image_orbit(examples, "digits", "alexnet")
    wrong = [text for text in figure.texts if text.get_text() == "✗ 9"]
    lines = [text for text in figure.texts if text.get_text() == "fine-tuned"]
    turned = [axis for axis in figure.axes if axis.images[0].get_array()[0, 0, 0] * 255 in (41, 71)]
    for text, line, axis in zip(wrong, lines, turned, strict=True):
        box = axis.get_position()
        assert text.get_position()[0] == pytest.approx(box.x0)
        assert text.get_position()[1] < box.y0
        assert text.get_position()[1] == pytest.approx(line.get_position()[1])


def test_each_figure_shows_its_own_architecture(examples):
    other = examples["architecture"] == "resnet18"
    examples["prediction"] = examples["prediction"].mask(other, "3")
    for architecture, name, wrong in (("alexnet", "AlexNet", 0), ("resnet18", "ResNet-18", 24)):
        figure, shown = image_orbit(examples, "digits", architecture)
        assert texts(figure)[0].startswith(f"digits, {name}, seed 0")
        assert texts(figure).count("✗ 3") == wrong
        assert set(shown["architecture"]) == {architecture}


def test_classes_may_be_named_by_words(examples):
    examples = examples.replace({"label": {"4": "bee"}, "prediction": {"4": "bee", "9": "ant"}})
    figure, _ = image_orbit(examples, "digits", "alexnet")
    assert texts(figure).count("bee") == 1
    assert texts(figure).count("✓ bee") == 11
    assert texts(figure).count("✗ ant") == 2


def test_it_says_how_the_images_were_chosen(examples):
    figure, _ = image_orbit(examples, "digits", "alexnet")
    assert texts(figure)[1].startswith("Drawn at random from the 40 of 270 test images on whose")
    assert texts(figure).count("upright: all right") == 2
    upright = (examples["image"] == 7) & (examples["element"] == "e")
    wrong = examples.assign(prediction=examples["prediction"].mask(upright, "1"))
    figure, _ = image_orbit(wrong, "digits", "alexnet")
    assert texts(figure).count("upright: one wrong") == 1
    older, _ = image_orbit(examples.assign(disagree=None), "digits", "alexnet")
    assert texts(older)[1].startswith("Drawn at random from the test images on whose")


def test_only_the_first_seed_is_shown(examples):
    later = examples.assign(seed=5, prediction="8")
    figure, shown = image_orbit(pd.concat([later, examples]), "digits", "alexnet")
    assert "✗ 8" not in texts(figure)
    assert set(shown["seed"]) == {0}


def test_models_that_never_disagree_leave_a_sentence(examples):
    figure, shown = image_orbit(examples, "cifar10", "alexnet")
    assert texts(figure) == [
        "cifar10, AlexNet: there is no test image on whose copies the models disagree"
    ]
    assert shown.empty
    assert "prediction" in shown


@pytest.mark.parametrize("png", [None, "no base64!", "bm90IGEgcG5n"])
def test_a_picture_that_is_none_is_one_line(examples, png):
    spoilt = (examples["image"] == 7) & (examples["element"] == "r2")
    examples["png"] = examples["png"].mask(spoilt, png)
    with pytest.raises(ValueError, match="image 7, element r2: png holds no picture") as caught:
        image_orbit(examples, "digits", "alexnet")
    assert "\n" not in str(caught.value)
