"""A word-level tokenizer whose tokens carry their leading blank, as GPT-2's do.

Decoding returns the text that was encoded, as long as it consists of words the tokenizer has seen.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from itertools import chain

from equitune.compat import extra

with extra("language"):
    from tokenizers import Regex, Tokenizer
    from tokenizers.decoders import Fuse
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Split
    from tokenizers.trainers import WordLevelTrainer
    from transformers import PreTrainedTokenizerFast

END, UNKNOWN = "<|endoftext|>", "<unk>"
# a word with its blank, a full stop, a newline, a blank without a word: nothing is left out
TOKEN = r" ?[^ \n.]+|\.|\n| "


def build_tokenizer(texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """Return a tokenizer of all words of some texts; the same texts give the same ids.

    Ids: 0 <|endoftext|>, which opens, ends and pads; 1 <unk>; then tokens by falling frequency,
    those that are as frequent in alphabetical order. Full stops and newlines are tokens of their
    own, and the newline is one even where no text has any. Padding stands on the left.

    Args:
        texts: sentences, and the prompts that a model will be asked to continue.

    Raises:
        ValueError: the texts hold no word.
    """
    tokenizer = Tokenizer(WordLevel(unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = Split(Regex(TOKEN), "isolated")
    tokenizer.decoder = Fuse()
    trainer = WordLevelTrainer(
        vocab_size=sys.maxsize, special_tokens=[END, UNKNOWN], show_progress=False
    )
    tokenizer.train_from_iterator(chain(texts, ["\n"]), trainer)
    if tokenizer.get_vocab_size() == len((END, UNKNOWN, "\n")):
        raise ValueError("the texts hold no word: expected the sentences of a corpus")
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=END,
        eos_token=END,
        pad_token=END,
        unk_token=UNKNOWN,
        padding_side="left",
    )
