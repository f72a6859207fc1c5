"""The files of resources/sources.csv as the rules name them, and the configuration held to them."""

from collections.abc import Iterator
from pathlib import Path

from equitune.config import TRAINED_SCORERS, Config, Language
from equitune.config.image_kinds import IMAGE_KINDS
from equitune.io.names import nearest
from equitune.io.registry import sources

RETRIEVED = "results/sources"


class Registry:
    """What may be retrieved, by name and by place.

    Attributes:
        files: the place of each file in a mirror, by its name in the registry.
        names: the other way round.
        wheels: the names of files that stand in wheels of the package index.
    """

    def __init__(self, path: Path | None = None) -> None:
        """Read the registry, the project's own by default."""
        known = sources(path)
        self.files = {name: one.mirror for name, one in known.items() if not one.is_model}
        self.names = {place: name for name, place in self.files.items()}
        self.wheels = [name for name, one in known.items() if one.wheel]

    def retrieved(self, name: str) -> str:
        """Return where a file stands once it has been retrieved."""
        return f"{RETRIEVED}/{self.files[name]}"

    def text(self, name: str) -> str:
        """Return where a text stands: a file of the registry by its name, or a path."""
        return self.retrieved(name) if name in self.files else name

    def check(self, config: Config) -> None:
        """Check that each file that a configuration mentions is known.

        Raises:
            ValueError: one is not; the key and the most similar name.
        """
        files = list(self.files)
        mentioned = [
            (f"image.sources.{name}", source.location, files)
            for name, source in config.image.sources.items()
            if IMAGE_KINDS[source.kind].location == "name"
        ]
        mentioned += ((key, name, files) for key, name in _files(config.language))
        mentioned += (
            (f"language.sources.{name}", source.location, self.wheels)
            for name, source in config.language.sources.items()
            if source.kind == "package"
        )
        for key, name, known in mentioned:
            if name not in known:
                raise ValueError(
                    f"config: {key}.location: unknown file {name!r}{nearest(str(name), known)}"
                )


def _files(language: Language) -> Iterator[tuple[str, str | None]]:
    """Yield where the language experiment mentions a file of the registry, and its name."""
    for name, source in language.sources.items():
        if source.kind == "samples":
            yield f"language.sources.{name}", source.location
    for name, scorer in language.scorers.items():
        if scorer.kind in TRAINED_SCORERS:
            yield f"language.scorers.{name}", scorer.location
