"""Lexicons permute tokens as their cyclic group does, and words that would break it are named."""

import pytest
import torch
from tokenizers import Regex, Tokenizer, decoders
from tokenizers.decoders import Fuse
from tokenizers.decoders import Sequence as Decoders
from tokenizers.models import BPE, WordLevel
from tokenizers.normalizers import Lowercase, Prepend, Replace, Sequence, Strip
from tokenizers.pre_tokenizers import Metaspace, Split
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

from equitune.actions import TokenPermutation
from equitune.language.lexicon import LEXICONS, Lexicon, read_lexicon
from equitune.language.words import load_tokenizer, problems, report, words_on

TOKENS = " man, woman, king, queen, he, his, step,-,son, red, green, blue, Duke"
TOKENS += ", Man, Woman,Man,Woman,man"  # "woman" has no token without its space
IDS = {token: number for number, token in enumerate(["<unk>", *TOKENS.split(",")])}
GENDER = Lexicon("own", ("man", "woman"), (("man", "woman"), ("king", "queen")), ("he", "his"))
COLOURS = Lexicon("own", ("red", "green", "blue"), (("red", "green", "blue"),))


def pair(*words, general=()):
    """A lexicon of man, woman and another pair."""
    return Lexicon("own", ("man", "woman"), (("man", "woman"), words), general)


@pytest.fixture(scope="module")
def tokenizer():
    """A word-level tokenizer, of which a hyphen is a token of its own."""
    built = Tokenizer(WordLevel(IDS, unk_token="<unk>"))
    built.pre_tokenizer = Split(Regex(r" ?\w+|-"), "isolated")
    built.decoder = Fuse()
    return PreTrainedTokenizerFast(tokenizer_object=built, unk_token="<unk>")


@pytest.fixture(scope="module")
def gpt2(shared):
    return load_tokenizer(str(shared / "mirror" / "gpt2-tokenizer"))


def byte_pairs(style):
    """A tokenizer of Llama 2's kind: before every text it puts a blank, ▁, of its own.

    Args:
        style: by which of the two parts that tokenizers are made of.
    """
    words = ["▁man", "▁woman", "▁Man", "▁Woman", "▁king", "▁queen", "woman", "Woman", "man", "Man"]
    letters = sorted({letter for word in words for letter in word} | set("\n.,saw the"))
    pieces = [word[:end] for word in words for end in range(2, len(word) + 1)]
    ids = {piece: i for i, piece in enumerate(dict.fromkeys(["<unk>", *letters, *pieces]))}
    merges = dict.fromkeys((w[:end], w[end]) for w in words for end in range(1, len(w)))
    built = Tokenizer(BPE(ids, list(merges), unk_token="<unk>"))
    if style == "normalizer":
        built.normalizer = Sequence([Prepend("▁"), Replace(" ", "▁")])
    else:
        built.pre_tokenizer = Metaspace(prepend_scheme="first", split=False)
    built.decoder = Decoders([decoders.Replace("▁", " "), Fuse(), decoders.Strip(" ", 1, 0)])
    return PreTrainedTokenizerFast(tokenizer_object=built, unk_token="<unk>")


def moved(tokens):
    """Which token becomes which, by the generator."""
    names = {number: token for token, number in IDS.items()}
    image = tokens.action.permutations[1].tolist()
    return {names[v]: names[w] for v, w in enumerate(image) if v != w}


@pytest.mark.parametrize("lexicon", [GENDER, COLOURS], ids=["gender", "colours"])
def test_the_action_is_one_of_the_cyclic_group_on_all_ids(tokenizer, lexicon):
    action = words_on(lexicon, tokenizer, len(IDS) + 3).action
    rows, ids = action.permutations, torch.arange(len(IDS) + 3)
    assert rows.shape == (lexicon.order, len(ids))
    assert torch.equal(rows[0], ids)
    for g in range(lexicon.order):
        assert torch.equal(rows[g].sort().values, ids)
        for h in range(lexicon.order):
            assert torch.equal(action(g, action(h, ids)), rows[(g + h) % lexicon.order])
    assert len({tuple(row) for row in rows.tolist()}) == lexicon.order


def test_the_generator_sends_each_word_to_the_next(tokenizer):
    exchange = {" man": " woman", " woman": " man", " king": " queen", " queen": " king"}
    found = words_on(GENDER, tokenizer)
    assert moved(found) == exchange
    assert found.general == (IDS[" he"], IDS[" his"])
    assert found.skipped == ()
    shift = {" red": " green", " green": " blue", " blue": " red"}
    assert moved(words_on(COLOURS, tokenizer)) == shift


def test_forms_are_added_where_all_words_have_one(tokenizer):
    found = words_on(GENDER, tokenizer, forms=True)
    forms = {" Man": " Woman", " Woman": " Man", "Man": "Woman", "Woman": "Man"}
    assert moved(found) == moved(words_on(GENDER, tokenizer)) | forms
    skipped = {(problem.word, problem.place) for problem in found.skipped}
    # "man" is a token, "woman" is none: their form without the space stays whole
    assert ("woman", "demographics, without its space") in skipped
    assert ("man", "demographics, without its space") not in skipped
    assert ("queen", "equality (king, queen), capitalised") in skipped
    assert ("he", "general, opening a sentence") in skipped
    assert problems(GENDER, tokenizer, forms=True) == []


def test_a_form_that_is_the_word_itself_adds_nothing(tokenizer):
    capital = Lexicon("own", ("Man", "Woman"), (("Man", "Woman"),), ("he",))
    found = words_on(capital, tokenizer, forms=True)
    assert set(moved(found)) == {" Man", " Woman", "Man", "Woman"}
    assert [problem.word for problem in found.skipped] == ["he"] * 3


def test_a_form_is_tried_once(tokenizer):
    lexicon = Lexicon("own", ("man", "woman"), (("man", "woman"),), ("Duke",))
    found = words_on(lexicon, tokenizer, forms=True)
    assert [p.place for p in found.skipped if p.word == "Duke"] == ["general, opening a sentence"]


def test_tokens_that_open_every_text_do_not_count():
    opening = Tokenizer(WordLevel(IDS, unk_token="<unk>"))
    opening.pre_tokenizer = Split(Regex(r" ?\w+|-"), "isolated")
    opening.post_processor = TemplateProcessing(single="- $A", special_tokens=[("-", IDS["-"])])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=opening, unk_token="<unk>")
    assert len(tokenizer.encode(" man")) == 2
    assert problems(GENDER, tokenizer) == []


@pytest.mark.parametrize(("style", "pieces"), [("normalizer", 2), ("pre-tokenizer", 1)])
def test_words_are_found_as_they_stand_in_running_text(style, pieces):
    """A blank that the tokenizer puts before a text is not part of a word."""
    tokenizer = byte_pairs(style)
    assert len(tokenizer.encode(" man", add_special_tokens=False)) == pieces
    assert problems(GENDER, tokenizer, forms=True)[0].word == "he"  # no general word is a token
    lexicon = Lexicon("own", GENDER.demographics, GENDER.equality)
    assert problems(lexicon, tokenizer, forms=True) == []
    plain, forms = words_on(lexicon, tokenizer), words_on(lexicon, tokenizer, forms=True)
    names = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    pairs = {names[v]: names[w] for v, w in enumerate(plain.action.permutations[1]) if v != w}
    assert pairs == {"▁man": "▁woman", "▁woman": "▁man", "▁king": "▁queen", "▁queen": "▁king"}
    others = {"man", "woman", "Man", "Woman", "▁Man", "▁Woman"}
    found = {names[v] for v, w in enumerate(forms.action.permutations[1]) if v != w}
    assert found == pairs.keys() | others
    text = "man saw the queen.\nWoman, the woman saw the king"
    exchanged = tokenizer.decode(forms.action(1, torch.tensor(tokenizer.encode(text))))
    assert exchanged == "woman saw the king.\nMan, the man saw the queen"


def test_general_words_have_forms_too(tokenizer):
    lexicon = Lexicon("own", ("king", "queen"), (("king", "queen"),), ("man",))
    found = words_on(lexicon, tokenizer, forms=True)
    assert set(found.general) == {IDS[form] for form in (" man", " Man", "Man", "man")}


def test_a_form_that_is_another_word_is_a_problem(tokenizer):
    lexicon = pair("Man", "queen")
    assert problems(lexicon, tokenizer) == []
    (problem,) = problems(lexicon, tokenizer, forms=True)
    assert problem.place == "demographics, capitalised"
    assert "' Man' in equality (Man, queen)" in problem.advice
    with pytest.raises(ValueError, match="that is the token of"):
        words_on(lexicon, tokenizer, forms=True)


def test_a_whole_tuple_that_is_a_form_of_another_is_none(tokenizer):
    found = words_on(pair("Man", "Woman"), tokenizer, forms=True)
    assert set(moved(found)) == {" man", " woman", " Man", " Woman", "Man", "Woman"}


def test_words_of_several_tokens_and_unknown_ones_are_named(tokenizer):
    lexicon = pair("step-son", "princess", general=("he", "it"))
    first, second, third = problems(lexicon, tokenizer)
    assert (first.word, first.pieces) == ("step-son", (" step", "-", "son"))
    assert first.place == "equality (step-son, princess)"
    assert (second.word, second.pieces) == ("princess", ("<unk>",))
    assert (third.word, third.place) == ("it", "general")
    advice = "choose another word, or leave it out, as skip_multi_token does"
    assert first.advice == f"not one token of its own: {advice}"
    assert second.advice == third.advice == f"not known to the tokenizer: {advice}"
    with pytest.raises(ValueError, match="lexicon own: 'step-son'") as error:
        words_on(lexicon, tokenizer)
    message = str(error.value)
    assert "' step' + '-' + 'son'" in message
    assert "(and 2 more)" in message
    assert "equitune language lexicon check FILE --tokenizer NAME" in message
    assert "\n" not in message


def test_words_that_are_not_one_token_are_dropped_when_asked(tokenizer):
    lexicon = pair("step-son", "queen", general=("he", "it"))
    found = words_on(lexicon, tokenizer, skip_multi_token=True)
    assert set(moved(found)) == {" man", " woman"}
    assert found.general == (IDS[" he"],)
    assert [problem.word for problem in found.skipped] == ["step-son", "it"]
    demographics = Lexicon("own", ("step-son", "queen"), (("step-son", "queen"),))
    advice = "not one token of its own: choose other demographics, or another tokenizer"
    with pytest.raises(ValueError, match=advice):
        words_on(demographics, tokenizer, skip_multi_token=True)


def test_forms_of_a_dropped_tuple_do_not_move(tokenizer):
    lexicon = Lexicon("own", ("king", "queen"), (("king", "queen"), ("man", "step-son")), ())
    found = words_on(lexicon, tokenizer, forms=True, skip_multi_token=True)
    assert set(moved(found)) == {" king", " queen"}
    places = [problem.place for problem in found.skipped if "step-son" in problem.place]
    assert places == ["equality (man, step-son)"]


def test_two_words_of_one_token_are_a_problem():
    lowercase = Tokenizer(WordLevel({"<unk>": 0, "man": 1, "woman": 2}, unk_token="<unk>"))
    lowercase.normalizer = Sequence([Lowercase(), Strip()])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=lowercase, unk_token="<unk>")
    found = problems(pair("Man", "MAN"), tokenizer)
    assert [problem.word for problem in found] == ["Man", "MAN"]
    assert "' man' in demographics" in found[0].advice
    plain = Lexicon("own", ("man", "woman"), (("man", "woman"),))
    assert words_on(plain, tokenizer, forms=True).skipped == ()


def test_model_and_tokenizer_are_to_fit(tokenizer):
    known = len(IDS)
    for size in (known, known + 511):
        assert words_on(GENDER, tokenizer, size).action.size == size
    for size in (known - 1, known + 512, 0):
        with pytest.raises(ValueError, match=rf"the model has {size} ids, the tokenizer {known}:"):
            words_on(GENDER, tokenizer, size)


def test_the_report_says_what_is_wrong_or_what_moves(tokenizer):
    size = len(IDS)
    good = f"2 tuples of 2 words, order 2, a permutation of {size} tokens that moves 4"
    assert report(GENDER, tokenizer) == good
    one = f"1 tuple of 3 words, order 3, a permutation of {size + 5} tokens that moves 3"
    assert report(COLOURS, tokenizer, size + 5) == one
    lexicon = pair("step-son", "princess")
    assert report(lexicon, tokenizer).splitlines() == list(map(str, problems(lexicon, tokenizer)))
    *left_out, last = report(lexicon, tokenizer, skip_multi_token=True).splitlines()
    assert [line.split("(")[0] for line in left_out] == [
        "left out: 'step-son' ",
        "left out: 'princess' ",
    ]
    assert last.endswith("moves 2")


def test_the_first_piece_of_a_word_makes_no_permutation_and_is_not_taken(gpt2):
    """The published code moves `encode(word)[0]`, whatever the number of pieces."""
    pairs = (("man", "woman"), ("mom", "dad"), ("mommy", "daddy"))
    first = [[gpt2.encode(f" {word}")[0] for word in words] for words in pairs]
    image = torch.arange(len(gpt2))
    for a, b in first:
        image[a], image[b] = b, a
    with pytest.raises(ValueError, match="is not a permutation"):
        TokenPermutation.generated_by(image)
    lexicon = Lexicon("own", pairs[0], pairs)
    (problem,) = problems(lexicon, gpt2)
    assert (problem.word, problem.pieces) == ("mommy", ("Ġmom", "my"))
    found = words_on(lexicon, gpt2, skip_multi_token=True)
    assert [p.word for p in found.skipped] == ["mommy"]
    assert found.action.permutations[1][9955] == 1995  # dad, mom


@pytest.mark.parametrize("name", sorted(file.stem for file in LEXICONS.glob("*.yaml")))
def test_shipped_lexicons_are_single_tokens_of_gpt2(gpt2, name):
    lexicon = read_lexicon(name)
    assert problems(lexicon, gpt2, forms=True) == []
    found = words_on(lexicon, gpt2)
    rows = found.action.permutations
    assert rows.shape == (lexicon.order, 50257)
    assert int((rows[1] != rows[0]).sum()) == lexicon.order * len(lexicon.equality)
    assert found.general == (339, 673, 465, 607, 683)
    for words in lexicon.equality:
        ids = [gpt2.encode(f" {word}")[0] for word in words]
        assert rows[1][ids].tolist() == [*ids[1:], ids[0]]


@pytest.mark.parametrize(
    ("name", "ids"),
    [("gender_short", (582, 2415)), ("race", (2619, 2635)), ("orientation", (5650, 3892))],
)
def test_demographics_have_the_known_ids(gpt2, name, ids):
    rows = words_on(read_lexicon(name), gpt2).action.permutations
    assert (rows[1] != rows[0]).nonzero().flatten().tolist() == sorted(ids)


def test_a_saved_tokenizer_is_loaded(tokenizer, tmp_path):
    tokenizer.save_pretrained(tmp_path)
    loaded = load_tokenizer(str(tmp_path))
    assert loaded.get_vocab() == tokenizer.get_vocab()
    assert words_on(GENDER, loaded).general == words_on(GENDER, tokenizer).general


@pytest.mark.parametrize("files", [{}, {"tokenizer.json": "{"}, {"vocab.json": "{}"}])
def test_a_folder_without_a_tokenizer_is_one_line(tmp_path, files):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match="no tokenizer") as error:
        load_tokenizer(str(tmp_path))
    assert "\n" not in str(error.value)


def test_a_file_of_a_tokenizer_and_a_folder_without_one_are_called_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ValueError, match="it is a file: name the folder in which the") as error:
        load_tokenizer("tokenizer.json")
    assert str(error.value).endswith(f"(looked at {tmp_path / 'tokenizer.json'})")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="the folder has no tokenizer files, as tok"):
        load_tokenizer("empty")


@pytest.mark.parametrize("name", ["none/such", "./none", "no id!", "/none"])
def test_a_mistyped_folder_is_told_before_anything_is_asked(name, monkeypatch):
    def asked(*_args, **_options):
        raise AssertionError("a network was asked")

    monkeypatch.setattr("socket.socket.connect", asked)
    monkeypatch.setattr("transformers.AutoTokenizer.from_pretrained", asked)
    with pytest.raises(ValueError, match="there is no such folder, and no model of the hub of th"):
        load_tokenizer(name)
