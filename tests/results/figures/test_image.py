"""Figures of the image experiment: the numbers drawn are those of the tables."""

import itertools

import pandas as pd
import pytest

from equitune.results.figures.image import element_names, image_accuracy, image_cost, image_rotation


def heights(axis):
    return [round(patch.get_height(), 4) for patch in axis.patches]


def labels(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def titles(figure):
    return [axis.get_title() for axis in figure.axes]


def test_upright_and_rotated_accuracy_stand_side_by_side(images, published):
    figure, shown = image_accuracy(images, published)
    assert titles(figure) == [
        "cifar10 (n = 2 seeds, 270 test images)",
        "digits (n = 2 seeds, 270 test images)",
    ]
    for axis in figure.axes:
        # method by method, in it architecture by architecture, in it upright before rotated
        assert heights(axis) == [0.91, 0.41, 0.91, 0.41, 0.81, 0.76, 0.81, 0.76] + 4 * [0.86]
        xs = [patch.get_x() for patch in axis.patches]
        widths = {round(patch.get_width(), 9) for patch in axis.patches}
        assert xs[1] - xs[0] == pytest.approx(widths.pop())
        assert not widths
        points = [y for line in axis.lines if line.get_marker() == "." for y in line.get_ydata()]
        assert len(points) == 2 * 12
    solid, pale = figure.axes[0].patches[1], figure.axes[0].patches[0]
    assert solid.get_facecolor() != pale.get_facecolor()
    measured = shown[shown["kind"] == "measured"]
    assert measured["n"].tolist() == [2] * 24
    assert measured["sd"].tolist() == pytest.approx([0.02 / 2**0.5] * 24)


def test_published_accuracies_stand_beside_their_dataset(images, published):
    figure, shown = image_accuracy(images, published)
    cifar10, digits = figure.axes
    drawn = [line.get_ydata()[0] for line in cifar10.lines if line.get_markerfacecolor() == "white"]
    assert sorted(drawn) == [0.536, 0.579, 0.636, 0.724, 0.757, 0.771, 0.799, 0.802]
    assert not [line for line in digits.lines if line.get_markerfacecolor() == "white"]
    assert [text.get_text() for text in digits.get_xticklabels()] == ["AlexNet", "ResNet-18"]
    assert cifar10.get_xticklabels()[-1].get_text() == "published"
    assert "equi-tuned AlexNet, Basu et al. 2023b (read off the figure)" in labels(figure)
    assert labels(figure)[:3] == ["fine-tuned", "fine-tuned, augmented", "equi-tuned"]
    assert len(labels(figure)) == len(set(labels(figure)))
    values = shown[shown["kind"] == "published"]
    assert sorted(values["mean"]) == sorted(drawn)
    assert set(values["architecture"]) == {"alexnet", "resnet"}


def test_a_published_value_needs_no_architecture(images, published):
    other = {"experiment": "image", "dataset": "digits", "method": "a CNN", "value": 0.3}
    row = pd.DataFrame([other | {"metric": "rotated_accuracy", "source": "Doe 2020"}])
    figure, _ = image_accuracy(images, pd.concat([published, row]))
    assert "a CNN, Doe 2020" in labels(figure)


def test_one_seed_without_published_values(images, published):
    one = images[(images["seed"] == 0) & (images["dataset"] == "digits")]
    figure, shown = image_accuracy(one, published)
    assert titles(figure) == ["digits (n = 1 seed, 270 test images)"]
    assert figure.legends[0].get_title().get_text() == "this run, from left to right"
    assert labels(figure)[-1] == "point: one seed"
    older, _ = image_accuracy(one.drop(columns="test_size"), published)
    assert titles(older) == ["digits (n = 1 seed)"]
    assert shown["sd"].isna().all()


def test_what_was_not_run_takes_no_room(images, published):
    gone = (images["method"] == "finetune") & (images["architecture"] == "alexnet")
    figure, _ = image_accuracy(images[~gone], published)
    bars = sorted((round(p.get_x() + p.get_width() / 2, 6)) for p in figure.axes[1].patches)
    widths = {round(p.get_width(), 6) for p in figure.axes[1].patches}
    assert len(bars) == 2 * 2 + 3 * 2
    assert len(widths) == 1
    assert sum(bars[:4]) / 4 == pytest.approx(0)  # what is left stands above the name, side by side
    assert {round(b - a, 4) for a, b in itertools.pairwise(bars[:4])} == {round(*widths, 4)}
    # an architecture that a dataset lacks has no place on its panel
    other = (images["dataset"] == "digits") & (images["architecture"] == "alexnet")
    figure, _ = image_accuracy(images[~other], published)
    assert [text.get_text() for text in figure.axes[1].get_xticklabels()] == ["ResNet-18"]


def test_titles_say_how_the_number_of_seeds_varies(images, published):
    gone = (images["method"] == "equitune") & (images["seed"] == 1)
    figure, _ = image_accuracy(images[~gone], published)
    assert titles(figure)[1] == "digits (n = 1 to 2 seeds, 270 test images)"


def test_groups_of_one_method_are_told_apart(images, elements, published):
    flip = images[images["method"] == "equitune"].assign(group="flip", rotated_accuracy=0.5)
    figure, _ = image_accuracy(pd.concat([images, flip]), published)
    assert "equi-tuned (flip)" in labels(figure)
    assert "equi-tuned (rotate90)" in labels(figure)
    assert 0.5 in heights(figure.axes[0])
    assert {patch.get_hatch() for patch in figure.axes[0].patches} == {None, "//"}

    mirrored = elements[(elements["method"] == "equitune") & elements["element"].isin(["e", "r"])]
    mirrored = mirrored.assign(group="flip", measured_by="flip")
    figure, _ = image_rotation(pd.concat([elements, mirrored]))
    assert len(figure.axes) == 2 * 2
    ticks = [[text.get_text() for text in axis.get_xticklabels()] for axis in figure.axes]
    assert ["upright", "mirrored"] in ticks
    assert ["0°", "90°", "180°", "270°"] * 3 in ticks
    assert ["equi-tuned\n(flip)"] in [methods(axis) for axis in figure.axes]


def methods(axis):
    """The names below a panel of elements, from left to right."""
    return [text.get_text() for text in axis.texts]


def test_every_point_stands_above_the_name_of_its_element(elements):
    shuffled = elements.sample(frac=1, random_state=0)
    figure, shown = image_rotation(shuffled)
    assert titles(figure) == ["digits, AlexNet\n(n = 2 seeds)", "digits, ResNet-18\n(n = 2 seeds)"]
    for axis in figure.axes:
        assert methods(axis) == ["fine-tuned", "fine-tuned,\naugmented", "equi-tuned"]
        ticks = axis.get_xticks()
        assert [text.get_text() for text in axis.get_xticklabels()] == [
            "0°",
            "90°",
            "180°",
            "270°",
        ] * 3
        means = [line for line in axis.lines if line.get_marker() == "None"]
        # a stroke an element, which leads to no other
        assert [sum(line.get_xdata()) / 2 for line in means] == pytest.approx([*ticks])
        assert all(max(line.get_xdata()) - min(line.get_xdata()) < 1 for line in means)
        heights = [line.get_ydata()[0] for line in means]
        assert heights == pytest.approx([0.91, *[0.41] * 3, 0.81, *[0.76] * 3, *[0.86] * 4])
        points = [line for line in axis.lines if line.get_marker() == "."]
        at = sorted(x for line in points for x in line.get_xdata())
        assert at == sorted([*ticks] * 2)
    assert len(shown) == 2 * 3 * 4
    assert shown["n"].tolist() == [2] * 24


def test_an_architecture_without_runs_has_no_panel(elements):
    other = elements[elements["architecture"] == "alexnet"].assign(dataset="ants_bees")
    figure, _ = image_rotation(pd.concat([elements, other]))
    assert titles(figure) == [
        "ants bees, AlexNet\n(n = 2 seeds)",
        "digits, AlexNet\n(n = 2 seeds)",
        "digits, ResNet-18\n(n = 2 seeds)",
    ]


def test_elements_of_a_group_have_names_a_reader_knows():
    assert element_names("rotate90", ["r3", "e", "r"]) == {"e": "0°", "r": "90°", "r3": "270°"}
    assert element_names("rotate_flip", ["rs", "e", "s"]) == {
        "e": "0°",
        "s": "mirrored,\n0°",
        "rs": "mirrored,\n90°",
    }
    assert element_names("another", ["b", "a"]) == {"a": "a", "b": "b"}


def test_mirror_images_have_names_of_their_own(elements):
    more = elements.assign(element=elements["element"].map(lambda g: g.replace("e", "") + "s"))
    both = pd.concat([elements, more]).assign(measured_by="rotate_flip")
    figure, _ = image_rotation(both)
    ticks = [text.get_text() for text in figure.axes[0].get_xticklabels()]
    turns = ["0°", "90°", "180°", "270°"]
    assert ticks == [*turns, *(f"mirrored, {turn}" for turn in turns)] * 3
    figure.draw_without_rendering()
    for axis in figure.axes:  # nothing lies on anything else
        upright = min(text.get_window_extent().y0 for text in axis.get_xticklabels())
        boxes = [text.get_window_extent() for text in axis.texts]
        assert max(box.y1 for box in boxes) < upright
        assert min(box.y0 for box in boxes) > axis.xaxis.label.get_window_extent().y1


def test_cost_is_relative_to_plain_fine_tuning(images):
    figure, shown = image_cost(images)
    for axis in figure.axes:
        assert heights(axis) == [1, 1, 1.1, 1.1, 4, 4]
        assert "relative" in axis.get_ylabel()
        top = max(y for line in axis.lines if line.get_marker() == "." for y in line.get_ydata())
        assert top == pytest.approx(80 / 15)
        assert axis.get_ylim()[1] > top
    assert set(shown["measure"]) == {"relative_train_time"}


@pytest.mark.parametrize("what", ["no rows", "no time"])
def test_cost_is_in_seconds_where_there_is_nothing_to_compare_with(images, what):
    plain = images["method"] == "finetune"
    if what == "no rows":
        images = images[~(plain & (images["architecture"] == "alexnet"))]
    else:
        images = images.assign(train_seconds=images["train_seconds"].mask(plain, 0.0))
    figure, shown = image_cost(images)
    assert 60.0 in heights(figure.axes[0])
    assert figure.axes[0].get_ylabel() == "training time in s"
    assert set(shown["measure"]) == {"train_seconds"}


def test_a_table_that_cannot_be_drawn_is_one_line(images, elements, published):
    draw = {
        "accuracy": lambda table: image_accuracy(table, published),
        "cost": image_cost,
    }
    for drawn in draw.values():
        with pytest.raises(ValueError, match="the table has no rows"):
            drawn(images[:0])
        with pytest.raises(ValueError, match="unknown method 'equitun'; did you mean 'equitune'"):
            drawn(images.replace("equitune", "equitun"))
    with pytest.raises(ValueError, match="the table has no rows"):
        image_rotation(elements[:0])
