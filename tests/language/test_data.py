"""Texts become rows of ids, padded and cut without a token lost."""

import pytest
import torch
from allocated import most_bytes

from equitune.language.data import (
    IGNORED,
    blocks,
    cut_at,
    encode,
    labels_of,
    pad_rows,
    read_text,
    sentence_rows,
)


def test_a_text_is_read_as_it_stands(tmp_path):
    file = tmp_path / "text"
    file.write_bytes("The cook’s\nqueen.\n".encode())
    assert read_text(file) == "The cook’s\nqueen.\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"The \xff", "line 1: byte 0xff is not UTF-8: save the file as UTF-8"),
        (b" \n\n", "is empty: expected"),
    ],
    ids=["no UTF-8", "blank"],
)
def test_a_text_that_cannot_be_read_is_one_line(tmp_path, content, message):
    file = tmp_path / "text"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=message) as error:
        read_text(file)
    assert str(file) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_text_longer_than_a_tokenizer_likes_is_encoded_whole(tokenizer, caplog):
    tokenizer.model_max_length = 4
    text = "The queen said he and she." * 3
    ids = encode(tokenizer, text)
    assert len(ids) == 3 * 7
    assert tokenizer.decode(ids) == text
    assert caplog.text == ""


def test_rows_are_padded_behind_and_padding_has_no_label():
    ids, labels, lengths = pad_rows([[4, 0, 6], [7], [0, 0]], pad=0)
    assert ids.tolist() == [[4, 0, 6], [7, 0, 0], [0, 0, 0]]
    # the token that pads is a label where it is none
    assert labels.tolist() == [[4, 0, 6], [7, IGNORED, IGNORED], [0, 0, IGNORED]]
    assert lengths.tolist() == [3, 1, 2]


def test_sentences_are_rows_of_four_bytes_an_id(tokenizer, tmp_path):
    text = "The queen said he and she.\nThe man.\n" * 1000
    ids, lengths = sentence_rows(tokenizer, text, 0, 8)
    rows, labels, counts = pad_rows([encode(tokenizer, f"{x}\n") for x in text.splitlines()], 0)
    assert (ids.dtype, ids.tolist()) == (torch.int32, rows.tolist())
    assert torch.equal(labels_of(ids.long(), lengths), labels)
    assert torch.equal(lengths, counts)
    assert most_bytes(lambda: sentence_rows(tokenizer, text, 0, 8), tmp_path) < 3 * ids.nbytes
    with pytest.raises(ValueError, match="a sentence of 8 tokens exceeds the context of 7: set"):
        sentence_rows(tokenizer, text, 0, 7)


@pytest.mark.parametrize("size", [1, 3, 5, 10, 11])
def test_blocks_hold_each_token_once(size):
    ids = list(range(10))
    found = blocks(ids, size)
    assert [token for block in found for token in block] == ids
    assert {len(block) for block in found[:-1]} <= {size}
    assert 0 < len(found[-1]) <= size


def test_a_text_is_cut_where_tokens_move(tokenizer):
    ids = encode(tokenizer, "The man said he and the woman. The queen man")
    moves = {tokenizer.convert_tokens_to_ids(token) for token in (" man", " woman")}
    pieces = cut_at(tokenizer, ids, moves)
    assert "".join(pieces) == tokenizer.decode(ids)
    assert pieces[1::2] == ("man", "woman", "man")
    assert pieces[0] == "The "
    assert cut_at(tokenizer, ids[2:4], moves) == (tokenizer.decode(ids[2:4]),)
    assert cut_at(tokenizer, [], moves) == ("",)


def test_a_token_inside_a_word_and_half_a_letter_are_cut_too(shared):
    from equitune.language.words import load_tokenizer

    gpt2 = load_tokenizer(str(shared / "mirror" / "gpt2-tokenizer"))
    man, half = gpt2.encode(" man")[0], gpt2.encode("猫")[0]
    ids = [*gpt2.encode(" a"), man, *gpt2.encode("hood"), half, man, *gpt2.encode(" mankind")]
    pieces = cut_at(gpt2, ids, {man})
    assert pieces == (" a ", "man", "hood\ufffd ", "man", " mankind")
