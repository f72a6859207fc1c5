"""The symmetric scorer is the plain loop's mean, and gives all images of a text one label."""

import itertools
import re
import zlib

import numpy as np
import pytest

from equitune.config import REGARD_LABELS as LABELS
from equitune.language.lexicon import Lexicon, read_lexicon
from equitune.language.regard import TfidfScorer, WordScorer
from equitune.language.symmetric import SymmetricScorer, probabilities

GENDER = Lexicon("gender", ("man", "woman"), (("man", "woman"), ("king", "queen")), ("his",))
RELIGION = read_lexicon("religion")
TEXTS = [
    "XYZ was known for a man, a king and the queen's man.",
    "XYZ met no woman (man). Manhood of a mankind, man-made",
    "XYZ is kind.",
    "",
]
FAITHS = ["XYZ saw a church and a mosque of Jewish Christians.", "XYZ read the Torah, no Bible."]


def by_hand(text, lexicon, forms=False):
    """The images of a text, word by word: e, g, g² …"""
    becomes = {}
    for words in lexicon.equality:
        for word, following in zip(words, (*words[1:], words[0]), strict=True):
            becomes[word] = following
            if forms:
                becomes[word.capitalize()] = following.capitalize()
    images = [text]
    for _ in range(lexicon.order - 1):
        parts = re.split(r"([A-Za-z]+)", images[-1])
        for place in range(1, len(parts), 2):
            if forms or parts[place - 1].endswith(" "):
                parts[place] = becomes.get(parts[place], parts[place])
        images.append("".join(parts))
    return images


def number(text):
    return zlib.crc32(text.encode())


class Labels:
    """A scorer without any symmetry, which gives labels only."""

    def __call__(self, texts):
        return [LABELS[number(text) % 4] for text in texts]

    def recognises(self, texts):
        return [number(text) % 3 > 0 for text in texts]


class Shares(Labels):
    """The same with probabilities, whose last bits differ from batch to batch."""

    def probabilities(self, texts):
        rows = [np.random.default_rng(number(text)).dirichlet([1] * 4) for text in texts]
        rounding = np.random.default_rng(len(texts)).random((len(texts), 4)) * 1e-15
        return np.array(rows) + rounding


@pytest.mark.parametrize("forms", [False, True])
@pytest.mark.parametrize(
    ("lexicon", "texts"), [(GENDER, TEXTS), (RELIGION, FAITHS)], ids=["order 2", "order 3"]
)
@pytest.mark.parametrize("scorer", [Labels(), Shares()], ids=["labels", "probabilities"])
def test_probabilities_are_the_mean_over_the_images_of_a_text(scorer, lexicon, texts, forms):
    found = SymmetricScorer(scorer, lexicon, forms).probabilities(texts)
    for text, row in zip(texts, found, strict=True):
        images = by_hand(text, lexicon, forms)
        total = np.zeros(4)
        for image in images:
            total += probabilities(scorer, [image])[0]
        np.testing.assert_allclose(row, total / lexicon.order, rtol=0, atol=1e-9)


@pytest.mark.parametrize("scorer", [Labels(), Shares()], ids=["labels", "probabilities"])
def test_all_images_of_a_text_have_the_same_bits_and_so_the_same_label(scorer):
    words = [word for several in RELIGION.equality for word in several]
    texts = [f"XYZ saw {' and '.join(pair)}." for pair in itertools.permutations(words, 2)]
    images = [by_hand(text, RELIGION) for text in texts]
    assert len({image for several in images for image in several}) == len(texts)
    symmetric = SymmetricScorer(scorer, RELIGION)
    found = symmetric.probabilities([image for several in images for image in several])
    rows = found.reshape(len(texts), 3, 4)
    assert (rows == rows[:, :1]).all()
    labels = np.array(symmetric([image for several in images for image in several]))
    assert (labels.reshape(-1, 3) == labels.reshape(-1, 3)[:, :1]).all()
    plain = np.array(scorer([image for several in images for image in several])).reshape(-1, 3)
    assert (plain != plain[:, :1]).any()


def test_whole_words_move_as_the_tokens_of_a_lexicon_do():
    symmetric = SymmetricScorer(Labels(), GENDER)
    assert symmetric.cut("a man's mankind, (man) Man man") == [
        "a ",
        "man",
        "'s mankind, (man) Man ",
        "man",
        "",
    ]
    forms = SymmetricScorer(Labels(), GENDER, forms=True)
    assert forms.cut("Man (man) manly")[1::2] == ["Man", "man"]
    assert all("".join(symmetric.cut(text)) == text for text in TEXTS)


def test_pieces_say_what_moves_where_tokens_are_not_whole_words():
    seen = []

    class Spy(Labels):
        def __call__(self, texts):
            seen.extend(texts)
            return super().__call__(texts)

    symmetric = SymmetricScorer(Spy(), GENDER)
    symmetric.probabilities([("a ", "man", "ly man")])
    assert set(seen) == {"a manly man", "a womanly man"}
    with pytest.raises(
        ValueError, match="'boy' moves in a text but not by the lexicon gender: pass"
    ):
        symmetric.probabilities([("a ", "boy", "")])


def test_each_image_is_prepared_before_it_is_read():
    symmetric = SymmetricScorer(WordScorer(["queen"], ["king"]), GENDER)
    assert symmetric.probabilities(["a king, queen"]).tolist() == [[0, 0, 0, 1]]
    cut = symmetric.probabilities(["a king, queen"], lambda text: text.split(",")[0])
    assert cut.tolist() == [[0.5, 0, 0.5, 0]]


def test_a_scorer_that_knows_no_word_of_the_lexicon_is_symmetric_as_it_is():
    scorer = WordScorer(["kind"], ["cruel"])
    texts = ["a kind man", "a cruel king", "kind and cruel", "a woman"]
    assert SymmetricScorer(scorer, GENDER)(texts) == scorer(texts)
    assert SymmetricScorer(scorer, GENDER)([]) == []


def test_something_is_recognised_where_it_is_in_any_image():
    symmetric = SymmetricScorer(WordScorer(["queen"], []), GENDER)
    assert symmetric.recognises(["a queen", "a king", "a man"]) == [True, True, False]
    assert symmetric.recognises([]) == []


def test_the_learnt_scorer_is_averaged_by_its_probabilities():
    texts = ["a kind man", "a cruel woman", "a kind king", "a cruel queen"]
    scorer = TfidfScorer.fit(texts, ["positive", "negative"] * 2)
    shares = scorer.probabilities(["a man", "a woman"])
    assert shares[0, 0] > 0.5 > shares[1, 0]
    assert (shares[:, [1, 3]] == 0).all()
    found = SymmetricScorer(scorer, GENDER).probabilities(["a man", "a woman"])
    np.testing.assert_allclose(found, [shares.mean(0)] * 2, atol=1e-9)
    assert (found[0] == found[1]).all()


def test_an_unknown_label_of_a_scorer_is_named():
    class Wrong(Labels):
        def __call__(self, texts):
            return ["good"] * len(texts)

    with pytest.raises(ValueError, match="unknown label 'good': expected one of positive, neutral"):
        SymmetricScorer(Wrong(), GENDER)(["a man"])
