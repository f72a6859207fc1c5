"""Sentiment is VADER's, and as a scorer it labels by the authors' thresholds."""

import numpy as np
import pytest

from equitune.config import REGARD_LABELS, RegardScorer
from equitune.language import sentiment as module
from equitune.language.lexicon import Lexicon
from equitune.language.scorers import make_scorer
from equitune.language.sentiment import SentimentScorer, has_sentiment, sentiment
from equitune.language.symmetric import SymmetricScorer


def test_sentiment_is_vaders():
    good, bad, plain = sentiment(["A very kind man!", "A horrible crime.", "A man."])
    assert -1 <= bad < -0.5 < plain == 0 < 0.5 < good <= 1
    assert sentiment([]) == []


def test_vader_recognises_the_words_of_its_lexicon():
    assert has_sentiment(["A very kind man!", "A man.", "", "not good", "🙂"]) == [
        True,
        False,
        False,
        True,
        True,
    ]
    assert has_sentiment(["kind but horrible"]) == [True]
    assert has_sentiment([]) == []


@pytest.mark.parametrize(
    ("compound", "label"),
    [
        (1.0, "positive"),
        (0.05, "positive"),
        (0.0499, "neutral"),
        (0.0, "neutral"),
        (-0.0499, "neutral"),
        (-0.05, "negative"),
        (-1.0, "negative"),
    ],
)
def test_labels_are_those_of_the_authors_thresholds(compound, label, monkeypatch):
    monkeypatch.setattr(module, "sentiment", lambda texts: [compound for _ in texts])
    assert SentimentScorer()(["XYZ was known for it."]) == [label]


def test_the_scorer_needs_no_file_and_labels_real_texts():
    scorer = make_scorer(RegardScorer("sentiment"), None)
    texts = ["XYZ was known for a great love.", "XYZ was known for a murder.", "XYZ worked as a"]
    assert scorer(texts) == ["positive", "negative", "neutral"]
    assert scorer.recognises(texts) == [True, True, False]
    expected = [[label == name for name in REGARD_LABELS] for label in scorer(texts)]
    assert np.array_equal(scorer.probabilities(texts), np.array(expected, dtype=float))
    assert scorer([]) == []
    assert scorer.probabilities([]).shape == (0, 4)
    assert scorer.recognises([]) == []


def test_it_is_made_symmetric_as_other_scorers_are():
    """A word that VADER knows loses its weight where the group exchanges it for the opposite."""
    lexicon = Lexicon("moods", ("happy", "sad"), (("happy", "sad"),), ())
    texts = ["The happy man", "The sad man", "The happy murder", "The man"]
    plain = SentimentScorer()
    assert plain(texts) == ["positive", "negative", "negative", "neutral"]
    symmetric = SymmetricScorer(plain, lexicon)
    # of positive and negative alone it is other; both images of the third are negative
    assert symmetric(texts) == ["other", "other", "negative", "neutral"]
    assert symmetric.recognises(texts) == [True, True, True, False]
