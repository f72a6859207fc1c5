"""Settings as one word of a command line: steps=10,batch_size=4; what that cannot say, as JSON.

A value is a number, true, false, null or a plain text; cycles of words, [[a, b], [c, d]], are
a+b/c+d. What stands in a mapping of the settings has both keys: options.momentum=0.1.
"""

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from equitune.io.names import show
from equitune.io.texts import parse_yaml

# no letter here means anything to a shell
NAME = r"[A-Za-z_][A-Za-z0-9_]*"
KEY = r"[A-Za-z_][A-Za-z0-9_.]*"
TEXT = re.compile(r"[A-Za-z0-9_./:@%+-]+")
CYCLE = r"[A-Za-z_][A-Za-z0-9_]*(\+[A-Za-z_][A-Za-z0-9_]*)+"
CYCLES = re.compile(f"{CYCLE}(/{CYCLE})*")


def write(settings: Mapping[str, Any]) -> str:
    """Return settings as `read` takes them, without spaces or quotes where that is possible.

    Args:
        settings: what JSON can hold.
    """
    whole = json.dumps(settings, separators=(",", ":"))
    texts = {key: _text(value) for key, value in json.loads(whole).items()}
    if not texts or None in texts.values() or not all(re.fullmatch(KEY, key) for key in texts):
        return whole
    return ",".join(f"{key}={text}" for key, text in texts.items())


def dotted(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings without mappings in them, as far as their keys allow it; see `nested`."""
    found: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, dict) and value and all(re.fullmatch(NAME, name) for name in value):
            found |= {f"{key}.{name}": inner for name, inner in dotted(value).items()}
        else:
            found[key] = value
    return found


def nested(settings: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return settings with the mappings that `dotted` took apart.

    Args:
        settings: no key of them has a dot of its own.
        where: the option, with which an error opens.

    Raises:
        ValueError: a key has both a value and keys in it; one line.
    """
    found: dict[str, Any] = {}
    for key, value in settings.items():
        inner, (*outer, last) = found, key.split(".")
        for name in outer:
            inner = inner.setdefault(name, {})
            if not isinstance(inner, dict):
                raise ValueError(f"{where}: {name} has a value, and {show(key)} one too: keep one")
        if last in inner:
            raise ValueError(f"{where}: {show(key)} has a value, and keys in it: keep one")
        inner[last] = value
    return found


def read(text: str, where: str) -> Any:
    """Return plain data from key=value,key=value, or from JSON or YAML.

    Args:
        text: what is read.
        where: the option, with which an error opens.

    Raises:
        ValueError: it is none of these; one line.
    """
    if re.match(f"{KEY}=", text):
        return _pairs(text, where)
    if text.startswith("{"):  # JSON first: YAML takes the number 1e-05 for a word
        with suppress(ValueError, RecursionError):
            return json.loads(text, object_pairs_hook=_unique)
    return parse_yaml(text, where)


def _pairs(text: str, where: str) -> dict[str, Any]:
    """What stands as key=value,key=value."""
    found: dict[str, Any] = {}
    for pair in text.split(","):
        key, separator, value = pair.partition("=")
        if not separator or not re.fullmatch(KEY, key):
            raise ValueError(
                f"{where} is {show(text)}: {show(pair)} is not key=value: expected"
                " key=value,key=value without spaces, or JSON"
            )
        if key in found:
            raise ValueError(f"{where} is {show(text)}: the key {show(key)} stands twice: keep one")
        found[key] = _value(value)
    return found


def _value(text: str) -> Any:
    """A value as it stands in the text."""
    with suppress(ValueError, RecursionError):
        if not isinstance(found := json.loads(text), str | list | dict):
            return found
    if CYCLES.fullmatch(text):
        return [cycle.split("+") for cycle in text.split("/")]
    return text


def _text(value: Any) -> str | None:
    """A value as `_value` reads it; None where that cannot say it."""
    match value:
        case None | bool() | int() | float():
            return json.dumps(value)
        case str():
            text = value
        case [[str(), *_], *_]:
            text = "/".join("+".join(map(str, cycle)) for cycle in value if isinstance(cycle, list))
        case _:
            return None
    return text if TEXT.fullmatch(text) and _value(text) == value else None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A mapping of JSON; a key that stands twice is left for YAML's reader to refuse."""
    if len(found := dict(pairs)) < len(pairs):
        raise ValueError("a key stands twice")
    return found
