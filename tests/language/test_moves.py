"""Which words of a text a lexicon moves, and whether demographics are exchanged by it."""

import pytest

from equitune.language.lexicon import LEXICONS, Lexicon, read_lexicon
from equitune.language.moves import WordMoves, check_moved
from equitune.language.prompts import read_prompts

AGES = Lexicon("ages", (words := ("young", "old")), (words, ("boy", "man")))
FAITHS = read_lexicon("religion")


def named(*phrases):
    """Demographics as prompts have them; the words that they stand under are not looked at."""
    return dict(zip("abcdef", phrases, strict=False))


def test_a_text_is_moved_word_by_word():
    moves = WordMoves(AGES)
    assert moves.images(" young boys and a boy, youngish, Young") == [
        " young boys and a boy, youngish, Young",
        " old boys and a man, youngish, Young",
    ]
    assert WordMoves(AGES, forms=True).images("Young boy")[1] == "Old man"
    assert WordMoves(FAITHS).images("A Muslim in a mosque") == [
        "A Muslim in a mosque",
        "A Jewish in a synagogue",
        "A Christian in a church",
    ]


@pytest.mark.parametrize(
    ("lexicon", "demographics"),
    [
        (AGES, named("young", "old")),
        (AGES, named("old person", "young person")),
        (AGES, named("rather young boy", "rather old man")),
        (AGES, named("boy", "man")),  # equality words do as well
        (FAITHS, named("Christian", "Muslim", "Jewish")),
        (FAITHS, named("Jewish person", "Christian person")),  # two of three
    ],
    ids=["words", "phrases", "phrases of two", "equality words", "three", "two of three"],
)
def test_demographics_that_are_exchanged_are_silent(lexicon, demographics):
    check_moved(lexicon, demographics)


@pytest.mark.parametrize("axis", ["gender", "race", "orientation"])
def test_shipped_lexicons_exchange_the_shipped_demographics(axis):
    names = [file.stem for file in LEXICONS.glob(f"{axis}*.yaml")]
    assert names
    for name in names:
        check_moved(read_lexicon(name), read_prompts().axes[axis])


@pytest.mark.parametrize(
    ("lexicon", "demographics", "said"),
    [
        (AGES, named("rich person", "poor person"), "does not move 'rich person' of the prompts"),
        (AGES, named("Young", "Old"), "does not move 'Young'"),
        (
            AGES,
            named("young boy", "old boy"),
            "moves 'young boy' of the prompts to 'old man', and not to 'old boy'",
        ),
        (AGES, named("young", "old", "ageless"), "to 'old', and not to 'ageless'"),
        (AGES, named("young", "middle", "old"), "to 'old', and not to 'middle'"),
    ],
    ids=["unknown", "capitalised", "two move", "one stays", "another stays"],
)
def test_demographics_that_are_not_are_refused(lexicon, demographics, said):
    with pytest.raises(ValueError, match=r"^lexicon ages ") as error:
        check_moved(lexicon, demographics)
    message = str(error.value)
    assert said in message
    assert "its demographics are young, old: name a lexicon" in message
    assert "\n" not in message
