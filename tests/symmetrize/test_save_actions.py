"""Actions are saved with what they were built from, under a name of their own, or refused."""

import dataclasses
import functools
import json

import numpy as np
import pytest
import torch
from torch import nn

from equitune import actions
from equitune.actions import Action, AxisPermutation, Constant, Trivial
from equitune.groups import CyclicGroup, FiniteGroup
from equitune.symmetrize import EquiTuned

C2 = CyclicGroup(2)


class Scale(Action):
    """Element 1 divides by factors: an action for factors 1 and -1, which is all that is used."""

    def __init__(self, group, factors, *more, offset=0.0, axis=-1, **named):
        super().__init__(group)
        self.factors = Constant(torch.as_tensor(factors))
        self.more, self.offset, self.axis, self.named = more, offset, axis, named

    def act(self, g, x):
        return (x - self.offset) * self.factors.on(x) + self.offset if g else x


class Sized(Action):
    """A class that takes no group."""

    def __init__(self, size=2):
        super().__init__(CyclicGroup(size))

    def act(self, g, x):
        return x.roll(g * x.shape[-1] // self.group.order, -1)


class Shifted(AxisPermutation):
    """A class whose inherited `config` knows nothing of its own argument."""

    def __init__(self, group, permutations, shift=0.0):
        super().__init__(group, permutations)
        self._shift = shift

    def act(self, g, x):
        return super().act(g, x - self._shift) + self._shift


class Both(Action):
    """One action after another one that commutes with it."""

    def __init__(self, first, second):
        super().__init__(first.group)
        self.first, self.second = first, second

    def act(self, g, x):
        return self.second(g, self.first(g, x))


@dataclasses.dataclass(repr=False)
class Turned(Action):
    """A dataclass, whose constructor is made after the class."""

    group: FiniteGroup
    axis: int = -1

    def act(self, g, x):
        return x.flip(self.axis) if g else x


SWAP = [[0, 1, 2, 3], [3, 2, 1, 0]]
CASES = {
    "factors": lambda: Scale(C2, [1.0, -1.0, -1.0, 1.0], "x", (1, 2), offset=0.5, kind=C2),
    "tensor": lambda: Scale(factors=torch.tensor([-1.0, 1.0, 1.0, -1.0]), group=C2),
    "array": lambda: Scale(C2, np.array([-1, 1, 1, -1])),
    "no group": lambda: Sized(4),
    "subclass": lambda: Shifted(C2, SWAP, 1.5),
    "actions": lambda: Both(Scale(C2, [-1.0] * 4), Shifted(C2, SWAP, 0.0)),
    "dataclass": lambda: Turned(C2, 0),
}


def rows():
    return torch.arange(16.0).reshape(4, 4).sin()


def from_json(action):
    return actions.from_config(json.loads(json.dumps(action.config())))


@pytest.mark.parametrize("make", CASES.values(), ids=CASES)
def test_an_action_with_arguments_comes_back(tmp_path, make):
    action = make()
    again = from_json(action)
    assert type(again) is type(action)
    assert torch.equal(again.orbit(rows()), action.orbit(rows()))
    net, group = nn.Linear(4, 4), action.group
    EquiTuned(net, action, action).save_pretrained(tmp_path)
    loaded = EquiTuned.from_pretrained(tmp_path, nn.Linear(4, 4))
    with torch.no_grad():
        total = sum(action(group.inverse(g), net(action(g, rows()))) for g in group.elements)
        torch.testing.assert_close(loaded(rows()), total / group.order)


def test_all_arguments_are_as_they_were():
    again = from_json(CASES["factors"]())
    assert (again.more, again.offset, again.axis) == (("x", (1, 2)), 0.5, -1)
    assert again.named == {"kind": C2}


def test_an_argument_is_that_of_the_call():
    """Neither a list that is changed later nor another default of a later version matters."""
    factors = [-1.0, 1.0]
    action = Scale(C2, factors)
    factors[0] = 5.0
    assert from_json(action).factors.on(rows()).tolist() == [-1.0, 1.0]
    assert action.config()["arguments"]["axis"] == -1


@pytest.mark.parametrize(
    ("action", "words"),
    [
        (lambda: Scale(C2, [1.0], call=abs), "its argument named is of type builtin"),
        (lambda: Scale(C2, torch.ones(2**19)), r"its argument factors is an array of 2\.0 MiB"),
        (lambda: changed(), r"it would come back with offset 0\.0 in place of 3\.0"),
        (lambda: Forgetful(C2, 2.0), r"it would come back with _by 1\.0 in place of 2\.0"),
        (lambda: Optional(C2, 2.0), r"it would come back with _by None in place of 2\.0"),
        (lambda: Unread(C2, 2.0), r"TypeError when it is built from its config \(.*by"),
        (lambda: Unnamed(C2), r"its config raised KeyError\('name'\)"),
        (lambda: Unwritten(C2), "Object of type Tensor is not JSON serializable"),
        (lambda: Labelled(Klein()), "come back with group a CyclicGroup in place of a Klein"),
        (lambda: made(2.0), "now names another class than that of this action"),
    ],
    ids=[
        "function",
        "large",
        "changed",
        "config",
        "optional",
        "build",
        "raises",
        "json",
        "group",
        "class",
    ],
)
def test_an_action_that_would_not_come_back_is_refused(tmp_path, action, words):
    folder = tmp_path / "model"
    for inputs, output, name in [
        (lambda a: a, lambda a: Trivial(a.group), "input 0"),
        (lambda a: (None, Trivial(a.group)), lambda a: a, "output_action"),
    ]:
        moved = action()
        model = EquiTuned(nn.Linear(2, 2), inputs(moved), output(moved))
        with pytest.raises(ValueError, match=words) as error:
            model.save_pretrained(folder)
        assert str(error.value).startswith(f"{name} ({type(moved).__name__}) cannot be saved: ")
        assert "\n" not in str(error.value)
        assert not folder.exists()
        model.load_state_dict(model.state_dict())  # a state dict needs no arguments


def changed():
    action = Scale(C2, [1.0])
    action.offset = 3.0
    return action


class Forgetful(Action):
    """Its description leaves an argument out."""

    def __init__(self, group, by=1.0):
        super().__init__(group)
        self._by = by

    def config(self):
        return super().config()

    @classmethod
    def build(cls, config):
        return cls(C2)


class Optional(Forgetful):
    """The same, where what was forgotten looks like a cache."""

    def __init__(self, group, by=None):
        super().__init__(group, by)

    def config(self):
        return super().config()


class Unread(Action):
    """Its description is not read."""

    def __init__(self, group, by):
        super().__init__(group)

    @classmethod
    def build(cls, config):
        return cls(C2)


class Unnamed(Action):
    def config(self):
        return {**super().config(), "name": {}["name"]}


class Unwritten(Action):
    def config(self):
        return {**super().config(), "table": torch.ones(2)}


class Klein(CyclicGroup):
    """A group with something that its table does not say."""

    def __init__(self):
        super().__init__(2)
        self.angles = (0, 180)


class Labelled(Action):
    pass


def made(by):
    """One of two classes of one name, of which the later one is known."""

    def make(by):
        class Made(Action):
            def act(self, g, x):
                return x * by if g else x

        return Made

    first = make(by)
    make(by + 1)
    return first(C2)


def test_a_cell_of_a_notebook_may_be_run_twice():
    """The class that is known by now is the same but for its lines."""
    cell = "class Cell(Action):\n    def act(self, g, x):\n        return [x, -x][g]\n"
    scope = {"Action": Action, "__name__": "notebook"}
    exec(cell, scope)
    action = scope["Cell"](C2)
    exec(f"\n\n{cell}", scope)
    assert type(actions.from_config(actions.saved_config(action, "x"))) is scope["Cell"]
    exec(cell.replace("-x", "x - 1"), scope)
    with pytest.raises(ValueError, match=r"notebook\.Cell now names another class"):
        actions.saved_config(action, "x")


def test_what_an_action_has_stored_meanwhile_is_no_difference():
    class Cached(Action):
        def __init__(self, group, size):
            super().__init__(group)
            self.size, self._known, self._last = size, {}, None

        @functools.cached_property
        def sign(self):
            return -1

        def act(self, g, x):
            self._known[g], self._last, self._seen = x, x, True
            return x * self.sign if g else x

    action = Cached(C2, 3)
    action(1, rows())
    assert actions.saved_config(action, "x")["arguments"]["size"] == 3


def test_what_getstate_leaves_out_is_no_difference():
    class Counting(Action):
        calls = 0

        def act(self, g, x):
            self.calls += 1
            return x

    action = Counting(C2)
    action(1, rows())
    with pytest.raises(ValueError, match="calls 0 in place of 1"):
        actions.saved_config(action, "x")
    Counting.__getstate__ = lambda self: {"group": self.group}
    actions.saved_config(action, "x")


def test_what_an_earlier_version_left_out_is_not_made_of_defaults():
    config = {"action": "Sized", "group": C2.config()}
    with pytest.raises(ValueError, match="Sized was saved without its size: save it again, or"):
        actions.from_config(config)
    whole = {**config, "arguments": {"size": 4}}  # as the message says
    assert actions.from_config(whole).group == CyclicGroup(4)
    with pytest.raises(ValueError, match="Sized takes no length, with which it was saved"):
        actions.from_config({**config, "arguments": {"length": 4}})
