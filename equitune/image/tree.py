"""Folders of images: which parts, classes and files they have, without decoding any."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

EXPECTED = "folder, an archive or a CSV of images"
SHOWN = 5  # names in a message
HELD_OUT = ("test", "val")  # what the folder beside train may be called
# what systems and people leave beside images, by name or by its end; hidden files are passed over
JUNK = ("thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r")
NOTES = (".txt", ".md", ".csv", ".tsv", ".json", ".xml", ".yaml", ".yml", ".html", ".log", ".pdf")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Place:
    """A folder of images, the path it is known by, which is that of its archive if any.

    Attributes:
        root: where the files are.
        known_as: what messages call it.
        dataset: its name in the configuration.
    """

    root: Path
    known_as: Path
    dataset: str

    def name(self, path: Path) -> Path:
        """Return what to call a path in a message."""
        return self.known_as / path.relative_to(self.root)

    @property
    def advice(self) -> str:
        """What to do about files that are not images."""
        return f"remove them, or set image.sources.{self.dataset}.broken: skip"


def parts_of(tree: Place, folder: Path) -> list[Path]:
    """Return the folders of train and test, or the one tree there is; single folders are opened."""
    folders = _visible(folder, Path.is_dir)
    if len(folders) == 1 and _visible(folders[0], Path.is_dir):
        return parts_of(tree, folders[0])
    names = [each.name for each in folders]
    held_out = [name for name in HELD_OUT if name in names]
    if "train" not in names or not held_out:
        return [folder]
    return [folder / "train", folder / held_out[0]]


def classes_of(tree: Place, parts: Sequence[Path]) -> tuple[str, ...]:
    """Return the names of the class folders, which must be the same in all parts."""
    found = [[folder.name for folder in _visible(part, Path.is_dir)] for part in parts]
    for part, names in zip(parts, found, strict=True):
        if not names:
            raise ValueError(
                f"{tree.name(part)} has no class folders: expected one for each class, with images"
            )
        if missing := sorted({*found[0], *found[-1]} - {*names}):
            raise ValueError(
                f"{tree.name(part)} lacks {', '.join(missing[:SHOWN])}: expected the same classes "
                f"in {' and '.join(each.name for each in parts)}"
            )
    if len(found[0]) == 1:
        raise ValueError(f"{tree.known_as} has one class, {found[0][0]}: expected two or more")
    return tuple(found[0])


def files_of(tree: Place, folder: Path) -> list[Path]:
    """Return the files of a class folder, at least one."""
    if inner := _visible(folder, Path.is_dir):
        raise ValueError(
            f"{tree.name(inner[0])} is a folder where images are expected: put class folders into "
            "train and test or val, or into one folder"
        )
    files = [file for file in _visible(folder, Path.is_file) if not _is_junk(file)]
    if not files:
        raise ValueError(f"{tree.name(folder)} has no images: add some, or remove the class")
    return files


def _is_junk(file: Path) -> bool:
    """Whether a name is of something that lies beside images, and of no image."""
    return file.name.lower() in JUNK or file.suffix.lower() in NOTES


def tell_left_out(tree: Place, parts: Sequence[Path], classes: Sequence[str]) -> None:
    """Say which folder of a test part is not used, and how many files are left out as no images."""
    for part in parts[1:]:
        for other in (part.with_name(name) for name in HELD_OUT):
            if other != part and other.is_dir():
                logger.warning("%s is not used: %s is", tree.name(other), part.name)
    folders = [part / name for part in parts for name in classes]
    junk = [f for folder in folders for f in _visible(folder, Path.is_file) if _is_junk(f)]
    if junk:
        more = ", …" if len(junk) > SHOWN else ""
        names = ", ".join(str(tree.name(file)) for file in junk[:SHOWN])
        logger.warning(
            "%d files are left out, as they are not images: %s%s", len(junk), names, more
        )


def _visible(folder: Path, kind: Callable[[Path], bool]) -> list[Path]:
    """Return the files or the folders in a folder, by name, without what systems leave there."""
    entries = (entry for entry in folder.iterdir() if entry.name != "__MACOSX")
    return sorted(entry for entry in entries if entry.name[0] != "." and kind(entry))
