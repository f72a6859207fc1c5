"""The code that a command runs, as a short hash: a change of it makes the results stale.

Of each module the syntax tree is hashed without docstrings, so that comments, line breaks and
docstrings change nothing. A command's hash is that of its own function and of all modules that it
imports, directly and through others; imports for types alone do not count.
"""

import ast
import hashlib
import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from equitune.io.files import atomic_write

PACKAGE = Path(__file__).resolve().parents[1]
ROOMS = ("scan", "image", "language", "results")  # whose commands stand in their own `…cli`
READER = "read by"  # in the file of what was read: when this module was written
# what these say or show changes no result; what a method does, and what a figure is drawn from,
# stands in inputs and params of its rules
CATALOGUE = ("results.catalogue", "results.catalogue.record")
INERT = frozenset(("", "methods", "compat", "io.names", "run.progress", *CATALOGUE))


class Code:
    """Hashes of the package's commands.

    Args:
        known: JSON file in which what was read of each module is kept, as reading takes a second.
        package: folder of the package.
    """

    def __init__(self, known: Path | None = None, package: Path = PACKAGE) -> None:
        """Read all modules, or what is known of those that have not changed."""
        before: dict[str, Any] = {}
        if known is not None:
            with suppress(OSError, ValueError):
                before = json.loads(known.read_text(encoding="utf-8"))
        own = Path(__file__).stat().st_mtime_ns  # another version of this may read other things
        before = before if before.get(READER) == own else {}
        self._modules: dict[str, Any] = {}
        for file in sorted(package.rglob("*.py")):
            parts = file.relative_to(package).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            stat = file.stat()
            stamp = [stat.st_mtime_ns, stat.st_size]
            old = before.get(name)
            fresh = isinstance(old, dict) and old.get("stamp") == stamp
            self._modules[name] = old if fresh else {"stamp": stamp} | _read(file)
        found = {READER: own, **self._modules}
        if known is not None and found != before:
            with suppress(OSError), atomic_write(known) as temporary:  # a read-only folder
                temporary.write_text(json.dumps(found), encoding="utf-8")

    def of(self, text: str, uses: Iterable[str] = ()) -> str:
        """Return the hash of the code of a command.

        Args:
            text: the command, as "scan tune --dataset …".
            uses: further modules that it imports by a name that is worked out, as "results.style".

        Raises:
            KeyError: there is no such command or module.
        """
        reached = self.modules(text, uses)
        facts = [self._command(text)["digest"]]
        facts += [f"{name} {self._modules[name]['digest']}" for name in reached]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:8]

    def modules(self, text: str, uses: Iterable[str] = ()) -> list[str]:
        """Return the modules that a command imports, by name; see `of`."""
        return self._closure([*self._command(text)["imports"], *([name, ""] for name in uses)])

    def _command(self, text: str) -> Any:
        """What is known of the function of a command."""
        first, second = (*text.split(), "")[:2]
        room, function = (f"{first}.", second) if first in ROOMS else ("", first)
        for name, module in self._modules.items():
            inside = name.startswith(room) if room else name == "cli"
            if inside and function in module["commands"]:
                return module["commands"][function]
        raise KeyError(f"no command {first} {second}")

    def _closure(self, imports: Iterable[list[str]]) -> list[str]:
        """All modules that imports lead to."""
        reached, waiting = set[str](), [self._home(*each) for each in imports]
        while waiting:
            name = waiting.pop()
            if name not in reached and name not in INERT:
                reached.add(name)
                waiting += [self._home(*each) for each in self._modules[name]["imports"]]
        return sorted(reached)

    def _home(self, module: str, name: str) -> str:
        """The module that a name comes from; a package may only hand it on."""
        inner = f"{module}.{name}".strip(".")
        if inner in self._modules:
            return inner
        handed_on = self._modules[module]["hands_on"].get(name)
        return self._home(*handed_on) if handed_on else module


def _read(file: Path) -> dict[str, Any]:
    """What is to be known of a module."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    outside = {alias: found for found, alias in _imports(tree.body, deep=False)}
    commands = {}
    if file.name.endswith("cli.py"):  # long ones are divided
        for node in tree.body:
            if isinstance(node, ast.FunctionDef):
                used = {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
                inside = [found for found, _ in _imports([node])]
                outer = [found for alias, found in outside.items() if alias in used]
                commands[node.name] = {"digest": _digest(node), "imports": [*inside, *outer]}
    return {
        "digest": _digest(tree),
        "imports": [found for found, _ in _imports(tree.body)],
        "hands_on": outside if file.name == "__init__.py" else {},
        "commands": commands,
    }


def _imports(body: Iterable[ast.AST], deep: bool = True) -> Iterator[tuple[list[str], str]]:
    """Yield what code imports from the package, [module, name], and what it calls it."""
    for node in body:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "equitune":
            for each in node.names:
                module = (node.module or "").removeprefix("equitune").removeprefix(".")
                yield [module, each.name], each.asname or each.name
        elif deep or isinstance(node, ast.With | ast.Try):
            yield from _imports(ast.iter_child_nodes(node), deep)


def _digest(tree: ast.AST) -> str:
    """A hash of code without its docstrings; the tree is changed."""
    for node in ast.walk(tree):
        match node:
            case ast.Expr(value=ast.Constant(value=str()) as docstring):
                docstring.value = ""
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()[:16]
