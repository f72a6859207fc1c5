"""The state of a run that may be killed: kept whole, taken up only where it fits."""

from __future__ import annotations

import glob
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from equitune.io.files import atomic_write, configuration_hash
from equitune.run import determinism
from equitune.run.manifests import versions

logger = logging.getLogger(__name__)

VERSION = 4


@dataclass(frozen=True)
class State:
    """A file that keeps what a run needs to go on.

    Attributes:
        path: the file; its name ends with the key.
        key: stands for all that decides the run's result.
    """

    path: Path
    key: str

    def save(self, content: Mapping[str, Any]) -> None:
        """Replace the file: tensors, numbers, texts and containers of them; whole or not at all."""
        with atomic_write(self.path) as temporary, open(temporary, "wb") as file:
            torch.save({"version": VERSION, "key": self.key, "content": dict(content)}, file)

    def load(self) -> dict[str, Any] | None:
        """Return what was saved, or None, with a line in the log where a state cannot be used."""
        if not self.path.exists():
            self._remove_others()
            return None
        try:
            state = torch.load(self.path, map_location="cpu", weights_only=True)
            version, key = state["version"], state["key"]
        except Exception as error:  # a truncated or foreign file raises what it likes
            reason = str(error).partition("\n")[0]
            fault = f"is not a readable state ({reason})"
        else:
            if version == VERSION and key == self.key:
                content: dict[str, Any] = state["content"]
                return content
            fault = f"is a state of version {version}, not {VERSION}"
            if version == VERSION:
                fault = "is the state of another run"
        logger.warning("%s %s: training starts afresh", self.path, fault)
        return None

    def remove(self) -> None:
        """Remove the file, if it is there."""
        self.path.unlink(missing_ok=True)

    def _remove_others(self) -> None:
        """Remove states of the same result under other settings; nobody would take them up."""
        name = self.path.name.removesuffix(f"{self.key}.pt")
        for other in self.path.parent.glob(f"{glob.escape(name)}*.pt"):
            if len(other.name) == len(self.path.name):
                logger.warning(
                    "%s is of other settings, inputs or versions: removed, training starts afresh",
                    other,
                )
                other.unlink(missing_ok=True)


def state_of(folder: Path | None, output: Path, facts: Mapping[str, Any]) -> State | None:
    """Return where the state of a run stands.

    Args:
        folder: of all states; None: none is kept.
        output: what the run will write; the last folders of its path name the file.
        facts: all that decides the result, JSON-able: settings, seed, checksums of the inputs.
            The versions of the packages and the level of determinism are added to them.
    """
    if folder is None:
        return None
    key = configuration_hash(
        {"facts": dict(facts), "versions": versions(), "determinism": determinism.level()}
    )
    place = "-".join(part for part in output.parent.parts[-6:] if part != output.anchor)
    return State(folder / f"{place}.{key}.pt", key)
