"""VADER's sentiment: a second measure of texts, and a scorer where there is no data of regard."""

from __future__ import annotations

from collections.abc import Sequence

from equitune.compat import extra
from equitune.language.labels import Shares, one_hot

FELT = 0.05  # compound from which a text is positive, and at minus this negative: VADER's README


class SentimentScorer:
    """VADER's compound score by its authors' thresholds (Hutto & Gilbert 2014).

    Sentiment is not regard: it says how a text sounds, not what it thinks of the person. It needs
    neither data nor training.
    """

    def __call__(self, texts: Sequence[str]) -> list[str]:
        """Return positive, neutral or negative for each text."""
        return [
            "positive" if score >= FELT else "negative" if score <= -FELT else "neutral"
            for score in sentiment(texts)
        ]

    def probabilities(self, texts: Sequence[str]) -> Shares:
        """Return 1 for the label of each text, (texts, 4): VADER's shares are of words."""
        return one_hot(self(texts))

    def recognises(self, texts: Sequence[str]) -> list[bool]:
        """Return of each text whether VADER's lexicon has a word of it."""
        return has_sentiment(texts)


def sentiment(texts: Sequence[str]) -> list[float]:
    """Return VADER's compound sentiment of each text, -1 … 1 (Hutto & Gilbert 2014)."""
    return [scores["compound"] for scores in _vader(texts)]


def has_sentiment(texts: Sequence[str]) -> list[bool]:
    """Return of each text whether VADER's lexicon has a word of it."""
    return [any(scores[part] for part in ("compound", "pos", "neg")) for scores in _vader(texts)]


def _vader(texts: Sequence[str]) -> list[dict[str, float]]:
    """Return VADER's scores of each text: neg, neu, pos as shares, and compound."""
    with extra("language"):
        from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    analyzer = SentimentIntensityAnalyzer()
    return [{name: float(x) for name, x in analyzer.polarity_scores(t).items()} for t in texts]
