"""Logistic regression of regard on vectors: fitted, asked, kept as numbers.

Every scorer that is trained here ends in it, whatever its vectors are.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from equitune.compat import extra
from equitune.config import REGARD_LABELS
from equitune.language.labels import Shares, check_labels

if TYPE_CHECKING:
    from torch import Tensor

STEPS = 2000  # of the solver, at most
NUMBERS = frozenset({"coefficients", "intercepts"})


def fit(vectors: Any, labels: Sequence[str], strength: float) -> Any:
    """Learn to tell labels from vectors, by multinomial logistic regression with an L2 penalty.

    Args:
        vectors: (texts, features), dense or sparse.
        labels: of each text.
        strength: inverse of the penalty's weight.

    Returns:
        A classifier of scikit-learn.

    Raises:
        ValueError: a label is not one of `REGARD_LABELS`.
    """
    check_labels(labels)
    with extra("language"):
        from sklearn.linear_model import LogisticRegression

    classifier = LogisticRegression(C=strength, max_iter=STEPS).fit(vectors, labels)
    classifier.coef_ = np.ascontiguousarray(classifier.coef_)  # as it is loaded: sums round alike
    return classifier


def labels(classifier: Any, vectors: Any) -> list[str]:
    """Return the label of each vector."""
    return [str(label) for label in classifier.predict(vectors)]


def shares(classifier: Any, vectors: Any) -> Shares:
    """Return the labels' probabilities, (texts, 4); 0 for a label it has not learnt."""
    found = np.zeros((vectors.shape[0], len(REGARD_LABELS)))
    places = [REGARD_LABELS.index(name) for name in classifier.classes_]
    found[:, places] = classifier.predict_proba(vectors)
    return found


def numbers(classifier: Any) -> dict[str, Tensor]:
    """Return what a classifier has learnt, as tensors of the names `NUMBERS`."""
    import torch

    learnt = {"coefficients": classifier.coef_, "intercepts": classifier.intercept_}
    return {name: torch.from_numpy(np.array(x)) for name, x in learnt.items()}


def classes(classifier: Any) -> list[str]:
    """Return the labels that a classifier has learnt, in the order of its numbers."""
    return [str(name) for name in classifier.classes_]


def restore(names: Sequence[str], tensors: dict[str, Tensor], path: Path) -> Any:
    """Return the classifier of `classes` and `numbers`.

    Args:
        names: the labels that it has learnt.
        tensors: with the names `NUMBERS`; others may stand beside them.
        path: the file they come from, for the message.

    Raises:
        ValueError: a label is not one of `REGARD_LABELS`.
    """
    with extra("language"):
        from sklearn.linear_model import LogisticRegression

    try:
        check_labels(names)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    classifier = LogisticRegression()
    classifier.classes_ = np.array(names)
    classifier.coef_ = tensors["coefficients"].numpy()
    classifier.intercept_ = tensors["intercepts"].numpy()
    return classifier
