"""What an action is, the trivial one, and the checks of a model's actions; knows no model.

Every action is a left action, g(hx) = (gh)x, and exact: it moves entries and never interpolates.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Self, SupportsIndex, TypeAlias

import numpy as np
import torch
from torch import Tensor

from equitune.actions.arguments import (
    arguments_of,
    besides_group,
    construct,
    keeping_arguments,
)
from equitune.groups import FiniteGroup
from equitune.values import CONFIGURED


class Constant:
    """A tensor that belongs to the code of an action, not to the state of a model.

    No state dict holds it, and no cast, move or average of a model changes it.

    Args:
        values: copied, so that later changes to them have no effect.
    """

    def __init__(self, values: Any) -> None:
        """Copy the values to the CPU."""
        values = values.detach().cpu().numpy() if isinstance(values, Tensor) else values
        self.array = np.array(values)  # NumPy's: real under any default device, in fake-tensor mode
        self.__setstate__({})

    def on(self, like: Tensor) -> Tensor:
        """Return the values on the device of a tensor; they must not be changed in place."""
        if like.device in self._tensors and (torch.compiler.is_compiling() or not _fake(like)):
            return self._tensors[like.device]
        if torch.compiler.is_compiling():
            return torch.from_numpy(self.array).to(like.device)
        with torch.inference_mode(False):  # a tensor made in it could not be used in training
            values = torch.from_numpy(self.array)
            if _fake(like) and not _fake(values):
                values = like.fake_mode.from_tensor(values)  # type: ignore[attr-defined]
            values = values.to(like.device)
        if not _fake(values):
            self._tensors[like.device] = values
        return values

    def __getstate__(self) -> dict[str, Any]:
        """Leave the tensors of each device out of copies and pickles."""
        return {"array": self.array}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Make the tensor on the CPU, so that a compiler finds it."""
        self.__dict__.update(state)
        self._tensors: dict[torch.device, Tensor] = {}
        self.on(torch.empty(0, device="cpu"))


def _fake(x: Tensor) -> bool:
    return hasattr(x, "fake_mode")


def readable(x: Tensor) -> bool:
    """Say whether the values of x can be looked at: not while tracing, under vmap or on meta."""
    if torch.compiler.is_compiling() or x.is_meta or x.numel() == 0:
        return False
    try:
        x.flatten()[0].item()
    except RuntimeError:  # vmap and fake tensors
        return False
    return True


class Action:
    """How the elements of a group move a tensor: x ↦ gx, with g(hx) = (gh)x.

    An action is part of a model's code, not of its state: it has no parameters and no buffers, and
    follows its input to any device. Tensors that an action of your own needs are kept as
    ``Constant(values)`` and used as ``constant.on(x)``.

    For an action of your own, subclass and write ``act``. A saved model names the class by module
    and name, and holds the arguments of its constructor: numbers, texts, groups, arrays and
    containers of them. For others write ``config`` and ``build``.

    Args:
        group: the group that acts.
    """

    _known: ClassVar[dict[str, type[Action]]] = {}
    _arguments: dict[str, Any] | None = None  # what a user's constructor was called with, as JSON

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Make the class known to `from_config`, and keep what its constructor is called with."""
        super().__init_subclass__(**kwargs)
        Action._known[cls._name()] = cls
        if "." not in cls._name() or "__init__" not in vars(cls):
            return
        if not {"config", "build"} & vars(cls).keys():  # those of its bases miss its arguments
            cls.config, cls.build = vars(Action)["config"], vars(Action)["build"]  # type: ignore
        cls.__init__ = keeping_arguments(cls.__init__)  # type: ignore[method-assign]

    @classmethod
    def _name(cls) -> str:
        """Return the name under which the class is saved: with its module, if it is a user's."""
        inside = cls.__module__.partition(".")[0] == __name__.partition(".")[0]
        return cls.__name__ if inside else f"{cls.__module__}.{cls.__qualname__}"

    def __init__(self, group: FiniteGroup) -> None:
        """Store the group."""
        self.group = group

    def act(self, g: int, x: Tensor) -> Tensor:
        """Return gx, in the shape of x; g has been checked."""
        raise NotImplementedError(f"{type(self).__name__} must define act(g, x)")

    def act_each(self, g: Tensor, x: Tensor) -> Tensor:
        """Return each example moved by its own element: g (batch,), x (batch, …)."""
        column = g.view(-1, *[1] * (x.ndim - 1))
        moved = x
        for element in self.group.elements:  # a `where` per element: no wait for the device
            if element != self.group.identity:
                moved = torch.where(column == element, self.act(element, x), moved)
        return moved

    def __call__(self, g: SupportsIndex | Tensor, x: Tensor) -> Tensor:
        """Return gx.

        Args:
            g: an element, or one element for each example: integers (batch,).
            x: (batch, …), or any shape that the action takes when g is one element.

        Returns:
            gx, in the shape and dtype of x.

        Raises:
            TypeError: g is no integer, or x has a dtype that the action does not take.
            ValueError: g is no element of the group, or x has a shape that cannot be moved.
        """
        if isinstance(g, Tensor) and g.ndim > 0:
            self._check_each(g, x)
            return self.act_each(g, x)
        return self.act(self.group.check(g), x)

    def inverse(self, g: SupportsIndex | Tensor, y: Tensor) -> Tensor:
        """Return g⁻¹y, which undoes the action of g: ``inverse(g, action(g, x))`` is x."""
        if isinstance(g, Tensor) and g.ndim > 0:
            self._check_each(g, y)
            return self.act_each(torch.tensor(self.group.inverses, device=g.device)[g], y)
        return self.act(self.group.inverse(g), y)

    def orbit(self, x: Tensor) -> Tensor:
        """Return all copies gx, stacked in front: (|G|, *x.shape)."""
        return torch.stack([self.act(g, x) for g in self.group.elements])

    def unorbit(self, ys: Tensor) -> Tensor:
        """Return g⁻¹ys[g] for each g, which undoes `orbit`: (|G|, …) to the same shape."""
        self._check_copies(ys)
        return torch.stack([self.inverse(g, ys[g]) for g in self.group.elements])

    def config(self) -> dict[str, Any]:
        """Return a JSON-able description, from which `from_config` builds an equal action.

        Raises:
            ValueError: an argument of the constructor cannot be written; it is named.
        """
        config = {"action": self._name(), "group": self.group.config()}
        if self._is_described_here() and besides_group(type(self)) is not None:
            config["arguments"] = arguments_of(self, self._arguments)
        return config

    @classmethod
    def build(cls, config: dict[str, Any]) -> Self:
        """Build the action from what `config` returned.

        Raises:
            ValueError: the description has not the arguments that the constructor takes.
        """
        return construct(cls, config)

    @classmethod
    def _is_described_here(cls) -> bool:
        """Say whether neither `config` nor `build` has been replaced."""
        builds = getattr(cls.build, "__func__", None)
        return cls.config is Action.config and builds is vars(Action)["build"].__func__

    def extra_repr(self) -> str:
        """Name the group."""
        return repr(self.group)

    def __repr__(self) -> str:
        """Name the class and what `extra_repr` says."""
        return f"{type(self).__name__}({self.extra_repr()})"

    def _check_each(self, g: Tensor, x: Tensor) -> None:
        if g.is_floating_point() or g.is_complex() or g.dtype == torch.bool:
            raise TypeError(f"g has dtype {g.dtype}: expected integers, as from torch.randint")
        if x.ndim == 0 or g.shape != x.shape[:1]:
            raise ValueError(
                f"g has shape {tuple(g.shape)} and x {tuple(x.shape)}: expected one element for "
                "each example, g (batch,) and x (batch, …), or one element as an int"
            )
        if not readable(g):
            return
        low, high = (int(bound) for bound in g.aminmax())
        if low < 0 or high >= self.group.order:
            raise ValueError(
                f"g holds {low if low < 0 else high}, no element of {self.group!r}: draw g with "
                f"torch.randint({self.group.order}, (batch,))"
            )

    def _check_copies(self, ys: Tensor) -> None:
        if ys.ndim == 0 or ys.shape[0] != self.group.order:
            raise ValueError(
                f"ys has shape {tuple(ys.shape)}: expected the {self.group.order} copies of an "
                f"orbit in front, ({self.group.order}, batch, …)"
            )


InputActions: TypeAlias = tuple[Action | None, ...]
"""One action for each input of a model; None for an input that does not move and has no batch."""


class Trivial(Action):
    """Nothing moves: gx = x, for outputs that are to be invariant and inputs that stay."""

    def act(self, g: int, x: Tensor) -> Tensor:
        """Return x."""
        return x

    def act_each(self, g: Tensor, x: Tensor) -> Tensor:
        """Return x."""
        return x

    def orbit(self, x: Tensor) -> Tensor:
        """Return |G| views of x: (|G|, *x.shape), without copying."""
        return x.expand(self.group.order, *x.shape)

    def unorbit(self, ys: Tensor) -> Tensor:
        """Return ys."""
        self._check_copies(ys)
        return ys


def from_config(config: dict[str, Any]) -> Action:
    """Build the action that `Action.config` described.

    Raises:
        ValueError: no action of that name has been defined in this process, or several have.
    """
    name = str(config.get("action"))
    if name in Action._known:
        return Action._known[name].build(config)
    last = name.rpartition(".")[2]
    alike = [known for known in Action._known if known.rpartition(".")[2] == last]
    if name == last and len(alike) == 1:  # as version 0.1.0 wrote it
        return Action._known[alike[0]].build(config)
    known = [k for k in Action._known if not k.startswith("_")]
    expected = f"one of {', '.join(sorted(known))}; import the module that defines it"
    if alike:
        expected = f"{' or '.join(sorted(alike))}; import its module, or put such a name there"
    raise ValueError(f"unknown action {name!r}: expected {expected}")


CONFIGURED["action"] = (Action, from_config)


def as_input_actions(
    input_action: Action | Sequence[Action | None], output_action: Action
) -> InputActions:
    """Return one action for each input, after checking that all belong to one group.

    None stands for an input that does not move and has no batch.

    Raises:
        TypeError: something is not an `Action`.
        ValueError: no input has an action, or two actions belong to different groups.
    """
    single = isinstance(input_action, Action)
    actions = (input_action,) if isinstance(input_action, Action) else tuple(input_action)
    moving = [action for action in actions if action is not None]
    if not moving:
        raise ValueError(
            f"input_action is {'empty' if not actions else 'None throughout'}: pass one action for "
            "each input of the model, Trivial(group) for those that have a batch and do not move"
        )
    for place, action in [*enumerate(actions), (-1, output_action)]:
        name = "output_action" if place < 0 else "input_action" + ("" if single else f"[{place}]")
        if action is None and place >= 0:
            continue
        if not isinstance(action, Action):
            raise TypeError(
                f"{name} is {action!r}: expected an Action, as actions.Rotate90() or, "
                "for a tensor that does not move, actions.Trivial(group)"
            )
        if action.group != moving[0].group:
            raise ValueError(
                f"{name} is an action of {action.group!r}, the first input_action of "
                f"{moving[0].group!r}: build both from one group, as Trivial(input_action.group)"
            )
    return actions


def check_inputs(actions: InputActions, inputs: Sequence[Any]) -> int:
    """Check that there is one input for each action, and one batch size for all that have a batch.

    Returns:
        The batch size.

    Raises:
        TypeError: an input that has an action is not a tensor.
        ValueError: their number is not that of the actions, or their batch sizes differ.
    """
    if len(inputs) != len(actions):
        raise ValueError(
            f"{len(inputs)} inputs for {len(actions)} input actions: pass input_action= a tuple "
            "with one action for each input, Trivial(group) for those that do not move"
        )
    first, batch = -1, 0
    for place, (action, x) in enumerate(zip(actions, inputs, strict=True)):
        if action is None:
            continue
        if not isinstance(x, Tensor):
            raise TypeError(
                f"input {place} is {type(x).__name__}: expected a tensor (batch, …); pass None as "
                "its action if it does not move and has no batch"
            )
        if x.ndim == 0:
            raise ValueError(f"input {place} has no dimensions: expected a batch, (batch, …)")
        if first < 0:
            first, batch = place, x.shape[0]
        if x.shape[0] != batch:
            raise ValueError(
                f"input {place} has batch size {x.shape[0]}, input {first} has {batch}: "
                "dimension 0 of every input must be the batch; repeat or expand the shorter one, "
                "or pass None as the action of an input that does not move and has no batch"
            )
    return batch


def move_inputs(actions: InputActions, g: int, inputs: Sequence[Any]) -> list[Any]:
    """Return the inputs moved by g; those without an action as they are."""
    pairs = zip(actions, inputs, strict=True)
    return [x if action is None else action(g, x) for action, x in pairs]
