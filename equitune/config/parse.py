"""Plain data made a dataclass, or one line that says what is wrong with it."""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError

from equitune.io.names import LONGEST, nearest, shorten, show

# pydantic's errors about a value that is of another kind than keys or a list
KINDS = ("dataclass_type", "dict_type", "list_type")


def parse(kind: type, value: Any, name: str = "config") -> Any:
    """Build one of the dataclasses from plain data; ValueError of one line as `load`."""
    adapter: TypeAdapter[Any] = TypeAdapter(kind)
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        errors = error.errors(include_url=False)
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        raise ValueError(
            f"{name}: {_sentence(errors[0], adapter.json_schema(), value)}{more}"
        ) from None


def _sentence(error: Any, whole: dict[str, Any], value: Any) -> str:
    """One pydantic error about a value as a sentence."""
    place = [part for part in error["loc"] if part != "[key]"]
    names = [f"[{p}]" if isinstance(p, int) else f".{shorten(p, LONGEST)}" for p in place]
    where = "".join(names).lstrip(".")
    if error["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        keys = _node(whole, place[:-1]).get("properties", {})
        inside = "".join(names[:-1]).lstrip(".") or "the configuration"
        return f"unknown key {show(place[-1])} in {inside}{nearest(str(place[-1]), keys)}"
    if error["type"] == "literal_error":
        node = _node(whole, place)
        known = map(str, node.get("enum", node.get("propertyNames", {}).get("enum", [])))
        return f"{where}: unknown value {show(error['input'])}{nearest(str(error['input']), known)}"
    if error["type"] in ("missing", "missing_argument"):
        return f"{where} is missing; config/config.yaml has every key with its default"
    if error["type"] == "string_pattern_mismatch":
        # a key that is wrong is a name; what describes it there is its value
        node = {} if error["loc"][-1] == "[key]" else _node(whole, place)
        expected = node.get("description", "up to 64 letters, digits and underscores")
        return f"{where} is {show(error['input'])}: expected {expected}"
    if error["type"] in KINDS:
        return _of_another_kind(error, where, place, whole, value)
    message = error["msg"][0].lower() + error["msg"][1:]
    return f"{where or 'value'} is {show(error['input'])}: {message}"


def _of_another_kind(
    error: Any, where: str, place: list[Any], whole: dict[str, Any], value: Any
) -> str:
    """The sentence about a value where keys or a list are expected."""
    given = error["input"]
    if error["type"] == "list_type":
        scalar = isinstance(given, str | int | float)
        example = shorten(str(given), LONGEST) if scalar else "A, B"
        return f"{where or 'value'} is {show(given)}: expected a list, as [{example}]"
    if given is None and where:
        return f"{where} has no keys: indent the lines below it, or leave it out"
    beside = _at(value, place[:-1])
    keys = [*_node(whole, place).get("properties", {})]
    if place and place[-1] in keys and isinstance(beside, Mapping):
        # a key of what is expected, where the name of one is
        name = next((key for key, each in beside.items() if isinstance(each, Mapping)), "NAME")
        inside = f"{name}: {{{place[-1]}: {show(given)}}}"
        return f"{where} is {show(given)}: expected a name, and the key inside, as {inside}"
    inside = f", as {{{keys[0]}: …}}" if keys else ""
    return f"{where or 'value'} is {show(given)}: expected keys with values{inside}"


def _at(value: Any, place: Iterable[Any]) -> Any:
    """What plain data holds at a place, or None."""
    for part in place:
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _node(whole: dict[str, Any], place: Iterable[Any]) -> dict[str, Any]:
    """The part of a schema that describes the value at a place."""
    node = resolve(whole, whole)
    for part in place:
        node = _present(whole, node)
        if isinstance(part, int):
            node = node.get("items", node)
        elif part in node.get("properties", {}):
            node = node["properties"][part]
        elif named := named_values(node):
            # a dictionary's own key may be what is wrong
            node = named | {"propertyNames": node.get("propertyNames", {})}
        node = resolve(whole, node)
    return _present(whole, node)


def _present(whole: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    """What describes a value that may be null, where it is not."""
    kinds = [kind for kind in node.get("anyOf", []) if kind.get("type") != "null"]
    return node | resolve(whole, kinds[0]) if len(kinds) == 1 else node


def resolve(whole: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    """Follow a reference inside the schema."""
    if "$ref" in node:
        rest = {key: value for key, value in node.items() if key != "$ref"}
        referred: dict[str, Any] = whole["$defs"][node["$ref"].rpartition("/")[2]]
        return referred | rest
    return node


def named_values(node: dict[str, Any]) -> dict[str, Any]:
    """What a dictionary with names of one's own holds under each of them, or {}."""
    values = [node.get("additionalProperties"), *node.get("patternProperties", {}).values()]
    return next((value for value in values if isinstance(value, dict)), {})
