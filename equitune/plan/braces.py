"""A list of files as bash's braces say it in short: results/{a,b}/seed{0..2}/model.safetensors."""

import re
import shlex
from collections.abc import Iterable, Sequence
from itertools import groupby

Row = tuple[str, ...]  # the folders and the name of a file
PLAIN = re.compile(r"[A-Za-z0-9_./:@%+=-]+")  # no letter means anything to a shell, or in braces
NUMBERED = re.compile(r"(.*?)(0|[1-9][0-9]{0,8})")


def braces(paths: Iterable[str], option: str = "") -> str:
    """Return words that bash expands to a list of files, in its order.

    Args:
        paths: the files, or other texts; one that has letters of the shell stands by itself.
        option: what each is a value of, as "--scores"; none: they are arguments.
    """
    before = f"{option}=" if option else ""
    words: list[str] = []
    for plain, each in groupby(paths, key=lambda path: bool(PLAIN.fullmatch(path))):
        if plain:
            words += [before + part for part in _parts([tuple(path.split("/")) for path in each])]
        else:
            words += [shlex.quote(before + path) for path in each]
    return " ".join(words)


def _parts(rows: Sequence[Row]) -> list[str]:
    """Texts that expand to rows, one after the other: neighbours with the same first are one."""
    groups: list[tuple[list[str], list[Row]]] = []
    for (first, leaf), each in groupby(rows, key=lambda row: (row[0], len(row) == 1)):
        rests = [row[1:] for row in each]
        for rest in [[row] for row in rests] if leaf else [rests]:
            if groups and groups[-1][1] == rest:  # {a,b}/rest
                groups[-1][0].append(first)
            else:
                groups.append(([first], rest))
    return [_numbered(names) + (f"/{_word(rest)}" if any(rest) else "") for names, rest in groups]


def _word(rows: Sequence[Row]) -> str:
    """One text that expands to rows; how they all end stands once."""
    first, shortest = rows[0], min(map(len, rows))
    ending = 0
    while ending < shortest - 1 and len({row[-1 - ending] for row in rows}) == 1:
        ending += 1
    end = "".join(f"/{each}" for each in first[len(first) - ending :])
    return _braced(_parts([row[: len(row) - ending] for row in rows])) + end


def _numbered(names: Sequence[str]) -> str:
    """One text that expands to names; numbers at their ends stand by themselves."""
    found = [NUMBERED.fullmatch(name) for name in names]
    stems = {match and match[1] for match in found}
    if len(names) == 1 or len(stems) > 1 or None in stems:
        return _braced(names)
    numbers = [int(match[2]) for match in found if match]
    row = len(numbers) > 2 and numbers == [*range(numbers[0], numbers[0] + len(numbers))]
    inside = f"{{{numbers[0]}..{numbers[-1]}}}" if row else _braced([*map(str, numbers)])
    return f"{stems.pop()}{inside}"


def _braced(texts: Sequence[str]) -> str:
    """One text that expands to several; one alone needs no braces, and would keep them."""
    return texts[0] if len(texts) == 1 else f"{{{','.join(texts)}}}"
