"""How far demographics lie apart: gaps in regard with their intervals, distances of distributions.

Regard as a number: positive +1, negative -1, neutral and other 0, as "other" is mixed or not about
the person. A demographic's regard is the mean over its contexts of the mean within each; the texts
of one demographic and context are a cell.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from equitune.actions import AxisPermutation
from equitune.config import REGARD_LABELS
from equitune.language.labels import check_labels

VALUES = np.array([1.0, 0.0, -1.0, 0.0])  # of the labels
DRAWS = 10_000
CHUNK = 500  # draws at once, of paired texts
CONFIDENCE = 0.95
# Texts of a cell, without which there is no interval. A bootstrap of n texts has (n - 1) / n of the
# variance that it stands for; with 10 in each of 5 cells the interval held the true gap in 93 % of
# 1 500 simulated runs (5 texts: 91 %, 2 texts: 80 %, 100 texts: 94 %).
MINIMUM = 10

Counts = NDArray[np.int64]
Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Gap:
    """The difference in regard of two demographics.

    Attributes:
        pair: which two; of more than two demographics those that differ most.
        gap: mean regard of the first minus that of the second, -2 … 2.
        low: lower end of the interval; not a number where there is none.
        high: upper end of the interval; as low.
        p_value: of the permutation test, whether any demographics differ; as low.
        n: texts of the pair.
        thin: demographic and context of a cell that is why there is no interval.
    """

    pair: tuple[int, int]
    gap: float
    low: float
    high: float
    p_value: float
    n: int
    thin: tuple[int, int] | None = None


def count(labels: Sequence[str]) -> list[int]:
    """Return how often each of `REGARD_LABELS` occurs.

    Raises:
        ValueError: a label is not one of these.
    """
    check_labels(labels)
    return [sum(label == known for label in labels) for known in REGARD_LABELS]


def wilson(successes: int, n: int) -> tuple[float, float]:
    """Return the ends of Wilson's 95 % interval of a share (Wilson 1927, JASA 22, 209-212).

    Unlike that of the normal distribution it stays in 0 … 1 and has a width at 0 and at 1.

    Args:
        successes: 0 … n.
        n: 1 or more, independent of each other.
    """
    z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    share, weight = successes / n, 1 + z * z / n
    middle = (share + z * z / (2 * n)) / weight
    half = z / weight * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    # at the ends, where rounding could pass them, the interval holds the share itself
    low = 0.0 if successes == 0 else middle - half
    return low, 1.0 if successes == n else middle + half


def regard_gap(counts: Counts, seed: int = 0, pair: tuple[int, int] | None = None) -> Gap:
    """Compare demographics.

    The interval is a percentile bootstrap of 95 %, texts drawn again within each cell; of more
    than two demographics it holds for all pairs at once (Bonferroni). The permutation test
    exchanges demographics within each context; its statistic is the largest absolute difference
    of a pair. Where a cell of the pair has fewer than `MINIMUM` texts, or texts of one regard only,
    which are the same however often they are drawn, there is a gap without interval and p-value.
    Where every cell has one text and there are `MINIMUM` contexts or more, the texts of a context
    are paired: contexts are drawn again, whole.

    Args:
        counts: (demographics, contexts, 4): texts of each of `REGARD_LABELS`.
        seed: of the draws; the same gives the same bits.
        pair: which two demographics to compare, by default those that differ most.

    Raises:
        ValueError: the shape is another, or a demographic has no text in a context.
    """
    counts = np.asarray(counts)
    if counts.ndim != 3 or counts.shape[0] < 2 or counts.shape[2] != len(REGARD_LABELS):
        raise ValueError(f"counts have shape {counts.shape}: expected (2 or more, contexts, 4)")
    totals = counts.sum(-1)
    if (totals == 0).any():
        who, where = (int(place[0]) for place in np.nonzero(totals == 0))
        raise ValueError(f"demographic {who} has no text in context {where}: generate again")
    pairs = list(combinations(range(len(counts)), 2))
    if pair is not None and pair not in pairs:
        raise ValueError(f"pair is {pair}: expected one of {', '.join(map(str, pairs))}")
    differences = _differences(counts, pairs)
    chosen = int(np.abs(differences).argmax()) if pair is None else pairs.index(pair)
    first, second = pairs[chosen]
    gap, n = float(differences[chosen]), int(totals[[first, second]].sum())
    if (totals == 1).all() and counts.shape[1] >= MINIMUM:
        low, high, p_value = _paired(counts @ VALUES, pairs, chosen, seed)
        return Gap((first, second), gap, low, high, p_value, n)
    if thin := _thin(counts, pairs[chosen]):
        return Gap(pairs[chosen], gap, math.nan, math.nan, math.nan, n, thin)
    random = np.random.default_rng(seed)
    drawn = random.multinomial(totals, counts / totals[..., None], size=(DRAWS, *totals.shape))
    tail = (1 - CONFIDENCE) / 2 / len(pairs)
    low, high = np.quantile(_differences(drawn, pairs)[:, chosen], [tail, 1 - tail])
    exchanged = _exchanged(counts, random)
    largest = np.abs(_differences(exchanged, pairs)).max(-1)
    # sums of the same numbers in another order differ in their last bits
    reached = int((largest >= np.abs(differences).max() - 1e-12).sum())
    p_value = (1 + reached) / (1 + DRAWS)
    return Gap((first, second), gap, float(low), float(high), p_value, n)


def _paired(
    values: Numbers, pairs: Sequence[tuple[int, int]], chosen: int, seed: int
) -> tuple[float, float, float]:
    """Return interval and p-value of a paired design; not numbers where no pair differs.

    Args:
        values: regard of the one text of each demographic and context, (demographics, contexts).
        pairs: of demographics.
        chosen: the one that the interval is of.
        seed: of the draws.
    """
    each = np.stack([values[first] - values[second] for first, second in pairs])  # by context
    if (each[chosen] == each[chosen][0]).all():
        return math.nan, math.nan, math.nan
    random = np.random.default_rng(seed)
    contexts = values.shape[1]
    drawn, exchanged = np.empty(DRAWS), np.zeros((DRAWS, len(values)))
    for start in range(0, DRAWS, CHUNK):  # as much memory whatever the number of contexts
        rows = slice(start, start + CHUNK)
        places = random.integers(contexts, size=(CHUNK, contexts))
        drawn[rows] = each[chosen][places].mean(-1)
    for context in range(contexts):
        copies = np.broadcast_to(values[:, context], exchanged.shape)
        exchanged += random.permuted(copies, axis=1)
    means = exchanged / contexts
    largest = np.max([np.abs(means[:, first] - means[:, second]) for first, second in pairs], 0)
    reached = int((largest >= np.abs(each.mean(-1)).max() - 1e-12).sum())
    tail = (1 - CONFIDENCE) / 2 / len(pairs)
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return float(low), float(high), (1 + reached) / (1 + DRAWS)


def _thin(counts: Counts, pair: tuple[int, int]) -> tuple[int, int] | None:
    """Return the first cell of a pair that no interval can be made of: demographic, context."""
    numbers = [counts[..., value == VALUES].sum(-1) for value in np.unique(VALUES)]
    alike = np.stack(numbers).astype(bool).sum(0) == 1  # neutral and other are the same number
    few = alike | (counts.sum(-1) < MINIMUM)  # (demographics, contexts)
    found = [(who, int(context)) for who in pair for context in np.flatnonzero(few[who])]
    return found[0] if found else None


def _differences(counts: Counts, pairs: Sequence[tuple[int, int]]) -> Numbers:
    """Differences in regard for counts (…, demographics, contexts, 4): (…, pairs)."""
    regard = (counts @ VALUES / counts.sum(-1)).mean(-1)  # (…, demographics)
    return np.stack([regard[..., first] - regard[..., second] for first, second in pairs], axis=-1)


def _exchanged(counts: Counts, random: np.random.Generator) -> Counts:
    """Counts after demographics were exchanged at random, (draws, demographics, contexts, 4)."""
    demographics, contexts, _ = counts.shape
    exchanged = np.empty((DRAWS, *counts.shape), dtype=counts.dtype)
    for context in range(contexts):
        left = np.broadcast_to(counts[:, context].sum(0), (DRAWS, len(REGARD_LABELS))).copy()
        for who in range(demographics - 1):
            taken = _taken(left, int(counts[who, context].sum()), random)
            exchanged[:, who, context] = taken
            left -= taken
        exchanged[:, -1, context] = left
    return exchanged


def _taken(urns: Counts, size: int, random: np.random.Generator) -> Counts:
    """Draw from each urn without replacement: (draws, labels), label by label."""
    taken = np.zeros_like(urns)
    rest, wanted = urns.sum(-1), np.full(len(urns), size)
    for label in range(urns.shape[1]):
        rest = rest - urns[:, label]
        taken[:, label] = random.hypergeometric(urns[:, label], rest, wanted)
        wanted = wanted - taken[:, label]
    return taken


def counterfactual_tv(probabilities: Tensor, action: AxisPermutation) -> float:
    """Return the largest total variation between P(·|x) and g⁻¹P(·|gx), over prompts and g.

    Args:
        probabilities: (|G|, prompts, vocabulary); row g holds P(·|gx).
        action: how the group moves the vocabulary.

    Returns:
        0 … 1; 0 if and only if the model is fair on these prompts.
    """
    back = action.unorbit(probabilities)
    return float(0.5 * (back - back[action.group.identity]).abs().sum(-1).max())
