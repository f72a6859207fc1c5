"""Nested values beside the actions on their entries: what a model takes and what it returns.

A tree of actions has the structure of the values that it moves. Both are taken apart into flat
lists, on which the group acts, and put together again in the containers that they came in.
"""

from __future__ import annotations

import inspect
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from equitune.actions import Action, ActionTree, from_config, saved_config

UNDECLARED = object()  # in the place of the action of an argument that none was declared for


class Structure(NamedTuple):
    """How values are nested.

    Attributes:
        kind: the class of a container; None for a value that stands by itself.
        names: of the entries, where they have names.
        parts: of the entries, in order.
    """

    kind: Any = None
    names: tuple[Any, ...] = ()
    parts: tuple[Any, ...] = ()

    def fill(self, values: Iterator[Any]) -> Any:
        """Return the containers with values in the place of those that were taken out, in order."""
        if self.kind is None:
            return next(values)
        parts = [part.fill(values) for part in self.parts]
        make: Any = self.kind
        if is_dataclass(self.kind):
            return make(**dict(zip(self.names, parts, strict=True)))
        if issubclass(self.kind, list | tuple):
            return self.kind(*parts) if hasattr(self.kind, "_fields") else self.kind(parts)
        entries = dict(zip(self.names, parts, strict=True))
        return OrderedDict(entries) if self.kind is OrderedDict else entries


class Flat(NamedTuple):
    """Nested values in a row, each with its action.

    Attributes:
        structure: how they are nested.
        names: what messages call each value.
        actions: one for each value; None for one that does not move and has no batch.
        values: tensors where there is an action, else anything.
    """

    structure: Structure
    names: tuple[str, ...]
    actions: tuple[Action | None, ...]
    values: tuple[Any, ...]

    def whole(self) -> Any:
        """Return the values as they are nested."""
        return self.structure.fill(iter(self.values))

    def moving(self) -> list[Tensor]:
        """Return the values that have an action, and so a batch."""
        return [x for x, action in zip(self.values, self.actions, strict=True) if action]

    def pairs(self) -> list[tuple[Action, Tensor]]:
        """Return the actions with their values."""
        return [(a, x) for a, x in zip(self.actions, self.values, strict=True) if a]

    def map(self, change: Callable[[Action, Tensor], Any]) -> Flat:
        """Return the same with another value, of an action and its value, where there is one."""
        pairs = zip(self.actions, self.values, strict=True)
        return self._replace(values=tuple(x if a is None else change(a, x) for a, x in pairs))


def joined(parts: Sequence[Flat]) -> Flat:
    """Return one of several: values along the batch, and the first of those that have none."""
    if len(parts) == 1:
        return parts[0]
    columns = zip(parts[0].actions, zip(*(part.values for part in parts), strict=True), strict=True)
    return parts[0]._replace(values=tuple(torch.cat(xs) if a else xs[0] for a, xs in columns))


def flatten(tree: ActionTree | None, value: Any, name: str, *, every: bool = False) -> Flat:
    """Take values apart along a tree of actions.

    Args:
        tree: actions in the structure of the values. A dictionary fits mappings and dataclasses.
        value: what a model takes or returns. None fits any tree, as an optional value left out.
        name: what messages call it.
        every: keep the entries that a dictionary of actions does not name, which must hold no
            tensor; else these are left out, and are None in a dataclass.

    Raises:
        TypeError: a value is of another kind than the tree.
        ValueError: entries are missing or too many, or a tensor has no action.
    """
    found = _Found([], [], [])
    structure = _take(tree, value, name, every, found)
    return Flat(structure, tuple(found.names), tuple(found.actions), tuple(found.values))


class _Found(NamedTuple):
    """What `Flat` holds, while it is collected."""

    names: list[str]
    actions: list[Action | None]
    values: list[Any]


# no function inside `flatten`: one that calls itself would keep its values until the garbage
# collector runs, all inputs and outputs of a model
def _take(tree: Any, value: Any, name: str, every: bool, into: _Found) -> Structure:
    """Collect the values of a tree, and return how they are nested; see `flatten`."""
    if value is None or tree is None or isinstance(tree, Action):
        into.names.append(name)
        into.actions.append(None if value is None else tree)
        into.values.append(value)
        return Structure()
    found = entries_of(value)
    if found is None or isinstance(tree, Mapping) != isinstance(found, dict):
        raise TypeError(f"{name} is {shown(value)}: expected {shown(tree)}")
    if isinstance(found, list):
        if len(found) != len(tree):
            raise ValueError(f"{name} is {shown(value)}: expected {shown(tree)}")
        trees = enumerate(zip(tree, found, strict=True))
        parts = tuple(_take(t, x, f"{name}[{place}]", every, into) for place, (t, x) in trees)
        return Structure(type(value), (), parts)
    if not tree.keys() <= found.keys():
        raise ValueError(f"{name} is {shown(value)}: expected {shown(tree)}")
    named = {}
    for key, x in found.items():
        place = f"{name}[{key!r}]"
        if key in tree:
            named[key] = _take(tree[key], x, place, every, into)
        elif every:
            refuse_tensors(x, place)
            named[key] = _take(None, x, place, every, into)
        elif is_dataclass(value):
            named[key] = _take(None, None, place, every, into)
    return Structure(type(value), tuple(named), tuple(named.values()))


def bind(
    actions: tuple[Any, ...] | dict[str, Any],
    names: Sequence[str],
    inputs: Sequence[Any],
    named: Mapping[str, Any],
) -> Flat:
    """Return the arguments of a call, each with its action; whole they are (args, kwargs).

    Args:
        actions: trees by place or by name, as `as_input_actions` returns them.
        names: of the arguments that may be passed by place, as `argument_names` returns them.
        inputs: arguments by place.
        named: arguments by name. What has no tree passes as it is, and must hold no tensor.

    Raises:
        TypeError: an argument is of another kind than its tree.
        ValueError: a tensor has no action, or the number of arguments is another.
    """
    by_name = actions if isinstance(actions, dict) else dict(zip(names, actions, strict=False))
    if isinstance(actions, tuple):
        count = len(inputs) + sum(name in by_name for name in named)
        if count != len(actions):
            raise ValueError(
                f"{count} inputs for {len(actions)} input actions: pass input_action= a tuple "
                "with one action for each input, Trivial(group) for those that do not move, or a "
                "dictionary of actions by the names of the arguments"
            )
        trees = list(actions[: len(inputs)])
    else:
        if len(inputs) > len(names):
            raise ValueError(
                f"{len(inputs)} inputs by place, of which the names are not known: pass them by "
                f"name, as {next(iter(actions))}=…"
            )
        trees = [by_name.get(name, UNDECLARED) for name in names[: len(inputs)]]
    parts = []
    for place, (tree, x) in enumerate(zip(trees, inputs, strict=True)):
        own = f" ({names[place]})" if tree is UNDECLARED else ""
        parts.append(_argument(tree, x, f"input {place}{own}"))
    parts += [_argument(by_name.get(k, UNDECLARED), x, f"input {k}") for k, x in named.items()]
    structures = [part.structure for part in parts]
    by_place = Structure(tuple, (), tuple(structures[: len(inputs)]))
    rest = Structure(dict, tuple(named), tuple(structures[len(inputs) :]))
    return Flat(
        Structure(tuple, (), (by_place, rest)),
        tuple(name for part in parts for name in part.names),
        tuple(action for part in parts for action in part.actions),
        tuple(x for part in parts for x in part.values),
    )


def _argument(tree: Any, value: Any, name: str) -> Flat:
    if tree is UNDECLARED:
        refuse_tensors(value, name)
        tree = None
    return flatten(tree, value, name, every=True)


def argument_names(module: Any, actions: Any) -> list[str]:
    """Return the names of the arguments that a module takes by place; none if it hides them.

    Raises:
        ValueError: a dictionary of actions names an argument that the module lacks.
    """
    known = _parameters(module)
    names = [p.name for p in known]
    takes_any = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in known)
    if isinstance(actions, dict) and known and not takes_any:
        for name in actions:
            if name not in names:
                raise ValueError(
                    f"input_action names {name!r}, which {type(module).__name__}.forward does not "
                    f"take: expected one of {', '.join(names)}"
                )
    by_place = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [p.name for p in known if p.kind in by_place]


def _parameters(module: Any) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(module.forward).parameters.values())
    except (TypeError, ValueError):  # scripted ones
        return []


def pick(value: Any, output: str | int | None, name: str) -> Any:
    """Return one entry of what a model returned, all of it for None.

    Raises:
        TypeError: there are no entries.
        ValueError: there is no such entry.
    """
    if output is None:
        return value
    found = entries_of(value)
    if found is None:
        raise TypeError(f"{name} is {shown(value)}: expected one with an entry {output!r}")
    by_name = dict(enumerate(found)) if isinstance(found, list) else found
    if output not in by_name:
        raise ValueError(f"{name} is {shown(value)}: output={output!r} is not one of its entries")
    return by_name[output]


def entries_of(value: Any) -> dict[Any, Any] | list[Any] | None:
    """Return what a container holds, by name or by place; None for what is not a container."""
    if is_dataclass(value) and not isinstance(value, type):  # of transformers too
        return {f.name: getattr(value, f.name) for f in fields(value) if f.init}
    if isinstance(value, Mapping):
        return dict(value.items())
    return list(value) if isinstance(value, list | tuple) else None


def refuse_tensors(value: Any, name: str) -> None:
    """Raise a ValueError if a value without an action is a tensor, or holds one."""
    found = entries_of(value)
    for x in found.values() if isinstance(found, dict) else found or ():
        refuse_tensors(x, name)
    if isinstance(value, Tensor):
        raise ValueError(
            f"{name} is {shown(value)} without an action: name it in input_action, with "
            "Trivial(group) if it has a batch and does not move, None if it has no batch"
        )


def shown(value: Any) -> str:
    """Return in words what a value is, or what a tree of actions expects."""
    found = entries_of(value)
    if isinstance(found, dict):
        kind = "a mapping" if type(value) is dict else type(value).__name__
        return f"{kind} with the entries {', '.join(map(str, found)) or 'none'}"
    if isinstance(found, list):
        return f"a {type(value).__name__} of {len(found)}"
    if isinstance(value, Action):
        return "one tensor"
    return f"a tensor {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__


def saved_tree(tree: Any, name: str) -> Any:
    """Return a tree of actions as JSON, each as `saved_config` gives it.

    Raises:
        ValueError: an action could not be loaded again; it is named.
    """
    if isinstance(tree, Mapping):
        return {"dict": {key: saved_tree(t, f"{name}[{key!r}]") for key, t in tree.items()}}
    if isinstance(tree, list | tuple):
        return [saved_tree(t, f"{name}[{place}]") for place, t in enumerate(tree)]
    return tree if tree is None else saved_config(tree, name)


def tree_from_config(config: Any) -> Any:
    """Return the tree of actions that `saved_tree` described; sequences as tuples."""
    if isinstance(config, list):
        return tuple(map(tree_from_config, config))
    if config is None or "dict" not in config:
        return config if config is None else from_config(config)
    return {key: tree_from_config(each) for key, each in config["dict"].items()}
