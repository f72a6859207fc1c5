"""Scorers of the regard of a text: marker words, TF-IDF, or a transformer.

Texts come masked and cut. The scorer on a language model's hidden states is in `hidden`. A scorer
also says in which texts it recognises anything: its labels of the others carry no information.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np

from equitune.compat import extra
from equitune.config import REGARD_LABELS
from equitune.io.files import load_tensors, save_tensors
from equitune.io.names import nearest, show
from equitune.language import logistic
from equitune.language.labels import Shares, check_labels, one_hot
from equitune.language.samples import numbered_lines

if TYPE_CHECKING:
    from torch import Tensor

NUMBERS = {"1": "positive", "0": "neutral", "-1": "negative", "2": "other"}  # of Sheng et al.
BATCH = 64
TOKENS = 512  # of a text at most, where neither tokenizer nor model says


class Scorer(Protocol):
    """A scorer of the regard of texts.

    One that knows the labels' probabilities has a method `probabilities` too, texts to
    (texts, 4) in the order of `REGARD_LABELS`.
    """

    def __call__(self, texts: Sequence[str]) -> list[str]:
        """Return one of `REGARD_LABELS` for each text."""
        ...

    def recognises(self, texts: Sequence[str]) -> list[bool]:
        """Return of each text whether there is anything in it that the scorer goes by."""
        ...


class WordScorer:
    """Knows the words that tell: positive or negative ones only, both (other), or neither.

    Args:
        positive: words in small letters.
        negative: words in small letters.
        known: all words of the sentences that it is made for. A text without a positive or
            negative word counts as recognised, and so as neutral by knowledge, if it has no
            other words than these.
    """

    def __init__(
        self, positive: Collection[str], negative: Collection[str], known: Collection[str] = ()
    ) -> None:
        """Store the words."""
        self.positive, self.negative = frozenset(positive), frozenset(negative)
        self.known = frozenset(known)

    def __call__(self, texts: Sequence[str]) -> list[str]:
        """Return one of `REGARD_LABELS` for each text."""
        names = {(1, 0): "positive", (0, 1): "negative", (1, 1): "other", (0, 0): "neutral"}
        found = map(_words, texts)
        return [names[bool(w & self.positive), bool(w & self.negative)] for w in found]

    def recognises(self, texts: Sequence[str]) -> list[bool]:
        """Return of each text whether it has a marker word, or else only words that are known."""
        marked = self.positive | self.negative
        return [bool(w) and (bool(w & marked) or w <= self.known) for w in map(_words, texts)]


class TfidfScorer:
    """TF-IDF of words and their parts, and multinomial logistic regression.

    The settings were chosen by accuracy on the dev part and by cross-validation on the training
    part (docs/language.md has both); the test part played no role.
    """

    # letters of words, so that unseen forms of a word count too
    TFIDF: Mapping[str, Any] = {"analyzer": "char_wb", "ngram_range": (2, 5), "sublinear_tf": True}
    STRENGTH = 10.0  # inverse of the regularization

    def __init__(self, vectorizer: Any, classifier: Any) -> None:
        """Store the fitted parts; `fit` and `load` make them."""
        self.vectorizer, self.classifier = vectorizer, classifier

    @classmethod
    def fit(cls, texts: Sequence[str], labels: Sequence[str]) -> Self:
        """Learn from labelled texts.

        Raises:
            ValueError: a label is not one of `REGARD_LABELS`.
        """
        with extra("language"):
            from sklearn.feature_extraction.text import TfidfVectorizer

        vectorizer = TfidfVectorizer(**cls.TFIDF)
        vectors = vectorizer.fit_transform(texts)
        return cls(vectorizer, logistic.fit(vectors, labels, cls.STRENGTH))

    def __call__(self, texts: Sequence[str]) -> list[str]:
        """Return one of `REGARD_LABELS` for each text."""
        if not len(texts):
            return []
        return logistic.labels(self.classifier, self.vectorizer.transform(texts))

    def probabilities(self, texts: Sequence[str]) -> Shares:
        """Return the labels' probabilities, (texts, 4); 0 for a label it has not learnt."""
        if not len(texts):
            return one_hot([])
        return logistic.shares(self.classifier, self.vectorizer.transform(texts))

    def recognises(self, texts: Sequence[str]) -> list[bool]:
        """Return of each text whether it has any of the pieces of words that were learnt."""
        if not len(texts):
            return []
        found = self.vectorizer.transform(texts).getnnz(axis=1)
        return [bool(number) for number in found]

    def save(self, path: Path) -> None:
        """Write vocabulary and numbers as safetensors: nothing that is loaded can run code."""
        import torch

        words = sorted(self.vectorizer.vocabulary_, key=self.vectorizer.vocabulary_.__getitem__)
        idf = torch.from_numpy(np.array(self.vectorizer.idf_))
        facts = {
            "words": words,
            "classes": logistic.classes(self.classifier),
            "tfidf": _plain(self.TFIDF),
        }
        save_tensors(path, {"idf": idf, **logistic.numbers(self.classifier)}, facts)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            ValueError: the file is not a scorer, or one of other settings.
        """
        with extra("language"):
            from sklearn.feature_extraction.text import TfidfVectorizer

        tensors, facts = load_tensors(path)
        if {"idf", *logistic.NUMBERS} != tensors.keys() or not {
            "words",
            "classes",
            "tfidf",
        } <= facts.keys():
            raise ValueError(f"{path} holds no TF-IDF scorer: train it by `language scorer`")
        if facts["tfidf"] != _plain(cls.TFIDF):  # its numbers would mean something else
            raise ValueError(
                f"{path} was trained with {facts['tfidf']}, expected {_plain(cls.TFIDF)}: train it "
                "again by `language scorer`"
            )
        classifier = logistic.restore(facts["classes"], tensors, path)
        words = {word: place for place, word in enumerate(facts["words"])}
        vectorizer = TfidfVectorizer(vocabulary=words, **cls.TFIDF)
        vectorizer.idf_ = tensors["idf"].numpy()
        return cls(vectorizer, classifier)


class TransformerScorer:
    """A text classifier of Hugging Face, in a folder.

    Args:
        folder: config, tokenizer and safetensors.
        labels: what the model's labels mean, where they are not called as `REGARD_LABELS` are.
        device: a torch device.

    Raises:
        ValueError: the folder holds no classifier, or one of labels that are not known.
    """

    def __init__(
        self, folder: Path, labels: Mapping[str, str] | None = None, device: Any = "cpu"
    ) -> None:
        """Load the classifier."""
        from equitune.language.words import load_tokenizer

        with extra("language"):
            from transformers import AutoModelForSequenceClassification
            from transformers.utils import logging as messages

        messages.disable_progress_bar()
        if not (folder / "config.json").is_file():  # a name would be asked for on the hub
            raise ValueError(f"{folder} holds no text classifier: it has no config.json")
        try:
            model, notes = AutoModelForSequenceClassification.from_pretrained(
                folder,
                use_safetensors=True,
                trust_remote_code=False,  # else it would ask whether to run code in the folder
                output_loading_info=True,
            )
        except Exception as error:  # whatever a missing or damaged file makes of it
            reason = " ".join(str(error).split())[:200]
            raise ValueError(f"{folder} holds no text classifier ({reason})") from error
        if missing := sorted(notes["missing_keys"]):  # transformers puts random numbers there
            raise ValueError(f"{folder} holds no text classifier: {', '.join(missing)} missing")
        self.tokenizer = load_tokenizer(str(folder))
        self.model = model.to(device).eval()
        self.names = _meanings(model.config.id2label, labels or {}, folder)
        positions = getattr(model.config, "max_position_embeddings", None)
        # a tokenizer may not say what its model reads at most
        self.longest = min(self.tokenizer.model_max_length, positions or TOKENS)

    def __call__(self, texts: Sequence[str]) -> list[str]:
        """Return one of `REGARD_LABELS` for each text."""
        return [self.names[int(row.argmax())] for row in self._logits(texts)]

    def probabilities(self, texts: Sequence[str]) -> Shares:
        """Return the labels' probabilities, (texts, 4): softmax of the logits in float64."""
        shares = np.zeros((len(texts), len(REGARD_LABELS)))
        for place, row in enumerate(self._logits(texts)):
            for number, share in enumerate(row.double().softmax(-1).tolist()):
                shares[place, REGARD_LABELS.index(self.names[number])] += share
        return shares

    def recognises(self, texts: Sequence[str]) -> list[bool]:
        """Return True for each text: a classifier reads whatever there is."""
        return [True] * len(texts)

    def _logits(self, texts: Sequence[str]) -> list[Tensor]:
        """Return each text's logits, (labels,); their last bits depend on the batch."""
        import torch

        found: list[Tensor] = [torch.empty(0)] * len(texts)
        order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
        for start in range(0, len(order), BATCH):
            places = order[start : start + BATCH]
            batch = self.tokenizer(
                [texts[place] for place in places],
                padding=True,
                truncation=True,
                max_length=self.longest,
                return_tensors="pt",
            )
            with torch.inference_mode():
                logits = self.model(**batch.to(self.model.device)).logits
            for place, row in zip(places, logits.cpu(), strict=True):
                found[place] = row
        return found


def _words(text: str) -> set[str]:
    """Return the words of a text in small letters."""
    return set(re.findall(r"[a-z]+", text.lower()))


def _plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as JSON gives them back."""
    return {key: list(x) if isinstance(x, tuple) else x for key, x in settings.items()}


def _meanings(found: Mapping[int, str], labels: Mapping[str, str], folder: Path) -> dict[int, str]:
    """What each of a classifier's numbers means."""
    if foreign := [name for name in labels if name not in found.values()]:
        raise ValueError(
            f"labels: {show(foreign[0])} is not a label of {folder}: expected one of "
            f"{', '.join(found.values())}"
        )
    names = {number: labels.get(name, name.lower()) for number, name in found.items()}
    if unknown := [found[number] for number, name in names.items() if name not in REGARD_LABELS]:
        raise ValueError(
            f"{folder} has the labels {', '.join(unknown)}: say which of "
            f"{', '.join(REGARD_LABELS)} each means, as labels: {{{unknown[0]}: negative, …}}"
        )
    return names


def read_regard(path: Path) -> tuple[list[str], list[str]]:
    """Read the labelled sentences of Sheng et al. (2019): number, tab, text.

    Returns:
        Texts and labels.

    Raises:
        ValueError: broken UTF-8, a line of another form or number, or none at all.
    """
    texts, labels = [], []
    for number, line in numbered_lines(path):
        regard, tab, text = line.partition("\t")
        if not tab:
            raise ValueError(f"{path}, line {number}: expected a number, a tab and a text")
        if regard not in NUMBERS:
            known = nearest(regard, NUMBERS)
            raise ValueError(f"{path}, line {number}: unknown regard {show(regard)}{known}")
        texts.append(text)
        labels.append(NUMBERS[regard])
    if not texts:
        raise ValueError(f"{path} is empty: expected labelled sentences")
    return texts, labels


def accuracy(scorer: Scorer, texts: Sequence[str], labels: Sequence[str]) -> float:
    """Return the share of texts that a scorer labels as they are labelled.

    Raises:
        ValueError: a label, of either, is not one of `REGARD_LABELS`.
    """
    pairs = list(zip(scorer(texts), labels, strict=True))
    check_labels(label for pair in pairs for label in pair)
    return sum(found == true for found, true in pairs) / len(pairs)
