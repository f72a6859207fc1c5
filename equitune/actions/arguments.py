"""What a constructor was called with, kept as JSON."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass
from functools import wraps
from inspect import Signature, signature
from typing import Any, TypeVar

from equitune.saving.values import WRITABLE, Unwritable, decode, encode_or_why

T = TypeVar("T")


def signature_of(kind: type) -> Signature:
    """Return the signature of a constructor, without self."""
    full = signature(kind.__init__)  # type: ignore[misc]
    return full.replace(parameters=list(full.parameters.values())[1:])


def besides_group(kind: type) -> list[str] | None:
    """Return what a constructor takes besides a group; None where it takes a group alone."""
    names = list(signature_of(kind).parameters)
    return None if names == ["group"] else [name for name in names if name != "group"]


def arguments_of(x: Any, kept: dict[str, Any] | None) -> dict[str, Any]:
    """Return what an object was built from, if all of it can be written.

    Args:
        x: the object; the fields of a dataclass are what it is built from.
        kept: what `keeping_arguments` has kept of the call.

    Raises:
        ValueError: an argument cannot be written, or none were kept.
    """
    if kept is None and is_dataclass(x):
        kept = {f.name: encode_or_why(getattr(x, f.name)) for f in fields(x) if f.init}
    if kept is None:
        raise ValueError("what its constructor was called with is not known")
    for name, value in kept.items():
        if isinstance(value, Unwritable):
            raise ValueError(f"its argument {name} is {value}, expected {WRITABLE}")
    return kept


def construct(kind: type[T], config: dict[str, Any]) -> T:
    """Return what a constructor makes of a description, "arguments" or "group" alone.

    Raises:
        ValueError: the description has not the arguments that the constructor takes.
    """
    called, arguments = signature_of(kind), config.get("arguments")
    if arguments is None:
        if missing := besides_group(kind):
            raise ValueError(
                f"{kind.__name__} was saved without its {', '.join(missing)}: save it again, or "
                'write "arguments": {…} with all that its constructor takes beside "action"'
            )
        arguments = {"group": config["group"]} if called.parameters else {}
    if unknown := arguments.keys() - called.parameters.keys():
        raise ValueError(
            f"{kind.__name__} takes no {', '.join(sorted(unknown))}, with which it was saved: use "
            "the class as it was then"
        )
    bound = called.bind_partial()
    bound.arguments.update({name: decode(value) for name, value in arguments.items()})
    return kind(*bound.args, **bound.kwargs)


def keeping_arguments(init: Callable[..., None]) -> Callable[..., None]:
    """Return a constructor that keeps what it is called with, as it is at that time."""

    @wraps(init)
    def keep(self: Any, *args: Any, **kwargs: Any) -> None:
        if type(self).__init__ is keep and self._is_described_here():  # not a base's
            vars(self)["_arguments"] = _encoded(signature_of(type(self)), args, kwargs)
        init(self, *args, **kwargs)

    return keep


def _encoded(
    called: Signature, args: Sequence[Any], kwargs: dict[str, Any]
) -> dict[str, Any] | None:
    """Return the arguments of a call as JSON; None if they do not fit, which the call will say."""
    try:
        bound = called.bind(*args, **kwargs)
    except TypeError:
        return None
    passed = dict(bound.arguments)
    bound.apply_defaults()  # another version of the class may have others
    encoded = {name: encode_or_why(value) for name, value in bound.arguments.items()}
    return {k: v for k, v in encoded.items() if k in passed or not isinstance(v, Unwritable)}
