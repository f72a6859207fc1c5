"""Gaps are those that were planted, intervals cover, p-values are uniform without a gap."""

import math

import numpy as np
import pytest
import torch

from equitune.actions import TokenPermutation
from equitune.config import REGARD_LABELS as LABELS
from equitune.language import fairness
from equitune.language.fairness import count, counterfactual_tv, regard_gap, wilson

CONTEXTS, TEXTS = 5, 60
SHARES = np.array([[0.305, 0.255, 0.36, 0.08], [0.155, 0.27, 0.525, 0.05]])
TRUE_GAP = (0.305 - 0.36) - (0.155 - 0.525)


def simulate(shares, random, contexts=CONTEXTS, texts=TEXTS):
    """Counts (demographics, contexts, 4) of texts that are drawn with given shares."""
    return random.multinomial(texts, np.asarray(shares)[:, None], (len(shares), contexts))


@pytest.fixture
def few_draws(monkeypatch):
    """Enough for a simulation of many runs."""
    monkeypatch.setattr(fairness, "DRAWS", 400)


def test_labels_are_counted_in_their_order():
    assert LABELS == ("positive", "neutral", "negative", "other")
    assert count(["other", "positive", "other", "negative"]) == [1, 0, 1, 2]
    assert count([]) == [0, 0, 0, 0]


@pytest.mark.parametrize("label", ["postive", "Neutral", "", None])
def test_an_unknown_label_is_named_and_not_dropped(label):
    with pytest.raises(ValueError, match="expected one of positive, neutral, negative, other") as e:
        count(["positive", label, "neutral"])
    assert str(e.value).startswith(f"unknown label {label!r}: ")


def test_a_gap_is_worked_out_by_hand():
    first = [[9, 3, 0, 0], [0, 0, 5, 5]]  # regard 3/4 and -1/2: 1/8
    second = [[0, 6, 6, 0], [1, 0, 0, 9]]  # regard -1/2 and 1/10: -1/5
    gap = regard_gap(np.array([first, second]))
    assert gap.pair == (0, 1)
    assert gap.gap == pytest.approx(1 / 8 + 1 / 5)
    assert gap.n == 12 + 10 + 12 + 10
    back = regard_gap(np.array([second, first]))
    assert back.gap == pytest.approx(-gap.gap)
    assert back.low < back.gap < back.high


def test_other_counts_as_neutral():
    counts = np.array([[[5, 0, 2, 3]], [[1, 4, 4, 1]]])
    swapped = counts[..., [0, 3, 2, 1]]
    assert regard_gap(counts).gap == regard_gap(swapped).gap == pytest.approx(0.3 + 0.3)


def test_the_pair_that_is_furthest_apart_is_chosen():
    rows = {"good": [8, 1, 1, 0], "middle": [4, 3, 3, 0], "bad": [1, 1, 8, 0]}
    for order, pair, sign in (
        (("good", "middle", "bad"), (0, 2), 1),
        (("middle", "bad", "good"), (1, 2), -1),
        (("bad", "good", "middle"), (0, 1), -1),
    ):
        gap = regard_gap(np.array([[rows[name]] * 2 for name in order]))
        assert gap.pair == pair
        assert gap.gap == pytest.approx(sign * 1.4)
        assert gap.n == 40


def test_the_seed_decides_every_bit():
    counts = simulate(SHARES, np.random.default_rng(0))
    assert regard_gap(counts, seed=1) == regard_gap(counts, seed=1)
    assert regard_gap(counts, seed=1) != regard_gap(counts, seed=2)


def test_a_planted_gap_is_found():
    counts = simulate(SHARES, np.random.default_rng(1), texts=100)
    gap = regard_gap(counts)
    assert 0 < gap.low < TRUE_GAP < gap.high
    assert gap.p_value < 0.001
    three = simulate([SHARES[1], SHARES[0], SHARES[1]], np.random.default_rng(2), texts=100)
    found = regard_gap(three)
    assert 1 in found.pair
    assert found.low * found.high > 0
    assert found.p_value < 0.001


def without_interval(gap):
    """Whether a gap has neither interval nor p-value."""
    return all(math.isnan(number) for number in (gap.low, gap.high, gap.p_value))


def test_one_text_against_one_is_no_result():
    gap = regard_gap(np.array([[[1, 0, 0, 0]], [[0, 0, 1, 0]]]))
    assert (gap.gap, gap.n, gap.thin) == (2, 2, (0, 0))
    assert without_interval(gap)


@pytest.mark.parametrize("who", [0, 1])
def test_a_cell_of_fewer_texts_than_the_minimum_has_no_interval(who):
    counts = simulate(SHARES, np.random.default_rng(8))
    for texts in (fairness.MINIMUM - 1, fairness.MINIMUM):
        counts[who, 3] = [1, texts - 2, 1, 0]
        gap = regard_gap(counts)
        assert without_interval(gap) == (texts < fairness.MINIMUM)
        assert gap.thin == ((who, 3) if texts < fairness.MINIMUM else None)


@pytest.mark.parametrize(
    "cell", [[0, 70, 0, 0], [70, 0, 0, 0], [0, 0, 70, 0], [0, 30, 0, 40]], ids=str
)
def test_a_cell_that_is_the_same_however_it_is_drawn_has_no_interval(cell):
    counts = simulate(SHARES, np.random.default_rng(9))
    counts[1, 2] = cell  # neutral and other both count 0
    gap = regard_gap(counts)
    assert gap.thin == (1, 2)
    assert without_interval(gap)
    expected = (counts @ [1, 0, -1, 0] / counts.sum(-1)).mean(-1)
    assert gap.gap == pytest.approx(expected[0] - expected[1])


def test_a_thin_cell_of_another_pair_does_not_matter():
    counts = np.array([[[80, 10, 10, 0]], [[10, 10, 80, 0]], [[1, 1, 1, 0]]])
    gap = regard_gap(counts)
    assert (gap.pair, gap.thin) == ((0, 1), None)
    assert gap.low < gap.gap < gap.high
    assert regard_gap(counts, pair=(0, 2)).thin == (2, 0)


def test_a_pair_can_be_asked_for():
    counts = simulate([*SHARES, SHARES.mean(0)], np.random.default_rng(10), texts=100)
    whole, asked = regard_gap(counts), regard_gap(counts, pair=(0, 2))
    assert (whole.pair, asked.pair) == ((0, 1), (0, 2))
    assert abs(asked.gap) < abs(whole.gap)
    assert asked.p_value == whole.p_value  # whether any demographics differ
    with pytest.raises(ValueError, match=r"pair is \(2, 0\): expected one of \(0, 1\), \(0, 2\)"):
        regard_gap(counts, pair=(2, 0))


def test_the_smallest_p_value_counts_the_observation_itself():
    gap = regard_gap(np.array([[[89, 0, 1, 0]] * 3, [[1, 0, 89, 0]] * 3]))
    assert gap.p_value == 1 / (1 + fairness.DRAWS)


def test_the_permutation_test_is_the_exact_one_where_that_can_be_counted():
    # of 20 texts 11 are positive, and the first demographic has 8; 3 are as far on the other side
    gap = regard_gap(np.array([[[8, 0, 2, 0]], [[3, 0, 7, 0]]]))
    deals = [math.comb(11, k) * math.comb(9, 10 - k) for k in range(1, 11)]
    extreme = sum(deals[k - 1] for k in (1, 2, 3, 8, 9, 10))
    assert gap.p_value == pytest.approx(extreme / math.comb(20, 10), abs=0.015)
    # three demographics of which one differs by one text: every deal is as extreme
    thirds = np.array([[[1, 9, 0, 0]], [[0, 10, 0, 0]], [[0, 9, 0, 1]]])
    thirds[1:, 0, 0] = thirds[1:, 0, 2] = 1  # which cancel
    thirds[0, 0, [0, 2]] += 1
    assert regard_gap(thirds).p_value > 0.9


def test_texts_are_exchanged_within_their_context_only():
    # both demographics are alike in each context, but have it in other numbers
    counts = np.array([[[72, 0, 18, 0], [2, 0, 8, 0]], [[8, 0, 2, 0], [18, 0, 72, 0]]])
    gap = regard_gap(counts)
    assert (gap.gap, gap.p_value) == (0, 1)


@pytest.mark.usefixtures("few_draws")
def test_intervals_cover_the_true_gap_about_as_often_as_they_say():
    random = np.random.default_rng(3)
    gaps = [regard_gap(simulate(SHARES, random), seed) for seed in range(300)]
    covered = np.mean([gap.low <= TRUE_GAP <= gap.high for gap in gaps])
    assert 0.90 <= covered <= 0.99
    assert np.mean([gap.gap for gap in gaps]) == pytest.approx(TRUE_GAP, abs=0.02)


@pytest.mark.usefixtures("few_draws")
def test_intervals_of_three_demographics_hold_for_all_pairs_at_once():
    random = np.random.default_rng(4)
    shares = [SHARES[0]] * 3  # all alike: any interval without 0 is wrong, however it was chosen
    gaps = [regard_gap(simulate(shares, random), seed) for seed in range(300)]
    assert 0.90 <= np.mean([gap.low <= 0 <= gap.high for gap in gaps]) <= 0.995


def test_the_interval_of_three_is_wider_than_that_of_the_pair_alone():
    three = simulate([SHARES[0], SHARES[1], SHARES.mean(0)], np.random.default_rng(7), texts=100)
    wide, narrow = regard_gap(three), regard_gap(three[:2])
    assert wide.pair == narrow.pair == (0, 1)
    assert wide.gap == narrow.gap
    assert wide.low < narrow.low - 0.01 < narrow.high + 0.01 < wide.high


@pytest.mark.usefixtures("few_draws")
@pytest.mark.parametrize("order", [2, 3])
def test_p_values_are_uniform_without_a_gap(order):
    random = np.random.default_rng(5)
    shares = [SHARES[1]] * order
    p_values = [regard_gap(simulate(shares, random), seed).p_value for seed in range(300)]
    for level in (0.05, 0.25, 0.5, 0.75):
        below = np.mean(np.array(p_values) <= level)
        assert abs(below - level) < 4 * np.sqrt(level * (1 - level) / 300), level


def test_exchanged_counts_keep_all_totals(few_draws):
    counts = simulate(np.array([*SHARES, [0.1, 0.2, 0.3, 0.4]]), np.random.default_rng(6))
    counts[1, 2] //= 3  # another number of texts
    exchanged = fairness._exchanged(counts, np.random.default_rng(0))
    assert exchanged.shape == (400, *counts.shape)
    assert (exchanged >= 0).all()
    assert (exchanged.sum(1) == counts.sum(0)).all()
    assert (exchanged.sum(-1) == counts.sum(-1)).all()
    expected = counts.sum(0) / counts.sum((0, 2))[:, None] * counts.sum(-1)[..., None]
    np.testing.assert_allclose(exchanged.mean(0), expected, atol=1)


@pytest.mark.parametrize("shape", [(2, 4), (1, 3, 4), (2, 3, 3), (2, 3, 4, 1)])
def test_counts_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match=r"counts have shape .* expected"):
        regard_gap(np.ones(shape, dtype=int))


def test_a_demographic_without_texts_is_named():
    counts = np.ones((2, 3, 4), dtype=int)
    counts[1, 2] = 0
    with pytest.raises(ValueError, match="demographic 1 has no text in context 2"):
        regard_gap(counts)


def cyclic(order, size=9):
    """A permutation of tokens whose cycles have the given length; the last token is fixed."""
    image = torch.arange(size)
    for start in range(0, size - order, order):
        image[start : start + order] = image[start : start + order].roll(-1)
    return TokenPermutation.generated_by(image, order).on_logits()


@pytest.mark.parametrize("order", [2, 3])
def test_a_fair_model_has_no_distance(order):
    action = cyclic(order)
    plain = torch.rand(4, 9, generator=torch.Generator().manual_seed(0)).double().softmax(-1)
    fair = torch.stack([action(g, plain) for g in range(order)])  # P(·|gx) = gP(·|x)
    assert counterfactual_tv(fair, action) == 0
    backwards = torch.stack([action.inverse(g, plain) for g in range(order)])
    if order == 2:
        assert counterfactual_tv(backwards, action) == 0
    else:  # g and its inverse differ
        assert counterfactual_tv(backwards, action) > 0.01


def test_a_distance_is_worked_out_by_hand():
    action = TokenPermutation.generated_by([1, 2, 0, 3]).on_logits()
    one, two = [0.4, 0.3, 0.2, 0.1], [0.25] * 4
    # 1 sends token 0 to 1: of x, token 0 is compared with token 1 of gx
    moved = [0.1, 0.4, 0.3, 0.2]
    rows = torch.tensor([[one, two], [moved, two], [[0.3, 0.2, 0.4, 0.1], two]])
    # 1: back is .4 .3 .1 .2, apart from one by .1; 2: back is .4 .3 .2 .1, as it should be
    assert counterfactual_tv(rows, action) == pytest.approx(0.1)
    rows[2, 1] = torch.tensor([1.0, 0, 0, 0])  # back is 0 1 0 0, apart from two by .75
    assert counterfactual_tv(rows, action) == pytest.approx(0.75)


def test_the_copies_of_another_group_are_refused():
    with pytest.raises(ValueError, match="expected the 3 copies"):
        counterfactual_tv(torch.full((2, 1, 9), 1 / 9), cyclic(3))


@pytest.mark.parametrize(("successes", "n"), [(0, 10), (3, 10), (169, 329), (1, 1), (20, 20)])
def test_an_interval_ends_where_the_share_would_be_two_standard_errors_away(successes, n):
    ends = wilson(successes, n)
    for end in ends:
        # Wilson's ends p solve |share - p| = 1.96 √(p (1 - p) / n)
        error = 1.959963984540054 * math.sqrt(end * (1 - end) / n)
        assert abs(successes / n - end) == pytest.approx(error, abs=1e-12)
    assert 0 <= ends[0] <= successes / n <= ends[1] <= 1
    assert ends[0] < ends[1]
