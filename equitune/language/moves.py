"""How a lexicon's group moves the words of a text; letters alone, no tokenizer is needed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from equitune.io.names import show
from equitune.language.lexicon import Lexicon

Pieces = Sequence[str]  # what stays, a word that moves, what stays, and so on


class WordMoves:
    """The words of a lexicon where they stand in texts.

    Args:
        lexicon: whose equality words the group exchanges.
        forms: capitalised words, and words without a blank before them, move too.

    Attributes:
        becomes: the next word of each that moves.
    """

    def __init__(self, lexicon: Lexicon, forms: bool = False) -> None:
        """Find what each word becomes."""
        self.order = lexicon.order
        self.becomes = dict[str, str]()
        tuples: list[tuple[str, ...]] = list(lexicon.equality)
        if forms:
            tuples += [tuple(map(_capitalised, words)) for words in lexicon.equality]
        for words in tuples:
            if not self.becomes.keys() & set(words):  # a word before another's form
                self.becomes |= dict(zip(words, (*words[1:], words[0]), strict=True))
        longest_first = sorted(self.becomes, key=len, reverse=True)
        letter, known = r"[^\W\d_]", "|".join(map(re.escape, longest_first))
        before = f"(?<!{letter})" if forms else "(?<= )"  # as the tokens of a lexicon
        self.pattern = re.compile(f"{before}({known})(?!{letter})")

    def cut(self, text: str) -> Pieces:
        """Cut a text at the lexicon's words, whole ones."""
        return self.pattern.split(text)

    def images(self, text: str) -> list[str]:
        """Return a text under each element of the group, itself first."""
        found, pieces = [text], list(self.cut(text))
        for _ in range(self.order - 1):
            pieces[1::2] = [self.becomes[word] for word in pieces[1::2]]
            found.append("".join(pieces))
        return found


def check_moved(lexicon: Lexicon, demographics: Mapping[str, str], forms: bool = False) -> None:
    """Check that a lexicon's group takes the demographics of an axis to each other.

    A group that leaves a prompt as it is makes no model fair on it, and measures no difference.

    Args:
        lexicon: of the axis.
        demographics: of the prompts, as `Prompts.axes` has them.
        forms: as for `WordMoves`.

    Raises:
        ValueError: a demographic is not the image of another.
    """
    first, *others = (f" {phrase}" for phrase in demographics.values())  # a word stands before it
    images = WordMoves(lexicon, forms).images(first)
    missed = [phrase for phrase in others if phrase not in images]
    if not missed:
        return
    if images[1] == first:
        what = f"does not move {show(first[1:])} of the prompts"
    else:
        found = ", ".join(dict.fromkeys(show(image[1:]) for image in images[1:]))
        what = (
            f"moves {show(first[1:])} of the prompts to {found}, and not to {show(missed[0][1:])}"
        )
    raise ValueError(
        f"lexicon {lexicon.name} {what}; its demographics are "
        f"{', '.join(lexicon.demographics)}: name a lexicon that exchanges the demographics of the "
        "prompts"
    )


def _capitalised(word: str) -> str:
    return word[:1].upper() + word[1:]
