"""Names that somebody misspelt: the end of an error message; knows nothing of what they name."""

import difflib
from collections.abc import Iterable


def nearest(word: str, known: Iterable[str]) -> str:
    """Return the end of a message about an unknown name: the most similar known ones, or all.

    Args:
        word: what was written.
        known: what could have been meant.
    """
    known = list(known)
    close = difflib.get_close_matches(word, known, n=2, cutoff=0.5)
    if close:
        return f"; did you mean {' or '.join(repr(name) for name in close)}?"
    return f"; expected one of {', '.join(known)}" if known else "; nothing is known there"
