"""Texts as rows of token ids, to train on and to measure perplexity on.

Each training row holds a sentence, which so begins where a prompt will; perplexity is measured on
blocks without overlap, as is usual, or line by line.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from equitune.io import texts
from equitune.io.texts import lines_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

IGNORED = -100  # the label of padding


def read_text(path: Path) -> str:
    """Return a text file's content.

    Raises:
        ValueError: it is not UTF-8, or empty.
    """
    text = texts.read_text(path)
    if not text.strip():
        raise ValueError(f"{path} is empty: expected a text")
    return text


def encode(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """Return a text's ids as the tokenizer gives them, of whatever length."""
    ids: list[int] = tokenizer(text, verbose=False)["input_ids"]
    return ids


def pad_rows(rows: Sequence[Sequence[int]], pad: int) -> tuple[Tensor, Tensor, Tensor]:
    """Put sequences into rows of one length.

    Args:
        rows: ids of each sequence.
        pad: id behind a shorter one.

    Returns:
        Ids and labels, (rows, longest), and lengths, (rows,); a label is the id at the same place,
        `IGNORED` for padding.
    """
    lengths = torch.tensor([len(row) for row in rows])
    longest = int(lengths.max())
    ids = torch.tensor([list(row) + [pad] * (longest - len(row)) for row in rows])
    return ids, labels_of(ids, lengths), lengths


def labels_of(ids: Tensor, lengths: Tensor) -> Tensor:
    """Return the labels of rows, as `pad_rows` has them."""
    return ids.masked_fill(torch.arange(ids.shape[1]) >= lengths[:, None], IGNORED)


def blocks(ids: Sequence[int], size: int) -> list[Sequence[int]]:
    """Cut ids into blocks without overlap, each of a size but for a shorter last one."""
    return [ids[start : start + size] for start in range(0, len(ids), size)]


def sentence_rows(
    tokenizer: PreTrainedTokenizerBase, text: str, end: int, context: int
) -> tuple[Tensor, Tensor]:
    """Return a text's lines, newline included.

    Returns:
        Ids (rows, longest) in int32, `end` behind shorter lines, and lengths (rows,).

    Raises:
        ValueError: a line is longer than the context.
    """
    found, lengths = array("i"), array("q")
    for piece in lines_of(text):
        for line in piece.splitlines():
            row = encode(tokenizer, f"{line}\n")
            found.extend(row)
            lengths.append(len(row))
    counts = torch.frombuffer(lengths, dtype=torch.int64)
    longest = int(counts.max())
    if longest > context:
        raise ValueError(
            f"a sentence of {longest} tokens exceeds the context of {context}: set "
            "language.network.context"
        )
    ids = torch.full((len(counts), longest), end, dtype=torch.int32)
    told = torch.arange(longest) < counts[:, None]
    return ids.masked_scatter_(told, torch.frombuffer(found, dtype=torch.int32)), counts


def text_parts(
    tokenizer: PreTrainedTokenizerBase, text: str, block: int | None, most: int | None = None
) -> list[Sequence[int]]:
    """Return a text as ids, in parts.

    Args:
        tokenizer: makes the ids.
        text: any text.
        block: tokens in a part; None: a line is a part.
        most: at most this many parts, evenly spread over the text; None: all.
    """
    if block is not None:
        parts = blocks(encode(tokenizer, text), block)
    else:
        parts = [encode(tokenizer, f"{line}\n") for line in text.splitlines()]
    if most is None or len(parts) <= most:
        return parts
    return [parts[place * len(parts) // most] for place in range(most)]


def encode_prompt(tokenizer: PreTrainedTokenizerBase, prompt: str) -> list[int]:
    """Return a prompt's ids.

    Raises:
        ValueError: the tokenizer does not know all of its words.
    """
    ids = encode(tokenizer, prompt)
    unknown = tokenizer.unk_token_id
    # GPT-2 has one token for all special purposes
    if unknown in ids and unknown != tokenizer.eos_token_id:
        words = [
            word for word in re.findall(r" ?\S+", prompt) if unknown in encode(tokenizer, word)
        ]
        named = ", ".join(repr(word.strip()) for word in words) or "all words"
        raise ValueError(
            f"the tokenizer does not know {named} of {prompt!r}: choose other prompts, or a model"
            " that knows their words"
        )
    return ids


def cut_at(
    tokenizer: PreTrainedTokenizerBase, ids: Sequence[int], moves: Collection[int]
) -> tuple[str, ...]:
    """Return the text of ids in pieces: what stays, a word that moves, what stays, and so on.

    Args:
        tokenizer: of the ids.
        ids: of a continuation.
        moves: ids of the words that a group moves.

    Returns:
        Pieces at odd places are words of `moves`, without blanks; all together are the text.
    """
    whole, pieces, end = decode(tokenizer, ids), [], 0
    for place, token in enumerate(ids):
        if token in moves:
            before, after = (len(decode(tokenizer, ids[:k])) for k in (place, place + 1))
            word = whole[before:after].strip()
            start = whole.index(word, before)
            pieces += [whole[end:start], word]
            end = start + len(word)
    return (*pieces, whole[end:])


def decode(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int], special: bool = True) -> str:
    """Return the text of ids, with the blanks that they have; special: special tokens as well."""
    text: str = tokenizer.decode(
        ids, skip_special_tokens=not special, clean_up_tokenization_spaces=False
    )
    return text


def stop_ids(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Return the ids that end a text: the end of text, and all tokens with a newline."""
    texts = tokenizer.batch_decode([[token] for token in range(len(tokenizer))])
    found = [token for token, text in enumerate(texts) if "\n" in text]
    end = tokenizer.eos_token_id
    return found if end is None or end in found else [*found, end]
