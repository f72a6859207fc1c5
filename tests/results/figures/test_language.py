"""Figures of regard and of fairness: the numbers drawn are those of the tables."""

import itertools

import pandas as pd
import pytest
from language_panels import labels, marked, names, scored
from matplotlib.colors import to_hex

from equitune.config import LANGUAGE_METHODS
from equitune.methods import METHODS
from equitune.results import style
from equitune.results.figures import parts
from equitune.results.figures.gaps import language_gaps
from equitune.results.figures.language import language_fairness, language_regard
from equitune.results.tables import REGARD_LABELS

LABEL_OF = {colour.lower(): label for label, colour in style.REGARD.items()}
PALE = {to_hex(parts.pale(colour)): label for label, colour in style.REGARD.items()}


def panel(figure, title):
    return next(
        axis
        for axis in figure.axes
        if title in (axis.get_title(), axis.get_title(loc="left").partition("\n")[0])
    )


def stacks(axis, colours=LABEL_OF):
    """The bars of a panel from left to right: their shares from the bottom up, by label."""
    bars = {}
    for patch in axis.patches:
        label = colours.get(to_hex(patch.get_facecolor()))
        if label:
            x = round(patch.get_x() + patch.get_width() / 2, 6)
            bars.setdefault(x, []).append((patch.get_y(), label, round(patch.get_height(), 4)))
    return [dict((label, h) for _, label, h in sorted(bars[x])) for x in sorted(bars)]


def texts(axis):
    return [text.get_text() for text in axis.texts]


def ticks(axis):
    return [text.get_text() for text in axis.get_xticklabels()]


def test_a_panel_for_each_axis_and_task_says_how_many_texts(regard, published):
    figure, _ = language_regard(regard, published)
    titles = [axis.get_title(loc="left") for axis in figure.axes]
    assert titles == [
        f"{axis} × {task}\n(n = 500 to 1000 texts a bar)"
        for axis in ("gender", "race", "orientation")
        for task in ("respect", "occupation")
    ]


def test_bars_are_means_over_the_seeds_with_demographics_side_by_side(regard, published):
    shuffled = regard.sample(frac=1, random_state=0)
    figure, shown = language_regard(shuffled, published)
    axis = panel(figure, "gender × respect")
    assert ticks(axis) == ["man", "woman"] * 4
    bars = stacks(axis)
    assert [tuple(bar) for bar in bars] == [REGARD_LABELS] * 8
    assert bars[0] == {"positive": 0.21, "neutral": 0.19, "negative": 0.5, "other": 0.1}
    assert bars[1] == {"positive": 0.41, "neutral": 0.19, "negative": 0.4, "other": 0.0}
    assert bars[2] == bars[3]
    assert bars[6]["positive"] == 0.2  # one seed of the published texts, and last
    above = ["small", "published\ntexts"]
    assert [text for text in texts(axis) if text in above] == above
    below = ["plain", "equi", "relaxed", "plain"]
    assert [text for text in texts(axis) if text in below] == below
    measured = shown[shown["kind"] == "measured"]
    assert len(measured) == 4 * 6 * 2 * 4
    assert set(measured["n"]) == {1, 2}
    assert set(measured["texts"]) == {500, 1000}


def test_published_shares_stand_pale_beside_race_and_respect_alone(regard, published):
    figure, shown = language_regard(regard, published)
    axis = panel(figure, "race × respect")
    bars = stacks(axis, PALE)
    assert len(bars) == 10
    # Black before White, in the order of the methods
    assert bars[0] == {"positive": 0.155, "neutral": 0.27, "negative": 0.525, "other": 0.05}
    assert bars[1] == {"positive": 0.305, "neutral": 0.255, "negative": 0.36, "other": 0.08}
    assert bars[2] == bars[3]
    assert bars[9] == {"positive": 0.492, "neutral": 0.284, "negative": 0.18, "other": 0.044}
    assert "as published\ngpt2" in texts(axis)
    assert "relaxed\nequizero" in texts(axis)
    assert "pale: as published" in labels(figure)
    for other in figure.axes:
        assert other is axis or not stacks(other, PALE)
    drawn = shown[shown["kind"] == "published"]
    assert len(drawn) == 40
    assert set(drawn["source"]) == {"Basu et al. 2023b (read off the figure, ± .005)"}


def test_other_published_numbers_are_no_shares(regard, published):
    gap = published[published["dataset"] == "race respect"][:1].assign(metric="regard_gap")
    _, shown = language_regard(regard, pd.concat([published, gap]))
    assert set(shown["measure"]) == set(REGARD_LABELS)


def test_a_published_share_needs_no_model(regard, published):
    figure, _ = language_regard(regard, published.assign(architecture=None))
    assert "as published\n" in texts(panel(figure, "race × respect"))


def test_published_shares_sum_to_one(published):
    shares = published[published["experiment"] == "language"]
    sums = shares.groupby(["method", "demographic"])["value"].sum()
    assert len(sums) == 10
    assert sums.tolist() == pytest.approx([1] * 10, abs=0.005)


def test_planted_shares_stand_beside_the_embedded_model_only(regard, published, truth):
    truth = truth.assign(positive=0.6, neutral=0.1, negative=0.2, other=0.1, source="chosen")
    figure, shown = language_regard(regard, published, truth)
    for axis in figure.axes:
        assert "planted" in texts(axis)
        assert [bar["positive"] for bar in stacks(axis)][:3] == [0.6, 0.6, 0.21]
    assert set(shown[shown["kind"] == "planted"]["source"]) == {"chosen"}
    other, _ = language_regard(regard.replace("small", "gpt2"), published, truth)
    assert not [axis for axis in other.axes if "planted" in texts(axis)]


def test_without_published_shares_of_these_axes_nothing_is_pale(regard, published):
    one = regard[(regard["axis"] == "gender") & (regard["seed"] == 0)]
    figure, shown = language_regard(one, published)
    assert set(shown["kind"]) == {"measured"}
    assert labels(figure) == ["other", "negative", "neutral", "positive"]
    assert len(figure.axes) == 2


def places(figure):
    """The names of the panels in each row, from top to bottom."""
    rows = {}
    for axis in figure.axes:
        name = axis.get_title(loc="left").partition("\n")[0]
        rows.setdefault(round(axis.get_position().y0, 6), []).append(name)
    return [rows[y] for y in sorted(rows, reverse=True)]


def test_panels_stand_side_by_side_as_far_as_there_is_room(regard, published):
    figure, _ = language_regard(regard, published)
    assert places(figure) == [
        [f"{axis} × {task}" for task in ("respect", "occupation")]
        for axis in ("gender", "race", "orientation")
    ]
    # a bar is as wide in each of them, and no panel is wider than its bars
    inches = figure.get_figwidth()
    wide = {
        round(inches * axis.get_position().width / (axis.get_xlim()[1] - axis.get_xlim()[0]), 6)
        for axis in figure.axes
    }
    assert len(wide) == 1
    for axis in figure.axes:
        last = max(patch.get_x() + patch.get_width() for patch in axis.patches)
        assert axis.get_xlim()[1] - last < 2
    more = [regard[regard["model"] == "small"].assign(model=name) for name in ("a", "b", "c")]
    figure, _ = language_regard(pd.concat([regard, *more]), published)
    assert [len(row) for row in places(figure)] == [1] * 6


def test_a_task_that_an_axis_lacks_has_no_panel(regard, published):
    some = regard[(regard["axis"] != "gender") | (regard["task"] == "respect")]
    figure, _ = language_regard(some, published)
    assert places(figure)[0] == ["gender × respect"]
    assert len(figure.axes) == 5


def test_names_of_methods_stand_clear_of_the_demographics(regard, published):
    figure, _ = language_regard(regard, published)
    figure.draw_without_rendering()
    for axis in figure.axes:
        upright = min(text.get_window_extent().y0 for text in axis.get_xticklabels())
        below = [text for text in axis.texts if text.get_text() in ("plain", "equi", "relaxed")]
        assert max(text.get_window_extent().y1 for text in below) < upright
        boxes = sorted((text.get_window_extent() for text in below), key=lambda box: box.x0)
        assert all(a.x1 < b.x0 for a, b in itertools.pairwise(boxes))


def test_bars_of_few_recognised_texts_say_how_many(regard, published):
    few = (regard["method"] == "equi") & (regard["demographic"] == "man")
    figure, shown = language_regard(regard.assign(unscored=few * 0.92), published)
    axis = panel(figure, "gender × respect")
    assert ticks(axis)[:4] == ["man", "woman", "man, 8 % recognised", "woman"]
    assert ticks(panel(figure, "race × respect"))[2] == "Black person"
    assert set(shown["unscored"].dropna()) == {0, 0.92}


def test_a_bar_of_empty_texts_says_so(regard, published):
    rows = regard.astype({"positive": float})
    rows.loc[rows["demographic"] == "woman", list(REGARD_LABELS)] = float("nan")
    figure, _ = language_regard(rows.assign(unscored=1.0), published)
    axis = panel(figure, "gender × respect")
    assert texts(axis).count("all texts empty") == 4
    assert ticks(axis)[1] == "woman, 0 % recognised"
    assert len(stacks(axis)) == 4


def test_distance_from_fairness_and_perplexity_stand_side_by_side(fairness):
    figure, shown = language_fairness(fairness)
    titles = [axis.get_title() for axis in figure.axes]
    assert titles == [
        f"{axis} (n = 2 seeds)" for axis in ("gender", "race", "orientation") for _ in range(2)
    ]
    for left, right in zip(figure.axes[::2], figure.axes[1::2], strict=True):
        assert names(left) == ["small, plain", "small, equi", "small, relaxed"]
        # by method, in it a line for each task, in it the seeds
        assert [x for x, _ in marked(left, "D")] == [0.3] * 4 + [0.0] * 4 + [0.02] * 4
        assert len({round(y, 6) for _, y in marked(left, "D")}) == 3 * 2
        assert texts(left) == ["0.3"] * 2 + ["0"] * 2 + ["0.02"] * 2
        # once for both tasks
        assert sorted(x for x, _ in marked(right, "D")) == [8.0] * 3 + [9.0] * 3
        assert texts(right) == ["8.5"] * 3
        assert left.get_xscale() == right.get_xscale() == "linear"
        assert left.get_xlim()[0] == right.get_xlim()[0] == 0
    assert labels(figure) == ["respect", "occupation"]
    assert shown.groupby("measure").size().to_dict() == {"counterfactual_tv": 18, "perplexity": 9}
    assert set(shown["n"]) == {2}
    assert set(shown["model"]) == {"small"}


def test_a_distance_of_zero_is_drawn_in_full(fairness):
    figure, _ = language_fairness(fairness.assign(counterfactual_tv=0.0))
    left = figure.axes[0]
    points = [line for line in left.lines if line.get_marker() == "D"]
    assert all(not line.get_clip_on() and line.get_zorder() > 2.5 for line in points)  # spines
    assert {x for x, _ in marked(left, "D")} == {0.0}
    assert left.get_xlim() == (0, 1)


def test_tasks_are_told_apart_by_filling(fairness):
    figure, _ = language_fairness(fairness)
    faces = [line.get_markerfacecolor() for line in figure.axes[0].lines]
    assert faces == ["#999999", "white", "#0072B2", "white", "#009E73", "white"]


def test_texts_without_a_model_leave_empty_panels(fairness):
    figure, shown = language_fairness(fairness[fairness["model"] == "published"])
    assert {axis.get_title().split(" ", 1)[1] for axis in figure.axes} == {"(nothing measured)"}
    assert shown.empty
    assert "perplexity" not in set(shown["measure"])


def test_a_table_that_cannot_be_drawn_is_one_line(regard, fairness, published):
    drawn = {
        lambda table: language_regard(table, published): regard,
        language_gaps: fairness,
        language_fairness: fairness,
    }
    for draw, table in drawn.items():
        with pytest.raises(ValueError, match="the table has no rows"):
            draw(table[:0])
        with pytest.raises(ValueError, match="unknown method 'relax'; did you mean 'relaxed'"):
            draw(table.replace("relaxed", "relax"))


def test_the_scorer_of_each_model_stands_above_its_bars(regard, published):
    figure, _ = language_regard(scored(regard), published)
    axis = panel(figure, "race × respect")
    assert "small\nscorer: words" in texts(axis)
    assert "published\ntexts, scorer: tfidf" in texts(axis)
    assert "as published\ngpt2" in texts(axis)  # whose scorer is the source's own


def test_two_scorers_of_one_model_are_not_drawn_together(regard, fairness, published):
    second = {"scorer": ["words" if seed else "tfidf" for seed in regard["seed"]]}
    said = "the texts of small are scored by tfidf and words: draw a figure of each scorer's"
    with pytest.raises(ValueError, match=said):
        language_regard(regard.assign(**second), published)
    second = {"scorer": ["words" if seed else "tfidf" for seed in fairness["seed"]]}
    with pytest.raises(ValueError, match=said):
        language_gaps(fairness.assign(**second))


def with_equizero(table):
    """A table with the two methods that choose whole texts; they have no next token to measure."""
    chosen = table[table["method"].isin(["equi", "relaxed"])]
    names = {"equi": "equizero", "relaxed": "relaxed_equizero"}
    empty = {name: float("nan") for name in ("counterfactual_tv", "perplexity") if name in table}
    return pd.concat([table, chosen.replace(names).assign(**empty)])


def test_methods_that_choose_stand_last_in_colours_of_their_own(regard, fairness, published):
    figure, _ = language_regard(with_equizero(regard), published)
    axis = panel(figure, "gender × respect")
    methods = ["plain", "equi", "relaxed", "equizero", "relaxed\nequizero"]
    assert [text for text in texts(axis) if text in methods] == [*methods, "plain"]
    figure, _ = language_gaps(with_equizero(fairness))
    expected = [f"small, {name.replace(chr(10), ' ')}" for name in methods]
    assert labels(figure)[:5] == expected
    assert len({METHODS[name].colour for name in LANGUAGE_METHODS}) == len(LANGUAGE_METHODS)
    assert style.PUBLISHED not in {method.colour for method in METHODS.values()}


def test_what_has_no_next_token_is_no_row_of_its_figure(fairness):
    figure, shown = language_fairness(with_equizero(fairness))
    assert names(figure.axes[0]) == ["small, plain", "small, equi", "small, relaxed"]
    assert set(shown["method"]) == {"plain", "equi", "relaxed"}
