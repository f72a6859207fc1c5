"""The figure of tuning: what stands at each place is what the table says."""

import pandas as pd
import pytest

from equitune.results.figures.tuning import language_tuning
from equitune.results.tables import TUNING_COLUMNS


def rows(method, tvs, ends, seed=0):
    steps = range(0, 10 * len(tvs), 10)
    tested = [ends[0], *[None] * (len(tvs) - 2), ends[1]]
    values = zip(steps, tvs, tested, strict=True)
    return [("tiny", method, "gender", step, seed, 9.0, tv, test, 70) for step, tv, test in values]


@pytest.fixture
def tuning():
    both = rows("plain", [0.4, 0.5, 0.6], (20.0, 15.0)), rows("equi", [0, 1e-16, 0], (21.0, 16.0))
    more = rows("equi", [0, 0, 0], (21.0, 17.0), seed=1)
    return pd.DataFrame([*both[0], *both[1], *more], columns=list(TUNING_COLUMNS))


def test_each_stage_is_a_line_of_its_own(tuning):
    figure, shown = language_tuning(tuning)
    left = figure.axes[0]
    names = [label.get_text() for label in left.get_yticklabels()]
    assert names == ["plain", "plain, tuned", "averaged", "equi-tuned"]
    points = [sorted(line.get_xdata()) for line in left.lines]
    assert points == [[20.0], [15.0], [21.0, 21.0], [16.0, 17.0]]
    assert [text.get_text() for text in left.texts] == ["20.00", "15.00", "21.00", "16.50"]
    assert left.get_xlabel() == "perplexity, 70 tokens"
    assert len(shown) == len(tuning)


def test_the_distance_from_fairness_is_drawn_at_every_step(tuning):
    figure, _ = language_tuning(tuning)
    lines = figure.axes[1].lines
    assert [list(line.get_xdata()) for line in lines] == [[0, 10, 20]] * 3
    assert list(lines[0].get_ydata()) == [0.4, 0.5, 0.6]
    assert max(lines[1].get_ydata()) == 1e-16
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["plain", "equi"]


def test_a_table_without_rows_is_one_line(tuning):
    with pytest.raises(ValueError, match="the table has no rows"):
        language_tuning(tuning.iloc[:0])
