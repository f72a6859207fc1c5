"""The figure of SCAN: the numbers of the table, honestly labelled, the same bytes every time."""

import itertools

import pandas as pd
import pytest

from equitune.results.figures.scan import scan_accuracy

ACCURACY = {"pretrained": 0.01, "finetune": 0.02, "equitune": 0.95}


@pytest.fixture
def scan():
    cells = itertools.product(("add_jump", "around_right"), ("LSTM", "RNN"), ACCURACY, (0, 1))
    return pd.DataFrame(
        {
            "task": task,
            "architecture": architecture,
            "method": method,
            "group": "identity" if method != "equitune" else "jump_run",
            "seed": seed,
            "test_accuracy": ACCURACY[method] + 0.02 * seed,
        }
        for task, architecture, method, seed in cells
    )


def heights(axis):
    return sorted(round(patch.get_height(), 4) for patch in axis.patches)


def test_bars_are_means_and_points_are_seeds(scan, published):
    figure, shown = scan_accuracy(scan, published)
    assert len(figure.axes) == 2
    for axis in figure.axes:
        assert heights(axis) == [0.02, 0.02, 0.03, 0.03, 0.96, 0.96]
        points = [y for line in axis.lines if line.get_marker() == "." for y in line.get_ydata()]
        assert len(points) == 12
        assert "n = 2 seeds" in axis.get_title()
    measured = shown[shown["kind"] == "measured"]
    assert measured["n"].tolist() == [2] * 12
    assert measured["sd"].tolist() == pytest.approx([0.02 / 2**0.5] * 12)


def test_published_values_stand_beside_with_their_source(scan, published):
    figure, shown = scan_accuracy(scan, published)
    values = shown[shown["kind"] == "published"]
    assert len(values) == 8
    assert set(values["task"]) == {"add_jump", "around_right"}
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert "equivariant seq2seq, Gordon et al. 2020" in labels
    assert labels[:3] == ["pretrained", "fine-tuned", "equi-tuned"]
    assert len(labels) == len(set(labels))


def test_groups_of_one_method_are_told_apart(scan, published):
    other = scan[scan["method"] == "equitune"].assign(group="verbs", test_accuracy=0.5)
    figure, _ = scan_accuracy(pd.concat([scan, other]), published)
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert "equi-tuned (jump_run)" in labels
    assert "equi-tuned (verbs)" in labels
    assert 0.5 in heights(figure.axes[0])
    assert {patch.get_hatch() for patch in figure.axes[0].patches} == {None, "//"}


def test_a_table_that_cannot_be_drawn_is_one_line(scan, published):
    with pytest.raises(ValueError, match="the table has no rows"):
        scan_accuracy(scan[:0], published)
    with pytest.raises(ValueError, match="unknown method 'fine-tune'; did you mean 'finetune'"):
        scan_accuracy(scan.replace("finetune", "fine-tune"), published)
