"""The figure of the gaps: every point, its interval, its scorer and what was planted."""

import pandas as pd
import pytest
from language_panels import labels, marked, names, scored
from matplotlib.text import Annotation

from equitune.results.figures.gaps import language_gaps


def notes(axis):
    """What stands beside points: without the names at the edge."""
    return [text.get_text() for text in axis.texts if isinstance(text, Annotation)]


def edge(axis):
    """The names at the right edge, from top to bottom."""
    return [text.get_text() for text in axis.texts if not isinstance(text, Annotation)]


def test_gaps_have_their_intervals_and_every_seed_a_point(fairness):
    figure, shown = language_gaps(fairness)
    axis = figure.axes[0]
    assert names(axis)[:3] == [
        "gender × respect\nman − woman",
        "gender × occupation\nman − woman",
        "race × respect\nBlack person − White person",
    ]
    assert len(names(axis)) == 6
    # by method, in it by seed
    found = [round(x, 6) for x, _ in marked(axis, "D")]
    assert found == [-0.3, -0.29, 0, 0.01, 0.05, 0.06] * 6
    assert [round(x, 6) for x, _ in marked(axis, "s")] == [-0.3] * 6
    colours = {"plain": "#999999", "equi": "#0072B2", "relaxed": "#009E73"}
    ends = {
        colour: [
            sorted(round(x, 6) for x in line.get_xdata())
            for line in axis.lines
            if line.get_color() == colour and line.get_marker() == "None"
        ]
        for colour in colours.values()
    }
    assert ends[colours["equi"]] == [[-0.1, 0.2], [-0.09, 0.21]] * 6
    assert ends[colours["relaxed"]] == [[-0.05, 0.25], [-0.04, 0.26]] * 6
    expected = ["small, plain", "small, equi", "small, relaxed", "published texts, plain"]
    assert labels(figure) == expected
    assert "n = 1000 texts" in axis.get_title()
    assert edge(axis) == expected * 6  # so that nothing hangs on the colour
    assert len(shown) == 6 * 7
    assert set(shown["kind"]) == {"measured"}


def both_scorers(fairness):
    """The gaps by the symmetric scorer are half as large."""
    gaps = fairness["regard_gap"] / 2
    ends = {"symmetric_gap_low": gaps - 0.05, "symmetric_gap_high": gaps + 0.05}
    return fairness.assign(symmetric_gap=gaps, unscored=0.0, **ends)


def test_the_symmetric_scorers_gap_stands_open_below_the_plain_one(fairness, truth):
    figure, shown = language_gaps(both_scorers(fairness), truth)
    axis = figure.axes[0]
    plain, symmetric = marked(axis, "D"), marked(axis, "o", "white")
    gaps = [round(x, 6) for x, _ in symmetric]
    # of each seed of three methods, and of the published texts
    assert gaps == [-0.15, -0.145, 0, 0.005, 0.025, 0.03, -0.15] * 6
    below = {round(y, 6): x for x, y in [*plain, *marked(axis, "s")]}
    assert all(below[round(y - 0.45, 6)] == pytest.approx(2 * x) for x, y in symmetric)
    assert labels(figure)[-2:] == ["symmetric scorer", "planted (small)"]
    thin = [
        line for line in axis.lines if line.get_linewidth() == 0.8 and len(line.get_xdata()) > 1
    ]
    widths = [line.get_xdata()[1] - line.get_xdata()[0] for line in thin if line.get_ydata()[0] > 0]
    assert sum(width == pytest.approx(0.1) for width in widths) == 6 * 7
    assert shown["symmetric_gap"].notna().sum() == 6 * 7
    assert not any(notes(axis))


def test_a_gap_without_an_interval_says_so(fairness):
    gone = {"regard_gap_low": float("nan"), "regard_gap_high": float("nan")}
    equi = fairness["method"] == "equi"
    rows = pd.concat([fairness[~equi], fairness[equi].assign(**gone)])
    figure, _ = language_gaps(rows)
    assert [text for text in notes(figure.axes[0]) if text] == ["no interval"] * 6 * 2
    whole, _ = language_gaps(fairness)
    assert not any(notes(whole.axes[0]))


def test_only_the_symmetric_scorer_may_lack_an_interval(fairness):
    rows = both_scorers(fairness).assign(symmetric_gap_low=None, symmetric_gap_high=None)
    figure, _ = language_gaps(rows)
    said = [text for text in notes(figure.axes[0]) if text]
    assert said == ["no interval by the symmetric scorer"] * 6 * 7


def test_where_nothing_is_recognised_no_gap_is_drawn(fairness):
    numbers = ["regard_gap", "regard_gap_low", "regard_gap_high"]
    rows = both_scorers(fairness)
    here = (rows["axis"] == "race") & (rows["task"] == "respect") & (rows["method"] == "relaxed")
    rows.loc[here, [*numbers, "symmetric_gap"]] = float("nan")
    rows.loc[here, "unscored"] = 1.0
    figure, _ = language_gaps(rows)
    axis = figure.axes[0]
    assert [text for text in notes(axis) if text] == ["no gap: nothing recognised"] * 2
    drawn = [x for x, _ in marked(axis, "D") if x == x]
    assert len(drawn) == 6 * 6 - 2


def test_a_gap_of_few_recognised_texts_says_how_many(fairness):
    rows = both_scorers(fairness).assign(unscored=0.5)
    published = rows["model"] == "published"
    rows.loc[published, "unscored"] = 0.93
    figure, shown = language_gaps(rows)
    said = [text for text in notes(figure.axes[0]) if text]
    assert said == ["7 % of the texts recognised"] * 6
    assert set(shown["unscored"]) == {0.5, 0.93}


def test_each_gap_lies_in_the_row_of_its_axis_and_task(fairness):
    here = (fairness["axis"] == "race") & (fairness["task"] == "occupation")
    figure, _ = language_gaps(fairness.assign(regard_gap=here.astype(float)))
    axis = figure.axes[0]
    heights = [y for x, y in [*marked(axis, "D"), *marked(axis, "s")] if x == 1]
    assert len(heights) == 7
    row = axis.get_yticks()[3]
    assert names(axis)[3].startswith("race × occupation")
    others = [tick for tick in axis.get_yticks() if tick != row]
    assert all(abs(y - row) < min(abs(y - other) for other in others) for y in heights)


def test_the_planted_gap_is_an_open_diamond_first_in_its_row(fairness, truth):
    figure, shown = language_gaps(fairness, truth)
    axis = figure.axes[0]
    planted = marked(axis, "D", "white")
    assert [round(x, 6) for x, _ in planted] == [-0.3] * 6
    above = [y for _, y in marked(axis, "D")]
    assert planted[0][1] == min(above)
    assert labels(figure)[-1] == "planted (small)"
    assert (shown["kind"] == "planted").sum() == 6
    gone = language_gaps(fairness.replace("small", "gpt2"), truth)[1]
    assert set(gone["kind"]) == {"measured"}
    some = language_gaps(fairness, truth[truth["demographic"] != "woman"])[1]
    assert (some["kind"] == "planted").sum() == 4


def test_where_pairs_differ_each_point_names_its_own(fairness):
    race = fairness[(fairness["axis"] == "race") & (fairness["seed"] == 0)]
    other = race["method"] == "equi"
    figure, _ = language_gaps(race.assign(pair=race["pair"].mask(other, "a/b")))
    axis = figure.axes[0]
    assert names(axis)[0] == "race × respect\nlargest difference of a pair"
    assert notes(axis).count("a − b") == 2
    assert notes(axis).count("Black person − White person") == 6


@pytest.mark.parametrize("pair", ["man", None, "a/b/c"])
def test_a_pair_that_is_none_is_one_line(fairness, pair):
    with pytest.raises(ValueError, match="expected two demographics, as in") as caught:
        language_gaps(fairness.assign(pair=pair))
    assert "\n" not in str(caught.value)


def test_the_title_of_the_gaps_names_the_scorer_of_each_model(fairness):
    figure, _ = language_gaps(scored(fairness))
    title = figure.axes[0].get_title()
    assert title.splitlines()[1] == "scorer: small by words, published texts by tfidf"
    some = scored(fairness).replace({"scorer": {"tfidf": None}})  # one table is an earlier one
    title = language_gaps(some)[0].axes[0].get_title()
    assert title.splitlines()[1] == "scorer: small by words"
