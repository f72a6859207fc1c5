"""Labels of regard: checked, made probabilities, and taken from them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equitune.config import REGARD_LABELS
from equitune.io.names import show

Shares = NDArray[np.float64]  # (texts, 4), in the order of `REGARD_LABELS`
LABELS: list[str] = [*REGARD_LABELS]


def check_labels(labels: Iterable[Any]) -> None:
    """Check labels.

    Raises:
        ValueError: one is not one of `REGARD_LABELS`; it and these are named.
    """
    for label in labels:
        if label not in LABELS:
            raise ValueError(f"unknown label {show(label)}: expected one of {', '.join(LABELS)}")


def one_hot(labels: Sequence[str]) -> Shares:
    """Return labels as probabilities, (texts, 4): 1 for the label and 0 for the others.

    Raises:
        ValueError: a label is not one of `REGARD_LABELS`.
    """
    check_labels(labels)
    places = [LABELS.index(label) for label in labels]
    return np.eye(len(LABELS))[places].reshape(-1, len(LABELS))


def most_probable(shares: Shares) -> list[str]:
    """Return the most probable label of each text.

    Of several that are as probable, one that counts 0 is taken, neutral before other, so that
    positive and negative are treated alike; of these two alone it is other, which is mixed.

    Args:
        shares: (texts, 4).
    """
    found = []
    for row in shares:
        first = [label for label, share in zip(LABELS, row, strict=True) if share == row.max()]
        if len(first) > 1:
            first = ["neutral" if "neutral" in first else "other"]
        found += first
    return found
