"""The scorer that chooses among the candidates of equizero, by its settings and files."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from equitune.config import CHOOSING, RegardScorer
from equitune.language.prompts import as_scored
from equitune.language.regard import Scorer


@dataclass(frozen=True)
class Chooser:
    """The scorer that equizero asks.

    Attributes:
        settings: its kind.
        trained: file of a scorer that was trained here, folder of a transformer; None for one that
            has none.
        masked: the demographic reads XYZ wherever it stands.
        cut: only the first sentence is scored.
        base: of kind hidden: folder of the language model that it reads texts by.
    """

    settings: RegardScorer
    trained: Path | None = None
    masked: bool = True
    cut: bool = True
    base: Path | None = None

    def facts(self) -> dict[str, Any]:
        """Return what decides the choice, besides the files, JSON-able."""
        return {"scorer": asdict(self.settings), "mask": self.masked, "cut": self.cut}

    def files(self) -> list[Path]:
        """Return the files that the scorer is read from."""
        places = [place for place in (self.trained, self.base) if place is not None]
        return [
            file
            for place in places
            for file in (sorted(place.glob("*.safetensors")) if place.is_dir() else [place])
        ]

    def scorer(self, device: Any) -> Scorer:
        """Read the scorer.

        Raises:
            ValueError: it cannot be read, or needs a file that is not given.
        """
        from equitune.language.scorers import make_scorer

        return make_scorer(self.settings, self.trained, device, self.base)

    def read(self) -> partial[str]:
        """Return what makes of a text, and of the demographic in it, what the scorer reads."""
        return partial(as_scored, masked=self.masked, cut=self.cut)


def check_chooser(method: str, chooser: Chooser | None) -> None:
    """Check that a method has a chooser if it chooses, and none otherwise.

    Raises:
        ValueError: it is not so.
    """
    if (method in CHOOSING) == (chooser is not None):
        return
    if chooser is None:
        raise ValueError(f"method {method} chooses by a scorer: pass --scorer, as for evaluate")
    raise ValueError(f"method {method} chooses nothing: leave --scorer out")
