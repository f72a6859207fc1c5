"""Groups of words: what their cycles mean, and what is not a permutation."""

import pytest
import torch

from equitune.scan import grammar
from equitune.scan.data import ACTIONS, COMMANDS
from equitune.scan.words import word_group


def test_a_group_of_words_moves_commands_and_actions_alike():
    commands, actions = word_group(
        {"commands": [["jump", "run"]], "actions": [["I_JUMP", "I_RUN"]]}
    )
    assert commands.group.order == 2
    assert commands.group == actions.group
    text, meaning = "jump left and run twice", "run left and jump twice"
    moved = commands(1, torch.tensor(COMMANDS.encode(text.split())))
    assert COMMANDS.decode(moved) == meaning.split()
    ids = torch.tensor(ACTIONS.encode(grammar.interpret(text).split()))
    assert ACTIONS.decode(actions(1, ids)) == grammar.interpret(meaning).split()
    fixed = torch.tensor([0, 1, COMMANDS.index("walk")])
    assert torch.equal(commands(1, fixed), fixed)


def test_a_cycle_sends_each_word_to_the_next():
    verbs = ["jump", "run", "walk", "look"]
    spec = {"commands": [verbs], "actions": [[f"I_{verb.upper()}" for verb in verbs]]}
    commands, actions = word_group(spec)
    assert commands.group.order == 4
    for vocabulary, action, cycle in zip(
        (COMMANDS, ACTIONS), (commands, actions), (*spec["commands"], *spec["actions"]), strict=True
    ):
        ids = torch.tensor(vocabulary.encode(cycle))
        for g in range(4):
            expected = [cycle[(place + g) % 4] for place in range(4)]
            assert vocabulary.decode(action(g, ids)) == expected
            assert vocabulary.decode(action.inverse(g, action(g, ids))) == cycle


def test_the_order_is_the_least_common_multiple_of_all_cycles():
    spec = {
        "commands": [["jump", "run", "walk"], ["left", "right"]],
        "actions": [["I_RUN", "I_JUMP"]],
    }
    commands, actions = word_group(spec)
    assert commands.group.order == actions.group.order == 6
    left = torch.tensor([COMMANDS.index("left")])
    assert COMMANDS.decode(commands(3, left)) == ["right"]
    assert COMMANDS.decode(commands(4, left)) == ["left"]
    assert word_group({"commands": [], "actions": []})[0].group.order == 1
    assert word_group({})[1].group.order == 1


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ({"commands": [["jmup", "run"]]}, "commands: unknown word 'jmup'; did you mean 'jump'"),
        ({"actions": [["I_JUMP", "I_RUN"], ["I_RUN", "I_WALK"]]}, "actions: 'I_RUN' stands twice"),
        ({"commands": [["jump", "jump"]]}, "commands: 'jump' stands twice"),
        ({"commands": [["jump", "run"], []]}, "commands: the cycle [] is not a list of words"),
        ({"commands": ["jump", "run"]}, "commands: the cycle 'jump' is not a list of words"),
        ({"commands": [["jump", "<end>"]]}, "commands: '<end>' is not a word"),
        ({"command": [["jump", "run"]]}, "unknown key 'command' of a permutation; did you mean"),
    ],
)
def test_what_is_no_permutation_is_refused(spec, text):
    with pytest.raises(ValueError, match=r"commands|actions") as error:
        word_group(spec)
    assert str(error.value).startswith(text)
