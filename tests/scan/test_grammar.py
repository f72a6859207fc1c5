"""The generated language is the published one, and what is outside it is refused."""

from collections import Counter

import pytest

from equitune.io.files import sha256_of_lines
from equitune.io.registry import sources
from equitune.io.retrieve import RetrievalError, check_lines
from equitune.scan import grammar

FILES = {
    "add_jump": "tasks_{}_addprim_jump.txt",
    "around_right": "tasks_{}_template_around_right.txt",
}


@pytest.fixture(scope="module")
def language():
    return dict(grammar.commands())


@pytest.mark.parametrize(
    ("command", "actions"),
    [
        ("walk", "I_WALK"),
        ("turn left", "I_TURN_LEFT"),
        ("jump right", "I_TURN_RIGHT I_JUMP"),
        ("turn opposite right", "I_TURN_RIGHT I_TURN_RIGHT"),
        ("look opposite left", "I_TURN_LEFT I_TURN_LEFT I_LOOK"),
        ("turn around left", " ".join(["I_TURN_LEFT"] * 4)),
        ("run around right", " ".join(["I_TURN_RIGHT I_RUN"] * 4)),
        ("jump twice", "I_JUMP I_JUMP"),
        ("run left thrice", " ".join(["I_TURN_LEFT I_RUN"] * 3)),
        ("look and walk twice", "I_LOOK I_WALK I_WALK"),
        ("look left after walk twice", "I_WALK I_WALK I_TURN_LEFT I_LOOK"),
    ],
)
def test_meaning_by_example(command, actions):
    assert grammar.interpret(command) == actions


def test_the_language_has_its_published_size(language):
    assert len(language) == len(list(grammar.commands())) == 20910
    assert {word for command in language for word in command.split()} == {*grammar.COMMAND_WORDS}
    assert {word for text in language.values() for word in text.split()} == {*grammar.ACTION_WORDS}
    assert max(len(command.split()) for command in language) == 9
    assert max(len(text.split()) for text in language.values()) == 48


def test_the_language_has_the_published_checksum(language):
    check_lines(sources()["scan_tasks"], (grammar.format_line(*pair) for pair in language.items()))


@pytest.mark.parametrize("task", ["add_jump", "around_right"])
def test_the_splits_have_the_published_checksums(task):
    for part, lines in zip(("train", "test"), grammar.split(task), strict=True):
        assert lines == sorted(lines)
        check_lines(sources()[f"scan_{task}_{part}"], lines)


def test_one_changed_action_breaks_the_checksum():
    train, _ = grammar.split("add_jump")
    train[7] = train[7].removesuffix(" I_WALK") + " I_RUN"
    with pytest.raises(RetrievalError, match="scan_add_jump_train"):
        check_lines(sources()["scan_add_jump_train"], train)


@pytest.mark.parametrize("task", ["add_jump", "around_right"])
def test_the_splits_are_the_published_files(task, shared):
    for part, lines in zip(("train", "test"), grammar.split(task), strict=True):
        file = shared / "mirror" / "scan" / FILES[task].format(part)
        assert sorted(file.read_text().splitlines()) == lines


def test_the_checksums_are_those_of_the_published_files(shared):
    for source in sources().values():
        if source.name.startswith("scan_"):
            text = (shared / "mirror" / source.mirror).read_text()
            assert sha256_of_lines(text.splitlines()) == source.sorted_sha256


def test_add_jump_trains_on_jump_alone(language):
    train, test = grammar.split("add_jump")
    lines = Counter(train)
    assert (len(train), len(lines), len(test)) == (14670, 13204, 7706)
    assert lines["IN: jump OUT: I_JUMP"] == 1467
    assert [line for line in lines if "jump" in line] == ["IN: jump OUT: I_JUMP"]
    assert len(lines.keys() | set(test)) == len(language)


def test_around_right_never_trains_on_those_words():
    train, test = grammar.split("around_right")
    assert (len(train), len(set(train)), len(set(test))) == (15225, 15225, 4476)
    assert not any("around right" in line for line in train)
    assert all("around right" in line and "turn around right" not in line for line in test)


def test_simple_and_unknown_tasks_are_refused():
    with pytest.raises(ValueError, match=r"published files: set scan\.source: published"):
        grammar.split("simple")
    with pytest.raises(ValueError, match="unknown task 'add_jmup'; did you mean 'add_jump'"):
        grammar.split("add_jmup")
    with pytest.raises(ValueError, match="expected one of add_jump, around_right, simple"):
        grammar.split("zzz")


@pytest.mark.parametrize(
    ("command", "text"),
    [
        ("jmup twice", "unknown word 'jmup'; did you mean 'jump'"),
        ("", "'' is not a phrase"),
        ("turn", "'turn' is not a phrase"),
        ("left", "'left' is not a phrase"),
        ("jump twice left", "'jump twice left' is not a phrase"),
        ("jump twice twice", "'jump twice twice' is not a phrase"),
        ("walk around", "'walk around' is not a phrase"),
        ("walk opposite around left", "is not a phrase"),
        ("jump walk", "'jump walk' is not a phrase"),
        ("walk and", "'' is not a phrase"),
        ("after walk", "'' is not a phrase"),
        ("walk and run after jump", "joins more than two phrases"),
    ],
)
def test_what_is_outside_the_grammar_is_refused(command, text):
    with pytest.raises(ValueError, match=r"phrase|unknown word") as error:
        grammar.interpret(command)
    assert text in str(error.value)
    assert repr(command) in str(error.value)
    assert "\n" not in str(error.value)
