"""What somebody wrote wrong, as error messages show it."""

import difflib
import reprlib
from collections.abc import Iterable
from typing import Any

LONGEST = 100  # letters of a name that is looked up; comparing longer ones takes too long
LISTED = 20  # names in a message
SHORT = 200  # letters of a value in a message
RENAMED = {"gpt2": "plain"}  # methods, as version 0.1.0 called them and as they are called now

_repr = reprlib.Repr()
_repr.maxlevel, _repr.maxstring, _repr.maxother = 3, 60, 60


def nearest(word: str, known: Iterable[str]) -> str:
    """Return the end of a message about an unknown name: the most similar known ones, or all.

    Args:
        word: what was written.
        known: what could have been meant.
    """
    known = list(known)
    if RENAMED.get(word) in known:
        return f"; it is called {RENAMED[word]!r} now"
    sought = [name for name in known if len(name) <= LONGEST and len(word) <= LONGEST]
    close = difflib.get_close_matches(word, sought, n=2, cutoff=0.5)
    if close:
        return f"; did you mean {' or '.join(repr(name) for name in close)}?"
    more = ", …" if len(known) > LISTED else ""
    listed = ", ".join(shorten(name, LONGEST) for name in known[:LISTED])
    return f"; expected one of {listed}{more}" if known else "; nothing is known there"


def show(value: Any) -> str:
    """Return any value of a file on one short line."""
    try:
        return shorten(_repr.repr(value), SHORT)
    except ValueError:  # Python writes out no whole number of more than 4 300 digits
        return "a number of thousands of digits"


def shorten(text: str, length: int) -> str:
    """Return a text, its end left out where it is longer than this many letters."""
    return text if len(text) <= length else f"{text[: length - 1]}…"
