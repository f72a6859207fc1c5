"""The words that a model of the generated corpus knows: those of its sentences, and pronouns."""

import re
from collections.abc import Iterable

from equitune.io.names import show
from equitune.language.corpus import CORPUS, Corpus
from equitune.language.lexicon import Lexicon
from equitune.language.prompts import Prompt

WORD = re.compile(r" [^ \n.]+")  # with its blank, as the tokens of tokenizer.py


def unsaid(corpus: Corpus, lines: Iterable[str]) -> list[str]:
    """Return the pronouns of a corpus that no line of a text has, each with its blank.

    Which phrases are drawn depends on the last words of the contexts, and only some have "he". A
    lexicon that names it has to find its token all the same.
    """
    missing = _pronouns(corpus)
    for line in lines:
        if not missing:
            break
        missing.difference_update(WORD.findall(line))
    return sorted(missing)


def check_known(corpus: Corpus, prompts: Iterable[Prompt], lexicon: Lexicon) -> None:
    """Check that a lexicon's words are among those that sentences of prompts are made of.

    Raises:
        ValueError: one is not; the others are counted.
    """
    prompts = list(prompts)
    known = _pronouns(corpus).union(*(WORD.findall(prompt.text) for prompt in prompts))
    for phrases in map(corpus.phrases_of, prompts):
        joined = " ".join(["", corpus.mixed, *(x for several in phrases.values() for x in several)])
        known.update(WORD.findall(joined))
    words = [word for pair in lexicon.equality for word in pair] + [*lexicon.general]
    if missing := [word for word in words if f" {word}" not in known]:
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        raise ValueError(
            f"lexicon {lexicon.name}: {show(missing[0])}{more} is not a word of the generated "
            f"corpus: name a lexicon without it, or add it to prompts or to phrases of {CORPUS}"
        )


def _pronouns(corpus: Corpus) -> set[str]:
    return {f" {word}" for forms in corpus.pronouns.values() for word in forms.values()}
