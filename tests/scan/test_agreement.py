"""A permutation that the files contradict is refused before anything is trained."""

import json

import pytest

from equitune import cli, config
from equitune.io.resources import DEFAULTS
from equitune.io.texts import parse_yaml
from equitune.plan import Registry
from equitune.plan.scan import ScanPlan
from equitune.scan import grammar
from equitune.scan.agreement import check_permutation
from equitune.scan.data import vocabularies

MOVES = {"hop": "I_HOP", "skip": "I_SKIP", "sing": "I_SING", "dance": "I_DANCE"}
KEY = "scan.permutations.hop_skip"
FIT = {"commands": [["hop", "skip"]], "actions": [["I_HOP", "I_SKIP"]]}


def lines(*names):
    """Pairs of verbs, once and twice."""
    return [
        (f"{name}{' twice' * twice}", " ".join([MOVES[name]] * (1 + twice)))
        for name in names
        for twice in (0, 1)
    ]


def check(cycles, pairs):
    check_permutation(KEY, cycles, pairs, vocabularies(pairs, pairs), "a.txt and b.txt")


@pytest.mark.parametrize(
    ("cycles", "moved"),
    [
        ({"commands": [["hop", "skip"]]}, "I_HOP"),
        ({"commands": [["hop", "skip"]], "actions": [["I_SING", "I_DANCE"]]}, "I_HOP"),
    ],
    ids=["no actions", "actions of other verbs"],
)
def test_a_permutation_that_the_lines_contradict_is_refused(cycles, moved):
    with pytest.raises(ValueError, match=KEY) as said:
        check(cycles, lines(*MOVES))
    message = str(said.value)
    assert message.startswith(f"{KEY} does not fit the lines: 'IN: hop OUT: I_HOP'")
    assert f"moved to 'IN: skip OUT: {moved}', but the file has 'IN: skip OUT: I_SKIP'" in message
    assert "0 of " in message
    assert "give the cycles of actions that belong to those of commands" in message
    assert "\n" not in message


def test_actions_alone_contradict_the_lines_too():
    with pytest.raises(ValueError, match=r"'IN: hop OUT: I_HOP' is moved to 'IN: hop OUT: I_SKIP'"):
        check({"actions": [["I_HOP", "I_SKIP"]]}, lines(*MOVES))


def test_what_fits_is_silent(caplog):
    check(FIT, lines(*MOVES))
    # two words of one meaning
    check({"commands": [["hop", "leap"]]}, [("hop", "I_HOP"), ("leap", "I_HOP"), ("run", "I_RUN")])
    # no moved command is there: nothing can be said
    check({"commands": [["hop", "skip"]]}, [("hop twice", "I_HOP I_HOP"), ("skip", "I_SKIP")])
    assert caplog.text == ""


def test_what_fits_in_part_is_warned_of(caplog):
    check(FIT, [*lines(*MOVES), ("hop and sing", "I_HOP I_SING"), ("skip and sing", "I_SING")])
    assert f"{KEY} does not fit all lines: 4 of 6 moved commands" in caplog.text


def test_long_lines_are_shortened():
    pairs = [(f"{verb}{' twice' * 99}", MOVES[verb] * 9) for verb in ("hop", "skip")]
    with pytest.raises(ValueError, match=KEY) as said:
        check({"commands": [["hop", "skip"]]}, pairs)
    assert len(str(said.value)) < 600


def test_a_word_that_the_files_lack_is_said_with_key_and_files():
    with pytest.raises(ValueError, match=KEY) as said:
        check({"commands": [["jump", "hop"]]}, lines("hop", "sing"))
    message = str(said.value)
    assert message.startswith(f"{KEY}.commands: unknown word 'jump'")
    assert message.endswith("not a word of a.txt and b.txt")


@pytest.mark.parametrize("task", ["add_jump", "around_right"])
def test_the_shipped_permutations_fit_the_shipped_splits(task, caplog):
    train, test = ([_pair(line) for line in part] for part in grammar.split(task))
    shipped = parse_yaml(DEFAULTS.read_text(), "")["scan"]["permutations"]
    assert set(shipped) == {"jump_run", "right_left", "verbs"}
    sides = vocabularies(train, test)
    for name, cycles in shipped.items():
        check_permutation(name, cycles, train + test, sides, "the files")
    assert caplog.text == ""


def test_the_dataset_step_gets_the_names(tmp_path, capsys):
    """The workflow's option, for every task, shipped or not."""
    scan = config.load(parse_yaml(DEFAULTS.read_text(), "")).scan
    option = ScanPlan(scan, Registry()).checked("add_jump")
    assert option.startswith("--permutation=jump_run=commands=")
    for name, names in (("train", MOVES), ("test", ["sing"])):
        text = "".join(f"IN: {pair[0]} OUT: {pair[1]}\n" for pair in lines(*names))
        (tmp_path / f"{name}.txt").write_text(text)
    command = ["scan", "dataset", "--task", "x", "--seed", "0", "--validation-fraction", "0.3"]
    command += ["--train", str(tmp_path / "train.txt"), "--test", str(tmp_path / "test.txt")]
    command += ["--output", str(tmp_path / "d.safetensors"), "--permutation"]
    assert cli.run([*command, f"hop_skip={json.dumps(FIT)}"]) == 0
    capsys.readouterr()
    assert cli.run([*command, "hop_skip={commands: [[hop, skip]]}"]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"equitune: error: {KEY} does not fit the lines: ")
    assert str(tmp_path / "train.txt") in error
    assert cli.run([*command, "hop_skip={commands: [[hop, skp]]}"]) == 1
    assert f"{KEY}.commands: unknown word 'skp'; did you mean 'skip'" in capsys.readouterr().err
    assert cli.run([*command, "jump_run"]) == 1
    assert "--permutation.commands: unknown word 'jump'" in capsys.readouterr().err


def _pair(line):
    command, actions = line.removeprefix("IN: ").split(" OUT: ")
    return command, actions
