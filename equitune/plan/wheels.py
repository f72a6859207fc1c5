"""What depends on a wheel that a package index may not have, and what goes on without it."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from equitune.io.packages import read_note

Had = Callable[[str], bool]


class Wheels:
    """Models or architectures that need files out of wheels.

    Args:
        what: what they are, for messages.
        key: the key of the configuration that lists them.
        names: all of them, those that need no wheel too.
        needed: the files of wheels that each needs, by its name.
    """

    def __init__(
        self, what: str, key: str, names: Sequence[str], needed: Mapping[str, Sequence[str]]
    ) -> None:
        """Store the parts; see the class."""
        self.what, self.key, self.names, self.needed = what, key, names, needed

    @property
    def files(self) -> list[str]:
        """The files of wheels that are needed, each once."""
        return list(dict.fromkeys(file for files in self.needed.values() for file in files))

    @property
    def notes(self) -> list[str]:
        """Where it is written down whether each file is available."""
        return [note(file) for file in self.files]

    def certain(self) -> list[str]:
        """The names that need no wheel."""
        return [name for name in self.names if name not in self.needed]

    def available(self, had: Had) -> list[str]:
        """The names that need wheels which are all available."""
        return [name for name, files in self.needed.items() if all(map(had, files))]

    def left_out(self, folder: Path) -> list[str]:
        """Return a line for each file without which the run goes on, and one if nothing is left.

        Args:
            folder: of the run.
        """
        lines, absent = [], list[str]()
        for file in self.files:
            path = folder / note(file)
            if path.exists() and not (facts := read_note(path))["available"]:
                without = [name for name, files in self.needed.items() if file in files]
                absent += without
                lines.append(
                    f"left out: {', '.join(without)}, as {facts['package']} {facts['version']}"
                    f" is not available here: see {path}"
                )
        if set(self.names) <= set(absent):
            lines.append(f"no {self.what} is left: name another one ({self.key})")
        return lines


def note(file: str) -> str:
    """Return where it is written down whether a file of a wheel is available."""
    return f"results/packages/{file}.json"
