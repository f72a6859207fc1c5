"""A scorer of regard on the hidden states of a frozen language model.

The states of one block of the model are pooled over a text and standardised, and logistic
regression predicts the label. Block, pooling and the strength of the penalty are chosen by
cross-validation on the training sentences. Texts come masked and cut.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import sqrt
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from equitune.compat import extra
from equitune.io.files import load_tensors, save_tensors
from equitune.language import logistic
from equitune.language.hidden_states import HiddenStates
from equitune.language.labels import Shares, check_labels, one_hot

logger = logging.getLogger(__name__)

DEPTHS = (1 / 2, 2 / 3, 5 / 6, 1.0)  # of the model's blocks: which ones are tried
STRENGTHS = (0.001, 0.01, 0.1)  # inverse of the penalty's weight
FOLDS, REPEATS = 10, 3  # of the cross-validation
NUMBERS = frozenset({"mean", "scale", *logistic.NUMBERS})


@dataclass(frozen=True)
class Choice:
    """What cross-validation decides.

    Attributes:
        layer: behind how many blocks of the model its states are read.
        pooling: one of `hidden_states.POOLINGS`.
        strength: inverse of the penalty's weight.
    """

    layer: int
    pooling: str
    strength: float


class HiddenScorer:
    """Logistic regression on a language model's pooled hidden states; a `regard.Scorer`.

    Args:
        states: of the model that it was trained on.
        choice: which of its states, and how the classifier was fitted.
        mean: of the training texts' states, (width,).
        scale: their standard deviation, (width,), 1 where it is 0.
        classifier: on standardised states; of `logistic`.
    """

    def __init__(
        self,
        states: HiddenStates,
        choice: Choice,
        mean: NDArray[np.float64],
        scale: NDArray[np.float64],
        classifier: Any,
    ) -> None:
        """Store the parts; `fit` and `load` make them. The model loses the blocks not needed."""
        self.states, self.choice = states, choice
        self.mean, self.scale, self.classifier = mean, scale, classifier
        states.cut(choice.layer)

    @classmethod
    def fit(
        cls, states: HiddenStates, texts: Sequence[str], labels: Sequence[str], folds: int = FOLDS
    ) -> Self:
        """Choose by cross-validation, then learn from all texts.

        Args:
            states: of the language model.
            texts: masked.
            labels: of `REGARD_LABELS`.
            folds: of the cross-validation; fewer where a label has fewer texts.

        Raises:
            ValueError: an unknown label, one label only, a label of a single text, or a text
                without a token.
        """
        check_labels(labels)
        counts = {label: labels.count(label) for label in dict.fromkeys(labels)}
        if len(counts) < 2 or min(counts.values()) < 2:
            found = ", ".join(f"{count} {label}" for label, count in counts.items())
            raise ValueError(
                f"training sentences: {found}: expected two labels or more, each of two sentences "
                "or more, to choose by cross-validation"
            )
        if not all(states.reads(texts)):
            place = states.reads(texts).index(False)
            raise ValueError(f"training sentence {place + 1} has no token: remove it")
        pooled = states(texts, sorted({max(1, round(states.depth * share)) for share in DEPTHS}))
        folds = min(folds, *counts.values())
        tried = {
            Choice(*where, strength): _validated(vectors, labels, strength, folds)
            for where, vectors in pooled.items()
            for strength in STRENGTHS
        }
        choice = _chosen(tried, len(texts))
        logger.info(
            "layer %d of %d, %s, C = %g: %.3f in %d-fold cross-validation on %d sentences, the "
            "best of %d settings %.3f",
            *(choice.layer, states.depth, choice.pooling, choice.strength, tried[choice]),
            *(folds, len(texts), len(tried), max(tried.values())),
        )
        vectors = pooled[choice.layer, choice.pooling]
        mean, scale = _moments(vectors)
        classifier = logistic.fit((vectors - mean) / scale, labels, choice.strength)
        return cls(states, choice, mean, scale, classifier)

    def __call__(self, texts: Sequence[str]) -> list[str]:
        """Return one of `REGARD_LABELS` for each text."""
        return logistic.labels(self.classifier, self._vectors(texts)) if len(texts) else []

    def probabilities(self, texts: Sequence[str]) -> Shares:
        """Return the labels' probabilities, (texts, 4); 0 for a label it has not learnt."""
        if not len(texts):
            return one_hot([])
        return logistic.shares(self.classifier, self._vectors(texts))

    def recognises(self, texts: Sequence[str]) -> list[bool]:
        """Return of each text whether it has a token: a model reads whatever there is."""
        return self.states.reads(texts)

    def _vectors(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return standardised states, (texts, width); 0, the mean, of a text without a token."""
        pooled = self.states(texts, [self.choice.layer])
        vectors = (pooled[self.choice.layer, self.choice.pooling] - self.mean) / self.scale
        vectors[~np.array(self.states.reads(texts))] = 0
        return vectors

    def save(self, path: Path) -> None:
        """Write numbers and settings as safetensors, and which model they belong to."""
        import torch

        moments = {"mean": torch.from_numpy(self.mean), "scale": torch.from_numpy(self.scale)}
        facts = {
            "classes": logistic.classes(self.classifier),
            "choice": asdict(self.choice),
            "model": self.states.identity,
        }
        save_tensors(path, moments | logistic.numbers(self.classifier), facts)

    @classmethod
    def load(cls, path: Path, states: HiddenStates) -> Self:
        """Read what `save` wrote.

        Args:
            path: the file.
            states: of the language model that it was trained on.

        Raises:
            ValueError: the file holds another scorer, or one trained on another model.
        """
        tensors, facts = load_tensors(path)
        if tensors.keys() != NUMBERS or not {"classes", "choice", "model"} <= facts.keys():
            raise ValueError(
                f"{path} holds no scorer of hidden states: train it by `language scorer --kind "
                "hidden`"
            )
        if facts["model"] != states.identity:
            raise ValueError(
                f"{path} was trained on the hidden states of another model than {states.folder}: "
                "pass that model's folder, or train it again by `language scorer --kind hidden`"
            )
        choice = Choice(**facts["choice"])
        classifier = logistic.restore(facts["classes"], tensors, path)
        return cls(states, choice, tensors["mean"].numpy(), tensors["scale"].numpy(), classifier)


def _moments(vectors: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and standard deviation of each feature; 1 for that of a constant one."""
    deviation = vectors.std(0)
    return vectors.mean(0), np.where(deviation > 0, deviation, 1.0)


def _chosen(tried: Mapping[Choice, float], count: int) -> Choice:
    """Choose the fewest blocks by the one-standard-error rule (Breiman et al. 1984), then accuracy.

    Settings within a standard error of the best cannot be told apart on so few sentences, and an
    earlier layer costs less with every text that is scored.

    Args:
        tried: the accuracy of each setting.
        count: sentences that it was found on.
    """
    best = max(tried.values())
    close = best - sqrt(best * (1 - best) / count)
    layer = min(choice.layer for choice, found in tried.items() if found >= close)
    return max((choice for choice in tried if choice.layer == layer), key=tried.__getitem__)


def _validated(
    vectors: NDArray[np.float64], labels: Sequence[str], strength: float, folds: int
) -> float:
    """Return the share of texts whose label is found by a classifier of the other folds' texts."""
    with extra("language"):
        from sklearn.model_selection import RepeatedStratifiedKFold

    true, right = np.array(labels), 0
    splits = RepeatedStratifiedKFold(n_splits=folds, n_repeats=REPEATS, random_state=0)
    for train, held in splits.split(vectors, true):
        mean, scale = _moments(vectors[train])
        classifier = logistic.fit((vectors[train] - mean) / scale, true[train], strength)
        found = logistic.labels(classifier, (vectors[held] - mean) / scale)
        right += int((np.array(found) == true[held]).sum())
    return right / (REPEATS * len(true))
