"""The group of a lexicon among the tokens of a language model.

Every word has to be one token as it stands in running text, with its leading space as in GPT-2: of
a word of several tokens the first alone would be moved, and what moves would be no permutation.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from equitune.actions import TokenPermutation
from equitune.compat import extra
from equitune.io.names import SHORT, shorten, show
from equitune.io.places import has_tokenizer, looked_at
from equitune.language.lexicon import Lexicon

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

PADDED = 512  # models round their vocabulary up to a multiple of up to this many, for speed
CHECK = "equitune language lexicon check FILE --tokenizer NAME"
FORMS: dict[str, Callable[[str], str]] = {
    "": lambda word: f" {word}",
    "capitalised": lambda word: f" {word[:1].upper()}{word[1:]}",
    "opening a sentence": lambda word: f"{word[:1].upper()}{word[1:]}",
    "without its space": lambda word: word,
}
# what stands before a word in running text: before its space, and where it has none
OPENINGS = {True: ("the", "."), False: ("\n", "(", '"')}


DESCRIBING = ("config.json", "tokenizer.json", "tokenizer_config.json")  # files of a tokenizer


@dataclass(frozen=True)
class Problem:
    """A word that is not one token of its own.

    Attributes:
        word: as the lexicon has it.
        place: where it stands, and in which form if not the plain one with its leading space.
        pieces: the tokens that the tokenizer makes of it.
        advice: what is wrong, and what to do.
    """

    word: str
    place: str
    pieces: tuple[str, ...]
    advice: str

    def __str__(self) -> str:
        """Say it in one line."""
        pieces = shorten(" + ".join(map(repr, self.pieces)), SHORT) or "nothing"
        return f"{show(self.word)} ({shorten(self.place, SHORT)}) is {pieces}: {self.advice}"


@dataclass(frozen=True)
class LexiconTokens:
    """A lexicon among the tokens of a model.

    Attributes:
        action: of the cyclic group of order d on ids; 1 sends each word of a tuple to the next.
        general: ids of the general words.
        skipped: for each tuple, general word or form that was left out, the words that are why.
    """

    action: TokenPermutation
    general: tuple[int, ...]
    skipped: tuple[Problem, ...]


def problems(
    lexicon: Lexicon, tokenizer: PreTrainedTokenizerBase, forms: bool = False
) -> list[Problem]:
    """Return the words that keep a lexicon from permuting tokens; none where all is well.

    Each word must be one token with its leading space, as it stands in running text, neither
    special nor unknown, and no token may stand twice.

    Args:
        lexicon: the words.
        tokenizer: of the model.
        forms: as `words_on`; a form of several tokens is left out and is not reported.
    """
    return _Reading(lexicon, tokenizer, forms, skip=False).problems


def check_size(tokenizer: PreTrainedTokenizerBase, size: int) -> None:
    """Check that a model of this many token ids goes with a tokenizer.

    Raises:
        ValueError: it has fewer, or many more than padding would make.
    """
    known = len(tokenizer)  # ids, added ones included
    if not known <= size < known + PADDED:
        raise ValueError(
            f"the model has {size} ids, the tokenizer {known}: load both from one folder"
        )


def words_on(
    lexicon: Lexicon,
    tokenizer: PreTrainedTokenizerBase,
    size: int | None = None,
    *,
    forms: bool = False,
    skip_multi_token: bool = False,
) -> LexiconTokens:
    """Return the group of a lexicon, acting on token ids.

    Args:
        lexicon: the words.
        tokenizer: of the model.
        size: the model's vocabulary, by default the tokenizer's.
        forms: move each tuple's capitalised form, and both forms without the leading space, as
            tuples of their own, wherever all words of the tuple are single tokens in that form.
        skip_multi_token: leave out tuples and general words with a word that is not one token;
            the demographics cannot be left out.

    Raises:
        ValueError: a word is not one token of its own, or model and tokenizer do not fit.
    """
    size = len(tokenizer) if size is None else size
    check_size(tokenizer, size)
    reading = _Reading(lexicon, tokenizer, forms, skip_multi_token)
    if reading.problems:
        first, *others = reading.problems
        more = f" (and {len(others)} more)" if others else ""
        raise ValueError(f"lexicon {lexicon.name}: {first}{more}; {CHECK} lists all")
    image = torch.arange(size)
    for tokens in reading.tuples:
        ids = torch.tensor(tokens)
        image[ids] = ids.roll(-1)
    action = TokenPermutation.generated_by(image, lexicon.order)
    return LexiconTokens(action, tuple(reading.general), tuple(reading.skipped))


def report(
    lexicon: Lexicon,
    tokenizer: PreTrainedTokenizerBase,
    size: int | None = None,
    *,
    forms: bool = False,
    skip_multi_token: bool = False,
) -> str:
    """Return what a person should know of a lexicon on a tokenizer; arguments as `words_on`.

    Either a line for each offending word, or one for each that was left out and then the size of
    the permutation.
    """
    reading = _Reading(lexicon, tokenizer, forms, skip_multi_token)
    if reading.problems:
        return "\n".join(map(str, reading.problems))
    found = words_on(lexicon, tokenizer, size, forms=forms, skip_multi_token=skip_multi_token)
    count = len(reading.tuples)
    summary = (
        f"{count} tuple{'s' if count > 1 else ''} of {lexicon.order} words, order {lexicon.order}, "
        f"a permutation of {found.action.size} tokens that moves {count * lexicon.order}"
    )
    return "\n".join([*(f"left out: {problem}" for problem in found.skipped), summary])


def check_words_on(
    lexicon: Lexicon,
    tokenizer: PreTrainedTokenizerBase,
    *,
    forms: bool = False,
    skip_multi_token: bool = False,
) -> None:
    """Check, once `report` was read, that a lexicon permutes tokens; arguments as `words_on`.

    Raises:
        ValueError: it does not; the number of words is named, and nothing that the report has said.
    """
    count = len(_Reading(lexicon, tokenizer, forms, skip_multi_token).problems)
    if count:
        words = "1 word does" if count == 1 else f"{count} words do"
        raise ValueError(f"lexicon {lexicon.name}: {words} not fit the tokenizer")


class _Reading:
    """The tokens of a lexicon, place by place.

    Attributes:
        tuples: ids of each tuple that moves.
        general: ids of the general words.
        problems: what stands in the way.
        skipped: what was left out.
    """

    def __init__(
        self, lexicon: Lexicon, tokenizer: PreTrainedTokenizerBase, forms: bool, skip: bool
    ) -> None:
        """Find the tokens of all words: first as they are, then, if asked, in their other forms."""
        self.tokenizer, self.skip = tokenizer, skip
        self.special = set(tokenizer.all_special_ids)
        self.tuples: list[tuple[int, ...]] = []
        self.general: list[int] = []
        self.problems: list[Problem] = []
        self.skipped: list[Problem] = []
        self._tried: set[tuple[str, ...]] = set()
        self._owners: dict[int, str] = {}  # what each token in use stands for
        entries = [("demographics", lexicon.demographics)]
        entries += [(f"equality ({', '.join(words)})", words) for words in lexicon.equality[1:]]
        entries += [("general", (word,)) for word in lexicon.general]
        # all words before any form: of " Man" the word Man of another tuple is the owner
        entries = [entry for entry in entries if self._add(*entry, form="")]
        for form in FORMS if forms else ():
            for entry in entries:
                self._add(*entry, form=form)

    def _add(self, place: str, words: tuple[str, ...], form: str) -> bool:
        """Take up a tuple, or one general word, in a form; return whether it stands there now."""
        texts = tuple(FORMS[form](word) for word in words)
        if texts in self._tried:
            return True  # " Black" capitalised is itself
        self._tried.add(texts)
        rows = [self._tokens(text) for text in texts]
        where = f"{place}, {form}" if form else place
        faults = {
            word: row
            for word, row in zip(words, rows, strict=True)
            if len(row) != 1 or row[0] in self.special
        }
        if faults:
            left_out = bool(form) or (self.skip and place != "demographics")
            found = [
                self._problem(word, where, row, self._advice(place, row, bool(form)))
                for word, row in faults.items()
            ]
            (self.skipped if left_out else self.problems).extend(found)
            return False
        ids = tuple(row[0] for row in rows)
        if ids in self.tuples or (place == "general" and ids[0] in self.general):
            return True  # a tokenizer may see no difference between two forms
        clashes = 0
        for word, text, index in zip(words, texts, ids, strict=True):
            if owner := self._owners.get(index):
                advice = f"that is the token of {owner} too: name one of the two words only"
                self.problems.append(self._problem(word, where, [index], advice))
                clashes += 1
            self._owners.setdefault(index, f"{text!r} in {where}")
        if clashes:
            return False
        if place == "general":
            self.general += ids
        else:
            self.tuples.append(ids)
        return True

    def _tokens(self, text: str) -> list[int]:
        """Return the tokens of a word where it stands in running text.

        At the beginning of a text tokenizers of Llama 2's kind put a space of their own, which is
        a token by itself where the word has one too. So the word is read behind something else.
        """
        for opening in OPENINGS[text.startswith(" ")]:
            before, whole = self._encode(opening), self._encode(opening + text)
            if len(whole) > len(before) and whole[: len(before)] == before:
                return whole[len(before) :]
        return self._encode(text)

    def _encode(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=False)
        return ids

    def _problem(self, word: str, where: str, row: list[int], advice: str) -> Problem:
        return Problem(word, where, tuple(self.tokenizer.convert_ids_to_tokens(row)), advice)

    def _advice(self, place: str, row: list[int], form: bool) -> str:
        """Return what is wrong with a word of these tokens, and what is to be done about it."""
        unknown = self.tokenizer.unk_token_id
        # GPT-2 has one token for all special purposes
        foreign = unknown in row and unknown != self.tokenizer.eos_token_id
        wrong = "not known to the tokenizer" if foreign else "not one token of its own"
        if form:
            return f"{wrong}: this form stays as it is"
        if place == "demographics":
            return f"{wrong}: choose other demographics, or another tokenizer"
        if self.skip:
            return wrong
        return f"{wrong}: choose another word, or leave it out, as skip_multi_token does"


def load_tokenizer(name: str) -> PreTrainedTokenizerBase:
    """Load a tokenizer.

    Args:
        name: a folder, also one with GPT-2's vocab.json and merges.txt only, or an id of the
            Hugging Face hub whose files were downloaded before: the hub is not asked.

    Raises:
        ValueError: it cannot be loaded, for whatever reason.
    """
    with extra("language"):
        from transformers import AutoTokenizer, GPT2Tokenizer

    folder = Path(name)
    if folder.is_file():
        raise ValueError(
            f"no tokenizer {name!r}: it is a file: name the folder in which the tokenizer's files "
            f"are{looked_at(folder)}"
        )
    if not folder.is_dir() and not _downloaded(name):
        raise ValueError(
            f"no tokenizer {name!r}: there is no such folder, and no model of the hub of this "
            "name was downloaded: equitune language fetch brings one into a folder"
            f"{looked_at(folder)}"
        )
    files = {file.name for file in folder.iterdir()} if folder.is_dir() else set()
    if folder.is_dir() and not has_tokenizer(files):
        raise ValueError(
            f"no tokenizer {name!r}: the folder has no tokenizer files, as tokenizer.json: save "
            f"the tokenizer there{looked_at(folder)}"
        )
    described = files & {*DESCRIBING}
    bare = {"vocab.json", "merges.txt"} <= files and not described
    try:
        kind = GPT2Tokenizer if bare else AutoTokenizer
        tokenizer: PreTrainedTokenizerBase = kind.from_pretrained(
            name, trust_remote_code=False, local_files_only=True
        )
    except Exception as error:  # whatever a damaged file or a network makes of it
        reason = textwrap.shorten(str(error) or type(error).__name__, 200, placeholder=" …")
        raise ValueError(
            f"no tokenizer {name!r} ({reason}): pass a folder with its files"
        ) from error
    return tokenizer


def _downloaded(name: str) -> bool:
    """Whether the hub's cache on this machine has a file of a tokenizer."""
    with extra("language"):
        from huggingface_hub import try_to_load_from_cache
        from huggingface_hub.errors import HFValidationError

    try:
        found = [try_to_load_from_cache(name, file) for file in DESCRIBING]
    except HFValidationError:  # no id of the hub
        return False
    return any(isinstance(file, str) for file in found)
