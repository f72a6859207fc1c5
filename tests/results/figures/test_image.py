"""Figures of the image experiment: the numbers drawn are those of the tables."""

import pandas as pd
import pytest

from equitune.results import figures, style
from equitune.results.figures.image import element_names


def heights(axis):
    return [round(patch.get_height(), 4) for patch in axis.patches]


def labels(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def titles(figure):
    return [axis.get_title() for axis in figure.axes]


def test_upright_and_rotated_accuracy_stand_side_by_side(images, published):
    figure, shown = figures.image_accuracy(images, published)
    assert titles(figure) == ["cifar10 (n = 2 seeds)", "digits (n = 2 seeds)"]
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
    figure, shown = figures.image_accuracy(images, published)
    cifar10, digits = figure.axes
    drawn = [line.get_ydata()[0] for line in cifar10.lines if line.get_marker() in "Ds"]
    assert sorted(drawn) == [0.536, 0.579, 0.636, 0.724, 0.757, 0.771, 0.799, 0.802]
    assert not [line for line in digits.lines if line.get_marker() in "Ds"]
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
    figure, _ = figures.image_accuracy(images, pd.concat([published, row]))
    assert "a CNN, Doe 2020" in labels(figure)


def test_one_seed_without_published_values(images, published):
    one = images[(images["seed"] == 0) & (images["dataset"] == "digits")]
    figure, shown = figures.image_accuracy(one, published)
    assert titles(figure) == ["digits (n = 1 seed)"]
    assert figure.legends[0].get_title().get_text() == "this run"
    assert shown["sd"].isna().all()


def test_a_missing_run_leaves_a_gap_and_moves_no_bar(images, published):
    whole, _ = figures.image_accuracy(images, published)
    gone = (images["method"] == "equitune") & (images["architecture"] == "alexnet")
    figure, _ = figures.image_accuracy(images[~gone], published)
    before = {(round(p.get_x(), 6), round(p.get_height(), 4)) for p in whole.axes[1].patches}
    after = {(round(p.get_x(), 6), round(p.get_height(), 4)) for p in figure.axes[1].patches}
    assert after < before
    assert len(before) - len(after) == 2


def test_titles_say_how_the_number_of_seeds_varies(images, published):
    gone = (images["method"] == "equitune") & (images["seed"] == 1)
    figure, _ = figures.image_accuracy(images[~gone], published)
    assert titles(figure)[1] == "digits (n = 1 to 2 seeds)"


def test_groups_of_one_method_are_told_apart(images, elements, published):
    flip = images[images["method"] == "equitune"].assign(group="flip", rotated_accuracy=0.5)
    figure, _ = figures.image_accuracy(pd.concat([images, flip]), published)
    assert "equi-tuned (flip)" in labels(figure)
    assert "equi-tuned (rotate90)" in labels(figure)
    assert 0.5 in heights(figure.axes[0])
    assert {patch.get_hatch() for patch in figure.axes[0].patches} == {None, "//"}

    mirrored = elements[(elements["method"] == "equitune") & elements["element"].isin(["e", "r"])]
    mirrored = mirrored.assign(group="flip", measured_by="flip")
    figure, _ = figures.image_rotation(pd.concat([elements, mirrored]))
    assert len(figure.axes) == 2 * 2
    ticks = [[text.get_text() for text in axis.get_xticklabels()] for axis in figure.axes]
    assert ["upright", "mirrored"] in ticks
    assert ["0°", "90°", "180°", "270°"] in ticks
    assert "equi-tuned (flip)" in labels(figure)


def test_lines_are_means_over_the_seeds_at_each_rotation(elements):
    shuffled = elements.sample(frac=1, random_state=0)
    figure, shown = figures.image_rotation(shuffled)
    assert titles(figure) == ["digits, AlexNet\n(n = 2 seeds)", "digits, ResNet-18\n(n = 2 seeds)"]
    for axis in figure.axes:
        ticks = [text.get_text() for text in axis.get_xticklabels()]
        assert ticks == ["0°", "90°", "180°", "270°"]
        lines = {
            line.get_label(): line.get_ydata().tolist()
            for line in axis.lines
            if line.get_linestyle() == "-" and len(line.get_ydata())
        }
        assert lines["fine-tuned"] == pytest.approx([0.91, 0.41, 0.41, 0.41])
        assert lines["equi-tuned"] == pytest.approx([0.86] * 4)
        points = [line for line in axis.lines if line.get_marker() == "o"]
        assert sorted(round(float(x)) for line in points for x in line.get_xdata()) == sorted(
            [0, 1, 2, 3] * 3 * 2
        )
    assert labels(figure) == ["fine-tuned", "fine-tuned, augmented", "equi-tuned"]
    assert len(shown) == 2 * 3 * 4
    assert shown["n"].tolist() == [2] * 24


def test_an_architecture_without_runs_has_an_empty_panel(elements):
    other = elements[elements["architecture"] == "alexnet"].assign(dataset="ants_bees")
    figure, _ = figures.image_rotation(pd.concat([elements, other]))
    assert titles(figure)[:2] == [
        "ants bees, AlexNet\n(n = 2 seeds)",
        "ants bees, ResNet-18\n(no runs)",
    ]
    assert not figure.axes[1].lines


def test_elements_of_a_group_have_names_a_reader_knows():
    assert element_names("rotate90", ["r3", "e", "r"]) == {"e": "0°", "r": "90°", "r3": "270°"}
    assert element_names("rotate_flip", ["rs", "e", "s"]) == {
        "e": "0°",
        "s": "mirrored,\n0°",
        "rs": "mirrored,\n90°",
    }
    assert element_names("another", ["b", "a"]) == {"a": "a", "b": "b"}


def test_mirror_images_begin_a_line_of_their_own(elements):
    more = elements.assign(element=elements["element"].map(lambda g: g.replace("e", "") + "s"))
    both = pd.concat([elements, more]).assign(measured_by="rotate_flip")
    figure, _ = figures.image_rotation(both)
    lines = [line for line in figure.axes[0].lines if line.get_linestyle() == "-"]
    assert [len(line.get_xdata()) for line in lines] == [4] * 6
    assert {round(min(line.get_xdata())) for line in lines} == {0, 4}


def test_cost_is_relative_to_plain_fine_tuning(images):
    figure, shown = figures.image_cost(images)
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
    figure, shown = figures.image_cost(images)
    assert 60.0 in heights(figure.axes[0])
    assert figure.axes[0].get_ylabel() == "training time in s"
    assert set(shown["measure"]) == {"train_seconds"}


def test_a_table_that_cannot_be_drawn_is_one_line(images, elements, published):
    draw = {
        "accuracy": lambda table: figures.image_accuracy(table, published),
        "cost": figures.image_cost,
    }
    for drawn in draw.values():
        with pytest.raises(ValueError, match="the table has no rows"):
            drawn(images[:0])
        with pytest.raises(ValueError, match="unknown method 'equitun'; did you mean 'equitune'"):
            drawn(images.replace("equitune", "equitun"))
    with pytest.raises(ValueError, match="the table has no rows"):
        figures.image_rotation(elements[:0])


def test_a_second_drawing_has_the_same_bytes(tmp_path, images, elements, published):
    written = []
    for place in ("first", "second"):
        drawn = {
            "accuracy": figures.image_accuracy(images, published),
            "rotation": figures.image_rotation(elements),
            "cost": figures.image_cost(images),
        }
        for name, (figure, shown) in drawn.items():
            style.save(figure, tmp_path / place / name, shown)
        written.append({f.name: f.read_bytes() for f in (tmp_path / place).iterdir()})
    assert written[0] == written[1]
    assert len(written[0]) == 9
