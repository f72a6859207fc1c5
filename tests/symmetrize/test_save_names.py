"""A saved action names its class, and no other class takes its place."""

import json

import pytest
import torch
from torch import nn

from equitune import actions
from equitune.actions import Action, Constant, Rotate90
from equitune.groups import CyclicGroup
from equitune.symmetrize import EquiTuned

C2 = CyclicGroup(2)


class Factor(Action):
    """A class with an argument."""

    def __init__(self, group, factor):
        super().__init__(group)
        self.factor = Constant(torch.as_tensor(factor))

    def act(self, g, x):
        return x * self.factor.on(x) if g else x


def from_json(action):
    return actions.from_config(json.loads(json.dumps(action.config())))


@pytest.fixture
def known(monkeypatch):
    """The registry, as it was, after a test."""
    monkeypatch.setattr(Action, "_known", dict(Action._known))


def define(name, module, factor=1):
    def act(self, g, x):
        return x * factor

    return type(name, (Action,), {"act": act, "__module__": module})


@pytest.mark.usefixtures("known")
def test_a_class_does_not_replace_a_built_in_one_of_its_name(tmp_path):
    own = define("Rotate90", "mine", -1)
    turn = Rotate90()
    assert type(from_json(turn)) is Rotate90
    assert turn.config() == {"action": "Rotate90", "group": {"group": "CyclicGroup", "n": 4}}
    assert type(from_json(own(C2))) is own
    x = torch.randn(2, 3, 4, 4)
    model = EquiTuned(nn.Conv2d(3, 3, 3, padding=1), turn, turn)
    model.save_pretrained(tmp_path)
    again = EquiTuned.from_pretrained(tmp_path, nn.Conv2d(3, 3, 3, padding=1))
    assert torch.equal(again(x), model(x))


@pytest.mark.usefixtures("known")
def test_classes_of_one_name_in_two_modules_are_two():
    one, two = define("Mine", "one"), define("Mine", "two", 2)
    assert type(from_json(one(C2))) is one
    assert type(from_json(two(C2))) is two


@pytest.mark.usefixtures("known")
def test_the_plain_names_of_earlier_versions_are_read():
    config = {"action": "Mine", "group": C2.config()}
    one = define("Mine", "one")
    assert type(actions.from_config(config)) is one
    define("Mine", "two")
    with pytest.raises(ValueError, match=r"unknown action 'Mine': expected one\.Mine or two\.Mine"):
        actions.from_config(config)
    with pytest.raises(ValueError, match=r"'__main__\.Mine': expected one\.Mine or two\.Mine"):
        actions.from_config({**config, "action": "__main__.Mine"})


@pytest.mark.usefixtures("known")
def test_a_state_dict_goes_with_other_modules_but_not_with_other_arguments():
    def state(action):
        return EquiTuned(nn.Linear(2, 2), action, action).state_dict()

    def code(module):  # a script's class has another module when the script is imported
        return define("Scaled", module)(C2)

    model = EquiTuned(nn.Linear(2, 2), code("__main__"), code("__main__"))
    model.load_state_dict(state(code("train")))
    scaled = Factor(C2, [-1.0])
    model = EquiTuned(nn.Linear(2, 2), scaled, scaled)
    model.load_state_dict(state(Factor(C2, [-1.0])))
    with pytest.raises(ValueError, match="that of a model with other actions"):
        model.load_state_dict(state(Factor(C2, [1.0])))
