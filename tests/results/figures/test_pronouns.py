"""The figure of pronouns: the numbers drawn are those of the table."""

import math

import pandas as pd
import pytest
from matplotlib.text import Annotation

from equitune.methods import METHODS
from equitune.results.figures.pronouns import CHANCE, language_pronouns

COLOURS = {METHODS[name].colour: name for name in ("plain", "equi", "relaxed")}


def points(axis):
    """Method and x of each point, from top to bottom."""
    found = [line for line in axis.lines if line.get_marker() in ("D", "s")]
    found.sort(key=lambda line: float(line.get_ydata()[0]))
    return [(COLOURS[line.get_color()], float(line.get_xdata()[0])) for line in found]


def intervals(axis):
    """The ends of each interval, from top to bottom."""
    found = [line for line in axis.lines if line.get_linewidth() == 1.5 and len(line.get_xdata())]
    found = [line for line in found if line.get_marker() == "None"]
    found.sort(key=lambda line: float(line.get_ydata()[0]))
    return [tuple(map(float, line.get_xdata())) for line in found]


def chances(axis):
    """Where the broken lines are, from top to bottom."""
    found = [line for line in axis.lines if line.get_linestyle() == CHANCE["ls"]]
    found.sort(key=lambda line: float(line.get_ydata()[0]))
    return [float(line.get_xdata()[0]) for line in found]


def said(axis):
    return [text.get_text() for text in axis.texts if isinstance(text, Annotation)]


def test_a_row_for_each_model_and_task_a_point_for_each_method_and_seed(pronouns):
    figure, shown = language_pronouns(pronouns.sample(frac=1, random_state=0))
    (axis,) = figure.axes
    assert [name.get_text() for name in axis.get_yticklabels()] == [
        "small\ngender × respect",
        "small\ngender × occupation",
        "published texts\ngender × respect",
        "published texts\ngender × occupation",
    ]
    own = [("plain", 0.95), ("plain", 0.955), ("equi", 0.5), ("equi", 0.505)]
    own += [("relaxed", 0.9), ("relaxed", 0.905)]
    assert points(axis) == [*own, *own, ("plain", 0.95), ("plain", 0.95)]
    assert intervals(axis)[2] == pytest.approx((0.4, 0.52))
    assert len(intervals(axis)) == 14
    assert said(axis) == ["n = 400"] * 14
    assert axis.get_title() == (
        "agreement of pronouns (of 1000 texts a point, n have a gendered pronoun)"
    )
    assert len(shown) == 14
    assert list(zip(shown["method"], shown["share"], strict=True)) == points(axis)
    assert set(shown["texts"]) == {1000}


def test_the_broken_line_is_one_over_the_number_of_demographics(pronouns):
    figure, _ = language_pronouns(pronouns)
    assert chances(figure.axes[0]) == [0.5] * 4
    third = pronouns[pronouns["demographic"] == "man"].assign(demographic="other")
    third = third[third["task"] == "occupation"]
    figure, shown = language_pronouns(pd.concat([pronouns, third]))
    assert chances(figure.axes[0]) == [0.5, 1 / 3] * 2
    assert set(shown[shown["task"] == "occupation"]["independent"]) == {1 / 3}
    assert "independent of the subject" in [
        text.get_text() for text in figure.legends[0].get_texts()
    ]


def test_a_point_without_an_interval_says_so(pronouns):
    few = pronouns.assign(with_pronoun=9, share_low=math.nan, share_high=math.nan)
    figure, _ = language_pronouns(few)
    assert said(figure.axes[0]) == ["n = 9, no interval"] * 14
    none = few.assign(with_pronoun=0, agree=0, share=math.nan)
    figure, _ = language_pronouns(none)
    assert said(figure.axes[0]) == ["no text with a pronoun"] * 14


def test_a_table_without_rows_or_with_an_unknown_method_is_one_line(pronouns):
    with pytest.raises(ValueError, match="has no rows, so there is nothing to draw"):
        language_pronouns(pronouns[:0])
    with pytest.raises(ValueError, match="unknown method 'equii'; did you mean"):
        language_pronouns(pronouns.assign(method="equii"))
