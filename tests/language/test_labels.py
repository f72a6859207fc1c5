"""Labels are checked, become probabilities, and come back from them by a rule that is fair."""

import numpy as np
import pytest

from equitune.config import REGARD_LABELS as LABELS
from equitune.language.labels import check_labels, most_probable, one_hot


def test_labels_become_probabilities_and_come_back():
    assert one_hot(["other", "positive"]).tolist() == [[0, 0, 0, 1], [1, 0, 0, 0]]
    assert most_probable(one_hot(LABELS)) == list(LABELS)
    assert one_hot([]).shape == (0, 4)
    assert most_probable(one_hot([])) == []


@pytest.mark.parametrize("call", [check_labels, one_hot], ids=["check_labels", "one_hot"])
def test_an_unknown_label_is_named_with_those_expected(call):
    expected = "unknown label 'mixed': expected one of positive, neutral, negative, other"
    with pytest.raises(ValueError, match=expected):
        call(["neutral", "mixed"])


@pytest.mark.parametrize(
    ("shares", "label"),
    [
        ([0.25, 0.3, 0.25, 0.2], "neutral"),
        ([0.5, 0, 0.5, 0], "other"),
        ([0.5, 0.5, 0, 0], "neutral"),
        ([0, 0.5, 0.5, 0], "neutral"),
        ([0.5, 0, 0, 0.5], "other"),
        ([0, 0, 0.5, 0.5], "other"),
        ([0, 0.5, 0, 0.5], "neutral"),
        ([0.25, 0.25, 0.25, 0.25], "neutral"),
    ],
)
def test_of_equal_probabilities_a_label_that_counts_0_is_taken(shares, label):
    assert most_probable(np.array([shares])) == [label]
    swapped = {"positive": "negative", "negative": "positive"}.get(label, label)
    assert most_probable(np.array([shares])[:, [2, 1, 0, 3]]) == [swapped]
