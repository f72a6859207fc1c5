"""The keys of a JSON schema as a Markdown table; knows no section and no value."""

from collections.abc import Iterator
from typing import Any

from equitune.config.parse import named_values, resolve


def table(whole: dict[str, Any]) -> str:
    """Every key of a schema as a Markdown table: type, default, meaning."""
    lines = ["| key | type | default | meaning |", "| --- | --- | --- | --- |"]
    lines += [f"| `{key}` | {' | '.join(cells)} |" for key, *cells in _keys(whole, whole, "")]
    return "\n".join(lines) + "\n"


def _keys(whole: dict[str, Any], node: dict[str, Any], prefix: str) -> Iterator[tuple[str, ...]]:
    """Key, type, default and meaning of everything below a node of the schema."""
    for key, raw in node["properties"].items():
        value = resolve(whole, raw)
        name, below = f"{prefix}{key}", value
        if named := named_values(value):
            name, below = f"{name}.<name>", resolve(whole, named)
        meaning = raw.get("description", "")
        if "properties" in below:
            yield (name, "section", "", meaning)
            yield from _keys(whole, below, f"{name}.")
        else:
            default = "" if "default" not in value else f"`{value['default']}`"
            yield (name, _kind(whole, below), default, meaning)


def _kind(whole: dict[str, Any], node: dict[str, Any]) -> str:
    """A schema's type in a few words."""
    node = resolve(whole, node)
    if "enum" in node:
        return ", ".join(f"`{value}`" for value in node["enum"])
    if "anyOf" in node:
        return " or ".join(_kind(whole, option) for option in node["anyOf"])
    if node.get("type") == "array":
        inner = node.get("items") or (node.get("prefixItems") or [{}])[0]
        return f"list of {_kind(whole, inner)}"
    return str(node.get("type", "any"))
