"""Texts and YAML that people write, read with care."""

import codecs
import re
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from equitune.compat import extra
from equitune.io.names import shorten, show

with extra("workflow"):
    import yaml

VALUES = 100_000  # in one YAML text, an alias counted as all that it stands for
REASON = 200  # letters


def read_text(path: Path) -> str:
    r"""Return a file's text, its lines ended by \n and without a byte order mark.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not text, or not UTF-8; file and line are named.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        marked = error.object.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        if b"\0" in error.object and not marked:
            raise ValueError(f"{path} is not a text file: name a file of text") from None
        line = error.object.count(b"\n", 0, error.start) + 1
        byte = error.object[error.start]
        raise ValueError(
            f"{path}, line {line}: byte 0x{byte:02x} is not UTF-8: save the file as UTF-8"
        ) from None
    return re.sub("\r\n?", "\n", text)


def lines_of(text: str) -> Iterator[str]:
    r"""Yield the lines of a text one at a time, each with its \n, as a file does."""
    for line in re.finditer(r"[^\n]*\n|[^\n]+", text):
        yield line[0]


def parse_yaml(text: str, where: str) -> Any:
    """Return plain data from YAML or JSON, as a person would take it.

    Nothing in it is executed: tags, which make objects of other kinds, are refused. So are a key
    that stands twice, of which YAML would silently take the last, and aliases of aliases that
    stand for more than a memory holds.

    Args:
        text: what is read.
        where: file or option, with which an error opens.

    Raises:
        ValueError: it is not YAML of that kind; line and reason are named.
    """
    try:
        return _Loader(text).get_single_data()
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        reason = f"{line}{error.problem or error.context}"
    except RecursionError:
        reason = "brackets are nested too deep"
    # ValueError: 2024-13-01 is not a date; OverflowError: 99…9:00.0 no number in base 60
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        reason = " ".join(str(error).split())
    raise ValueError(f"{where} is not YAML: {shorten(reason, REASON)}")


class _Loader(yaml.SafeLoader):
    """Makes plain data, and refuses what `parse_yaml` says."""

    def __init__(self, text: str) -> None:
        """Begin with a text."""
        super().__init__(text)
        self._sizes: dict[yaml.Node, int] = {}  # values in each finished node, itself included

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Take a value, unless it has a tag or is one of too many."""
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if tag := getattr(event, "tag", None):
            raise _refusal(f"the tag {tag} is not read: write plain values", event)
        node: yaml.Node = super().compose_node(parent, index)  # type: ignore[assignment]
        if node not in self._sizes:
            if isinstance(event, yaml.AliasEvent):
                raise _refusal(f"*{event.anchor} stands inside what it stands for", event)
            self._sizes[node] = 1 + sum(self._sizes[each] for each in _inside(node))
        if self._sizes[node] > VALUES:
            raise _refusal(f"more than {VALUES} values, aliases written out", event)
        return node

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """Take a mapping of names, unless it has one twice."""
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _refusal("a key is a list or a mapping: write a name", key)
            if (key.tag, key.value) in seen:
                raise _refusal(f"the key {show(key.value)} stands twice: keep one", key)
            seen.add((key.tag, key.value))
        return node


def _inside(node: yaml.Node) -> Iterable[yaml.Node]:
    """The values of a list, the keys and values of a mapping; nothing for one value."""
    if isinstance(node, yaml.MappingNode):
        return chain.from_iterable(node.value)
    return node.value if isinstance(node, yaml.SequenceNode) else ()


def _refusal(problem: str, where: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=where.start_mark)
