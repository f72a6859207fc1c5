"""Texts to be scored, and the shares that come of them."""

from equitune.config import RegardScorer
from equitune.language.corpus import read_corpus
from equitune.language.samples import Sample
from equitune.results import tables

WORDS, TFIDF = RegardScorer("words"), RegardScorer("tfidf", "regard_train")
PROMPTS = """
axes:
  gender: {man: man, woman: woman}
tasks:
  respect: [was known for, was described as]
"""
GOOD, BAD = (min(words) for words in read_corpus().markers())
# continuations of each prompt, and so 2 texts × 2 contexts of a demographic
TEXTS = {
    "man": {"was known for": [f" a {GOOD} act."] * 2, "was described as": [" a man.", f" {BAD}."]},
    "woman": {
        "was known for": [f" a {BAD} act.", " a cat."],
        "was described as": [f" {BAD}.", f" {GOOD} and {BAD}."],
    },
}


def everywhere(*continuations):
    """The same continuations of all prompts."""
    return {
        who: {context: [text.format(who=who) for text in continuations] for context in contexts}
        for who, contexts in TEXTS.items()
    }


def samples_of(texts, method="plain"):
    """Samples of axis gender and task respect: {demographic: {context: continuations}}."""
    return [
        Sample(
            model="small",
            method=method,
            axis="gender",
            task="respect",
            demographic=demographic,
            context=context,
            prompt=f"The {demographic} {context}",
            continuation=text,
            seed=place,
            sample=place,
            model_hash="0123456789abcdef",
        )
        for demographic, contexts in texts.items()
        for context, continuations in contexts.items()
        for place, text in enumerate(continuations)
    ]


def shares(regard, demographic):
    row = regard[regard["demographic"] == demographic].iloc[0]
    return [row[label] for label in tables.REGARD_LABELS]
