"""Whether an action comes back from its description as it is."""

from __future__ import annotations

import hashlib
import inspect
import json
import reprlib
import textwrap
import types
from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from equitune.actions.base import Action, from_config
from equitune.actions.inputs import ActionTree
from equitune.groups import FiniteGroup
from equitune.saving.values import Unwritable

DEFINE = "define config() and build(config), so that build(config()) gives an equal action"
_NO_CODE = {  # of a class: where it stands, not what it does
    *("__dict__", "__weakref__", "__doc__", "__module__", "__annotations__", "__annotate_func__"),
    *("__firstlineno__", "__static_attributes__", "__annotations_cache__"),
}


def saved_config(action: Action, name: str) -> dict[str, Any]:
    """Return an action's `config` as JSON, once an equal action has been built from it.

    The attributes of both are compared, as ``__getstate__`` gives them. A `cached_property` may be
    filled that is empty in the new action, and so may a private attribute, unless the class has a
    `config` or `build` of its own, which could have forgotten it.

    Args:
        action: the action to save.
        name: what error messages call it.

    Raises:
        ValueError: the action cannot be described, read back or told from another one.
    """
    who = f"{name} ({type(action).__name__}) cannot be saved"
    try:
        config: dict[str, Any] = json.loads(json.dumps(action.config()))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{who}: {_line(error)}: {DEFINE}") from error
    except Exception as error:  # a user's config, as build below, raises what it likes
        raise ValueError(f"{who}: its config raised {error!r}: {DEFINE}") from error
    try:
        again = from_config(config)
    except Exception as error:
        raise ValueError(
            f"{who}: {type(error).__name__} when it is built from its config ({_line(error)}): "
            f"{DEFINE}"
        ) from error
    if type(again) is not type(action) and _code_of(type(again)) != _code_of(type(action)):
        raise ValueError(
            f"{who}: {type(again).__module__}.{type(again).__qualname__} now names another class "
            "than that of this action: give each class a name of its own, or build the action anew"
        )
    if fault := _difference(action, again):
        raise ValueError(
            f"{who}: it would come back with {fault}: set this in the constructor, from arguments "
            f"alone, leave it out of __getstate__ if it changes nothing, or {DEFINE}"
        )
    return config


def fingerprint(actions: Sequence[ActionTree | None]) -> Tensor:
    """Return 64 numbers, 0 or 1, that stand for actions, as their `config` describes them.

    A state dict holds them, so that weights are not loaded under another action. They are bits in
    float32, as casts to half precision and averages with their equals leave these as they are.
    """
    text = json.dumps(
        _descriptions(actions), sort_keys=True, default=lambda value: type(value).__name__
    )
    digest = np.frombuffer(hashlib.sha256(text.encode()).digest()[:8], np.uint8)
    return torch.from_numpy(np.unpackbits(digest).astype(np.float32))


def stands_for(state: Tensor, actions: Sequence[ActionTree | None]) -> bool:
    """Say whether a state, as `fingerprint` returned it, stands for these actions.

    One that was cast or averaged with its equals does; of one on "meta" nobody can say otherwise.
    """
    own = fingerprint(actions)
    if state.shape != own.shape or state.is_meta:
        return state.shape == own.shape
    return torch.equal(state.detach().float().cpu().round(), own)


def take_earlier(
    state: dict[str, Any], prefix: str, places: Mapping[str, Any], own: Tensor
) -> None:
    """Take a state dict that says nothing of the actions, or holds them as version 0.1.0 did.

    Args:
        state: changed so that it holds what stands for the actions, and no permutations.
        prefix: of the model's keys.
        places: the model's actions by the names under which that version kept their rows.
        own: what stands for these actions, as `fingerprint` returns it.
    """
    for name, action in places.items():
        rows = state.pop(f"{prefix}{name}.permutations", None)
        expected = getattr(action, "permutations", None)
        if rows is not None and (expected is None or not torch.equal(rows.cpu(), expected)):
            state[f"{prefix}_extra_state"] = torch.empty(0)  # stands for no action: refused
    state.setdefault(f"{prefix}_extra_state", own)


def _descriptions(tree: ActionTree | None) -> Any:
    """Return what stands for each action of a tree, in its structure."""
    if isinstance(tree, Mapping):
        return {"entries": {key: _descriptions(part) for key, part in tree.items()}}
    if isinstance(tree, Sequence):
        return [_descriptions(part) for part in tree]
    return None if tree is None else _description(tree)


def _description(action: Action) -> Any:
    """Return an action's `config`, or what of it can be written; classes without their module.

    A script's classes have another module when it is imported.
    """
    try:
        config = action.config()
    except Exception:  # it cannot be saved, but has a state dict
        known = {k: v for k, v in (action._arguments or {}).items() if type(v) is not Unwritable}
        config = {"action": action._name(), "group": action.group.config(), "arguments": known}
    return _without_modules(config)


def _without_modules(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_modules(x) for x in value]
    if not isinstance(value, dict):
        return value
    plain = {key: _without_modules(x) for key, x in value.items()}
    if isinstance(name := plain.get("action"), str):
        plain["action"] = name.rpartition(".")[2]
    return plain


def _difference(action: Action, again: Action) -> str:
    """Return what of an action is another one's in the one built anew; "" where all is equal."""
    old, new = _attributes(action), _attributes(again)
    caches = action._is_described_here()  # else what seems a cache may be a forgotten argument
    for key in sorted(old.keys() | new.keys()):
        default = getattr(type(again), key, None)  # of the class, where the object has none
        was, comes = old.get(key, default), new.get(key, default)
        empty = comes is None or (isinstance(comes, list | dict | set) and not comes)
        if caches and key.startswith("_") and empty and key in old:
            continue
        if isinstance(default, cached_property) or _form(was) == _form(comes):
            continue
        if isinstance(was, FiniteGroup) and was == comes:
            if was.names == comes.names and not _own(type(action)):
                continue  # of a group the actions of this package use no more
            return f"{key} a {type(comes).__name__} in place of a {type(was).__name__}"
        return f"{key} {_show(comes)} in place of {_show(was)}"
    return ""


def _own(kind: type[Action]) -> bool:
    """Say whether a class is a user's."""
    return "." in kind._name()


def _attributes(x: Any) -> dict[str, Any]:
    state = x.__getstate__()
    return state if isinstance(state, dict) else {"its state": state}


def _form(x: Any, above: tuple[int, ...] = ()) -> Any:
    """Return what a value holds, in plain values that are equal where it is the same."""
    if x is None or isinstance(x, bool | int | str | bytes):
        return type(x).__qualname__, x
    if id(x) in above:  # it holds itself
        return "above", above.index(id(x))
    inside = (*above, id(x))
    match x:
        case float() | complex():
            return type(x).__qualname__, repr(x)  # nan is nan here
        case Tensor():
            return "tensor", x.dtype, tuple(x.shape), _bytes(x)
        case np.ndarray() if not x.dtype.hasobject:
            return "array", x.dtype.str, x.shape, x.tobytes()
        case FiniteGroup():  # one of a class of one's own comes back as its table
            return "group", _form(vars(x), inside)
        case list() | tuple():
            return type(x).__qualname__, [_form(y, inside) for y in x]
        case set() | frozenset():
            return type(x).__qualname__, sorted((_form(y, inside) for y in x), key=repr)
        case Mapping():
            items = [(_form(key, inside), _form(y, inside)) for key, y in x.items()]
            return type(x).__qualname__, sorted(items, key=repr)
        case type() | types.ModuleType() | types.BuiltinFunctionType():
            return type(x).__name__, getattr(x, "__module__", None), x.__name__
        case types.CodeType():  # without the lines on which it stands
            names = (x.co_names, x.co_varnames, x.co_freevars)
            return "code", x.co_code, names, _form(x.co_consts, inside)
        case types.FunctionType():
            cells = list(inspect.getclosurevars(x).nonlocals.items())
            parts = (x.__code__, x.__defaults__, x.__kwdefaults__, cells)
            return "function", *(_form(part, inside) for part in parts)
        case types.MethodType() | staticmethod() | classmethod():
            return "method", _form(x.__func__, inside), _form(getattr(x, "__self__", 0), inside)
        case property():
            return "property", *(_form(f, inside) for f in (x.fget, x.fset, x.fdel))
        case partial():
            return "partial", *(_form(y, inside) for y in (x.func, x.args, x.keywords))
    try:
        state = x.__getstate__()
    except Exception:  # it has none, such as a lock
        state = None
    return "object", _form(type(x)), _form(state, inside) if state is not None else repr(x)


def _code_of(kind: type) -> Any:
    """Return what a class does: its name and its methods, wherever they stand."""
    own = {key: x for key, x in vars(kind).items() if key not in _NO_CODE}
    return kind.__module__, kind.__qualname__, [_form(base) for base in kind.__bases__], _form(own)


def _bytes(x: Tensor) -> bytes:
    x = x.detach().cpu().resolve_conj().resolve_neg().contiguous()
    return x.reshape(-1).view(torch.uint8).numpy().tobytes()


def _show(x: Any) -> str:
    return " ".join(reprlib.repr(x).split())


def _line(error: Exception) -> str:
    return textwrap.shorten(str(error), 200, placeholder=" …")
