"""A scorer of one's own, by its import path."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import re
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from equitune.io.names import nearest, show
from equitune.language.labels import check_labels


class OwnScorer:
    """A function from texts to labels as a scorer of regard like any other.

    Args:
        label: gives one of `REGARD_LABELS` for each text; if it has a method `recognises`, that
            says in which texts it recognises anything, else it does in all of them.
        path: what messages call it.
    """

    def __init__(self, label: Callable[[list[str]], Sequence[str]], path: str) -> None:
        """Store the function."""
        self.label, self.path = label, path

    def __call__(self, texts: Sequence[str]) -> list[str]:
        """Return one of `REGARD_LABELS` for each text.

        Raises:
            ValueError: the function fails, gives another label, or not one for each text.
        """
        labels: list[str] = self._ask(self.label, texts, "labels")
        for text, label in zip(texts, labels, strict=True):
            try:
                check_labels([label])
            except ValueError as error:
                raise ValueError(
                    f"the scorer {self.path} on the text {show(text)}: {error}"
                ) from None
        return labels

    def recognises(self, texts: Sequence[str]) -> list[bool]:
        """Return of each text whether there is anything in it that the scorer goes by.

        Raises:
            ValueError: its method fails, or gives not one answer for each text.
        """
        known: Any = getattr(self.label, "recognises", None)
        return [True] * len(texts) if known is None else self._ask(known, texts, "answers")

    def _ask(self, function: Callable[[list[str]], Any], texts: Sequence[str], what: str) -> Any:
        """Return what a function of the scorer gives for texts, one for each."""
        try:
            found = function(list(texts))
        except Exception as error:  # whatever the function makes of a text
            text = next((text for text in texts if _fails(function, text)), None)
            place = f"{len(texts)} texts" if text is None else f"the text {show(text)}"
            line = traceback.extract_tb(error.__traceback__)[-1]
            raise ValueError(
                f"the scorer {self.path} failed on {place}: {type(error).__name__}: "
                f"{show(str(error))} ({Path(line.filename).name}, line {line.lineno})"
            ) from error
        try:
            answers = None if isinstance(found, str) else list(found)
        except TypeError:
            answers = None
        gave = f"the scorer {self.path} gave"
        if answers is None:
            raise ValueError(f"{gave} {show(found)}: expected a list of {what}")
        if len(answers) != len(texts):
            raise ValueError(f"{gave} {len(answers)} {what} of {len(texts)} texts")
        return answers


def check_path(path: str) -> None:
    """Check that a scorer can be found, without running its module.

    Args:
        path: as for `load_scorer`.

    Raises:
        ValueError: it is no import path, or there is no such module, or no such name in it.
    """
    file = module_file(path)
    if file is None:
        return
    name = path.partition(":")[2]
    try:
        names = _names(ast.parse(file.read_bytes()))
    except (OSError, SyntaxError, ValueError) as error:
        raise ValueError(f"the scorer {path}: {file} cannot be read: {error}") from None
    if names is not None and name not in names:
        raise ValueError(f"the scorer {path}: {file} has no {name!r}{nearest(name, names)}")


def module_file(path: str) -> Path | None:
    """Return the Python file that a scorer stands in, without running its module.

    Args:
        path: as for `load_scorer`.

    Returns:
        None for what has no Python file, or whose package fails when it is imported.

    Raises:
        ValueError: it is not an import path, or there is no such module.
    """
    module, _ = _apart(path)
    importlib.invalidate_caches()
    try:
        spec = importlib.util.find_spec(module)
    except ModuleNotFoundError as error:
        raise ValueError(f"the scorer {path} cannot be imported: {error}") from None
    except Exception:  # of a package around it, which is run for that: left to the job
        return None
    if spec is None:
        raise ValueError(f"the scorer {path} cannot be imported: No module named {module!r}")
    return Path(spec.origin) if spec.origin and spec.origin.endswith(".py") else None


def load_scorer(path: str) -> OwnScorer:
    """Import a scorer: a function, or a class that is made without arguments.

    Args:
        path: "module:name"; the module is looked for in this folder too.

    Raises:
        ValueError: there is no such module or name, or it cannot be called.
    """
    module, name = _apart(path)
    try:
        found = getattr(importlib.import_module(module), name)
        label = found() if isinstance(found, type) else found
    except Exception as error:  # whatever the module does when it is run
        kind = (
            "" if isinstance(error, ImportError | AttributeError) else f"{type(error).__name__}: "
        )
        raise ValueError(f"the scorer {path} cannot be imported: {kind}{error}") from error
    if not callable(label):
        raise ValueError(f"the scorer {path} is {type(label).__name__}: expected a function")
    return OwnScorer(label, path)


def _apart(path: str) -> tuple[str, str]:
    """Return module and name of an import path; modules of this folder can be imported then."""
    module, _, name = path.partition(":")
    words = [*module.split("."), name]
    if not all(word.isidentifier() for word in words) or module.endswith(".py"):
        stem = re.sub(r"\.py$", "", module.replace("\\", "/").rpartition("/")[2])
        hint = f", such as {stem}:label" if stem.isidentifier() and stem != module else ""
        raise ValueError(
            f"the scorer {show(path)} is not an import path: expected module:function{hint}"
        )
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)
    return module, name


def _names(tree: ast.Module) -> set[str] | None:
    """Return the names that a module's own lines define; None where others may come to it."""
    names = set[str]()
    for node in ast.walk(tree):  # inside if and try too; of functions it is more than there is
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.alias):
            names.add(node.asname or node.name.partition(".")[0])
    calls = (node.func for node in ast.walk(tree) if isinstance(node, ast.Call))
    made = {call.id for call in calls if isinstance(call, ast.Name)} & {
        "globals",
        "setattr",
        "exec",
    }
    return None if made or names & {"*", "__getattr__"} else names


def _fails(function: Callable[[list[str]], Any], text: str) -> bool:
    """Say whether a function fails on one text by itself."""
    try:
        function([text])
    except Exception:
        return True
    return False
