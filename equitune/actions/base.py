"""What an action is, and the trivial one.

Every action is a left action, g(hx) = (gh)x, to rounding; one that interpolates says so (`exact`).
"""

from __future__ import annotations

from typing import Any, ClassVar, Self, SupportsIndex

import torch
from torch import Tensor

from equitune.actions.arguments import (
    arguments_of,
    besides_group,
    construct,
    keeping_arguments,
)
from equitune.actions.constant import readable
from equitune.groups import FiniteGroup
from equitune.saving.values import CONFIGURED


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
    _arguments: dict[str, Any] | None = None  # what the constructor was called with, as JSON

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Make the class known to `from_config`, and keep what its constructor is called with."""
        super().__init_subclass__(**kwargs)
        Action._known[cls._name()] = cls
        ours = "." not in cls._name()
        if "__init__" not in vars(cls) or (ours and not cls._is_described_here()):
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

    @property
    def exact(self) -> bool:
        """Whether the laws hold to rounding; where not, `floor` measures how far they do."""
        return True

    @property
    def keeps_shape(self) -> bool:
        """Whether all copies of a tensor have one shape; else those of one shape pass together."""
        return True

    def probe(self, x: Tensor) -> Tensor:
        """Return what to try the laws on, like x: x itself where the action is exact."""
        return x

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
            TypeError: g is not an integer, or x has a dtype that the action does not take.
            ValueError: g is not an element of the group, or x has a shape that cannot be moved.
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
