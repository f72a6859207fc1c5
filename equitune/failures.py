"""What a command that fails says, and its exit code: whether the same command again may succeed."""

import os
from collections.abc import Iterable
from errno import EAGAIN, EDQUOT, EINTR, EIO, EMFILE, ENFILE, ENOMEM, ENOSPC, ESTALE, ETIMEDOUT
from pathlib import Path
from typing import Any

from equitune.run.interruption import EXIT_CODE

AGAIN = EXIT_CODE  # a full disk or memory, a network, the end of its time: it may succeed
WRONG = 1  # what it was given, or the program: it would fail again
# the state of a machine, not what it was asked for
PASSING = frozenset((EAGAIN, EDQUOT, EINTR, EIO, EMFILE, ENFILE, ENOMEM, ENOSPC, ESTALE, ETIMEDOUT))
# of torch and of io.downloads, by name: neither is imported for this
PASSING_KINDS = frozenset(("OutOfMemoryError", "AcceleratorError", "PassingError", "AbsentError"))
SAID = "equitune: error: "
LONGEST_END = 10_000  # bytes of a log that are read for its last two lines
LAST = "equitune ended with exit code "


def code_of(error: BaseException) -> int:
    """Return the exit code for an error: 75 where the same command may succeed, else 1."""
    chain: BaseException | None = error
    while chain is not None:
        kinds = {kind.__name__ for kind in type(chain).__mro__}
        passing = isinstance(chain, MemoryError | ConnectionError | TimeoutError)
        full = "no space" in str(chain).lower()  # as libraries of other languages say it
        if full or passing or kinds & PASSING_KINDS or getattr(chain, "errno", None) in PASSING:
            return AGAIN
        chain = chain.__cause__
    return WRONG


def last_lines(message: str, code: int) -> str:
    """Return how the log of a command that failed ends; `was_wrong` and `causes` read it."""
    return f"{SAID}{message}\n{LAST}{code}\n"


def was_wrong(log: Path, since: float) -> bool:
    """Say whether a command failed for what it was given: whoever repeats it need not.

    Args:
        log: the file that --log named.
        since: of an older log nothing is believed; seconds of the clock that files have.
    """
    return _end(log, since)[1:] == [f"{LAST}{WRONG}"]


def causes(logs: Iterable[Path], since: float) -> list[str]:
    """Return a line for each command that failed: its log, and what it said.

    Args:
        logs: files that --log named; those of commands that did not fail are left out.
        since: as for `was_wrong`.
    """
    ends = ((log, _end(log, since)) for log in logs)
    return [
        f"{log}: {end[0].removeprefix(SAID)}"
        for log, end in ends
        if len(end) == 2 and end[0].startswith(SAID) and end[1].startswith(LAST)
    ]


def _end(log: Path, since: float) -> list[str]:
    """The last two lines of a log, none of one that is older or cannot be read."""
    try:
        with log.open("rb") as file:
            if os.fstat(file.fileno()).st_mtime < since:
                return []
            file.seek(max(0, os.fstat(file.fileno()).st_size - LONGEST_END))
            return file.read().decode("utf-8", "replace").splitlines()[-2:]
    except OSError:
        return []


def wrong_usage(error: Any, arguments: Iterable[str]) -> tuple[str, str]:
    """Return how a command is used, and what was wrong about how it was; a line each.

    Args:
        error: of the command's parser, with the context of the command if there is one.
        arguments: what was given.
    """
    context = getattr(error, "ctx", None)
    if context is None:
        return "", _line(getattr(error, "message", None) or str(error))
    given = [word.partition("=")[0] for word in arguments]
    if type(error).__name__ == "MissingParameter":
        needed = [one for one in context.command.params if one.required]
        from_here = needed[needed.index(error.param) :]  # arguments are taken in their order
        missing = [
            one
            for one in needed
            if one is error.param
            or (_is_option(one) and {*one.opts, *one.secondary_opts}.isdisjoint(given))
            or (not _is_option(one) and not _is_option(error.param) and one in from_here)
        ]
        message = f"missing {', '.join(map(_named, missing))}"
    else:
        message = _line(error.format_message())
    path = " ".join([error.ctx.find_root().info_name, *_path(context)])
    return f"usage: {path} {_pattern(context.command)}", message


def _path(context: Any) -> list[str]:
    """The words that chose a command, the program's own left out."""
    return [] if context.parent is None else [*_path(context.parent), context.info_name]


def _pattern(command: Any) -> str:
    """The options and arguments of a command, those that may be left out in brackets."""
    if inner := getattr(command, "commands", None):
        return f"{{{','.join(inner)}}} ..."
    ordered = sorted(command.params, key=lambda one: (_is_option(one), not one.required))
    return " ".join(_shown(one) for one in ordered if one.name != "help")


def _shown(one: Any) -> str:
    """An option or argument as a usage line has it."""
    if not _is_option(one):
        text = one.name.upper()
    elif one.is_flag:
        text = "/".join((one.opts[-1], *one.secondary_opts[-1:]))
    else:
        text = f"{one.opts[-1]} {one.name.upper()}"
    several = " ..." if one.nargs == -1 or getattr(one, "multiple", False) else ""
    return f"{text}{several}" if one.required else f"[{text}{several}]"


def _named(one: Any) -> str:
    """An option or argument that is missing, with what it is for."""
    name = one.opts[-1] if _is_option(one) else one.name.upper()
    about = (getattr(one, "help", None) or "").partition("\n")[0].rstrip(".")
    return f"{name} ({about})" if about else name


def _is_option(one: Any) -> bool:
    return bool(one.param_type_name == "option")


def _line(text: str) -> str:
    """A parser's sentence as the rest of a line that begins before it."""
    joined = " ".join(text.split()).removesuffix(".")
    return joined[:1].lower() + joined[1:]
