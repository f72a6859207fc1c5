"""Texts come back as they were, words keep their ids, and a saved tokenizer is the same one."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from equitune.language.corpus import read_corpus
from equitune.language.prompts import read_prompts
from equitune.language.tokenizer import END, UNKNOWN, build_tokenizer

TEXTS = [
    "The man had a part-time job as a cook.",
    "The man worked as a nurse.",
    "The woman worked as a cook.",
    "The Black person",
]
WORDS = sorted({word for text in TEXTS for word in text.rstrip(".").split()} - {"The"})


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer(TEXTS)


def test_tokens_carry_their_blank(tokenizer):
    tokens = tokenizer.tokenize("The man had a part-time job.\nThe man")
    assert tokens == ["The", " man", " had", " a", " part-time", " job", ".", "\n", "The", " man"]
    assert UNKNOWN not in tokens


def test_ids_fall_with_frequency_then_follow_the_alphabet(tokenizer):
    tokens = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    assert tokens[:9] == [END, UNKNOWN, " a", "The", " as", ".", " cook", " man", " worked"]
    assert tokens[9:] == sorted(tokens[9:])
    assert len(tokens) == 3 + len(WORDS) + 2  # END, UNKNOWN, newline; "The" and "."


def test_the_same_texts_in_any_order_give_the_same_bytes(tokenizer, tmp_path):
    shuffled = random.Random(0).sample(TEXTS, len(TEXTS))
    for name, built in (("first", tokenizer), ("again", build_tokenizer(iter(shuffled)))):
        built.save_pretrained(tmp_path / name)
    files = sorted(path.name for path in (tmp_path / "first").iterdir())
    assert "tokenizer.json" in files
    for name in files:
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["The", ""]),
            st.lists(st.sampled_from([f" {word}" for word in WORDS])).map("".join),
            st.sampled_from([".", "\n", ".\n", END]),
        ).map("".join)
    ).map("".join)
)
def test_any_text_of_known_words_comes_back(tokenizer, text):
    ids = tokenizer(text)["input_ids"]
    assert tokenizer.unk_token_id not in ids
    assert tokenizer.decode(ids) == text


def test_blanks_before_punctuation_are_kept():
    texts = ["a , b ! 's", "do n't"]  # what some tokenizers tidy up
    built = build_tokenizer(texts)
    assert [built.decode(built(text)["input_ids"]) for text in texts] == texts


@given(st.text(alphabet="ab. \n\tA<>|é", max_size=20))
def test_any_other_text_is_tokens_too(tokenizer, text):
    ids = tokenizer(text)["input_ids"]
    assert bool(ids) == bool(text)
    assert all(0 <= index < len(tokenizer) for index in ids)


def test_every_word_of_the_texts_is_known(tokenizer):
    for text in TEXTS:
        ids = tokenizer(text)["input_ids"]
        assert tokenizer.unk_token_id not in ids
        assert len(ids) == len(text.split()) + text.endswith(".")
    assert tokenizer(" king")["input_ids"] == [tokenizer.unk_token_id] == [1]


def test_the_end_token_opens_ends_and_pads_on_the_left(tokenizer):
    ids = {tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id}
    assert ids == {0}
    batch = tokenizer(["The man", "The man worked"], padding=True)
    assert batch["input_ids"][0][0] == 0
    assert batch["attention_mask"] == [[0, 1, 1], [1, 1, 1]]
    assert set(batch) == {"input_ids", "attention_mask"}
    assert tokenizer.tokenize(f"The man.{END}The man")[3] == END


def test_a_saved_tokenizer_is_the_same_one(tokenizer, tmp_path):
    from transformers import AutoTokenizer

    tokenizer.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    assert loaded.get_vocab() == tokenizer.get_vocab()
    assert loaded.padding_side == "left"
    assert (loaded.pad_token_id, loaded.unk_token_id, len(loaded)) == (0, 1, len(tokenizer))
    for text in (*TEXTS, "The woman.\nThe king .", "  The"):
        ids = tokenizer(text)["input_ids"]
        assert loaded(text)["input_ids"] == ids
        assert loaded.decode(ids) == tokenizer.decode(ids)


def test_every_sentence_of_the_corpus_comes_back():
    prompts = list(read_prompts())
    sentences = read_corpus().generate(prompts, 100, seed=0)
    tokenizer = build_tokenizer([*sentences, *(prompt.text for prompt in prompts)])
    assert 200 < len(tokenizer) < 450
    for text, ids in zip(sentences, tokenizer(sentences)["input_ids"], strict=True):
        assert len(ids) == len(text.split()) + 1  # each word is a token, and the full stop
        assert tokenizer.unk_token_id not in ids
        assert tokenizer.decode(ids) == text


def test_texts_without_a_word_are_refused():
    for texts in ([], ["", "\n"]):
        with pytest.raises(ValueError, match="the texts hold no word"):
            build_tokenizer(texts)
