"""The keys of a JSON schema as a Markdown table."""

from collections.abc import Iterator
from typing import Any

from equitune.config.parse import named_values, resolve


def table(whole: dict[str, Any]) -> str:
    """Every key of a schema as a Markdown table: type, default, meaning."""
    lines = ["| key | type | default | meaning |", "| --- | --- | --- | --- |"]
    lines += [f"| `{key}` | {' | '.join(cells)} |" for key, *cells in _keys(whole, whole, "", {})]
    return "\n".join(lines) + "\n"


def _keys(
    whole: dict[str, Any], node: dict[str, Any], prefix: str, seen: dict[str, str]
) -> Iterator[tuple[str, ...]]:
    """Key, type, default and meaning of everything below a node of the schema.

    A section that stands in several places is described in the first one.

    Args:
        whole: the schema.
        node: a part of it.
        prefix: of the keys there.
        seen: where the sections of `whole` are described.
    """
    for key, raw in node["properties"].items():
        value = resolve(whole, raw)
        name, part = f"{prefix}{key}", raw
        if named := named_values(value):
            name, part = f"{name}.<name>", named
        below, meaning = resolve(whole, part), raw.get("description", "")
        optional = resolve(whole, {"$ref": _section(part)}) if _section(part) else {}
        below = optional if "properties" in optional else below
        section = "section or `null`" if "anyOf" in part else "section"
        if "properties" not in below:
            default = "" if "default" not in value else f"`{value['default']}`"
            yield (name, _kind(whole, below), default, meaning)
            continue
        if first := seen.get(_section(part)):
            yield (name, section, "", f"{meaning}; its keys are those of `{first}`")
            continue
        seen[_section(part) or name] = name
        yield (name, section, "", meaning)
        yield from _keys(whole, below, f"{name}.", seen)


def _section(part: dict[str, Any]) -> str:
    """Return the reference to a section, also where null may stand in its place, or ""."""
    references = [part, *part.get("anyOf", [])]
    return next((each["$ref"] for each in references if "$ref" in each), "")


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
