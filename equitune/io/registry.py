"""The registry of everything that may be downloaded.

A row of resources/sources.csv is a file with its size and checksum, a member of a wheel of the
package index, of which both are checked, or a whole model of the hub that is pinned by its commit.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass, fields
from pathlib import Path, PurePosixPath

from equitune.io.places import check_file
from equitune.io.resources import RESOURCES

REGISTRY = RESOURCES / "sources.csv"
COMMIT = "[0-9a-f]{40}"
WHEEL = ("package", "wheel", "wheel_sha256", "member")  # all four or none


@dataclass(frozen=True)
class Source:
    """A row of resources/sources.csv.

    Attributes:
        name: what the file is called in the project.
        version: release or commit; of a member of a wheel, the package's.
        url: where it comes from; "" for a file that only a mirror or a wheel can have.
        mirror: its path inside a mirror.
        sha256: checksum of the bytes; its first digits, 8 or more, where no more are published, as
            of most weights of torchvision; "" for a model of the hub, whose commit pins it.
        sorted_sha256: checksum of the sorted lines, for a text whose order does not matter, or "".
        bytes: size, or 0 where it is not published.
        licence: its licence.
        citation: whom to cite.
        package: distribution on the package index whose wheel holds the file, or "".
        wheel: name of that wheel; in a mirror it stands beside the file.
        wheel_sha256: checksum of the wheel.
        member: path of the file inside the wheel.
    """

    name: str
    version: str
    url: str
    mirror: str
    sha256: str
    sorted_sha256: str
    bytes: int
    licence: str
    citation: str
    package: str = ""
    wheel: str = ""
    wheel_sha256: str = ""
    member: str = ""

    @property
    def is_model(self) -> bool:
        """Whether it is a whole model of the hub, of which only the commit is known."""
        return not self.sha256


def sources(path: Path | None = None) -> dict[str, Source]:
    """Read the registry of downloads, by name.

    Args:
        path: another registry than the project's.

    Raises:
        FileNotFoundError: there is no registry.
        ValueError: the first malformed row: file, line and what is wrong.
    """
    path = path or REGISTRY
    check_file(path, "run from a clone, or pass the registry")
    columns = [field.name for field in fields(Source)]
    found: dict[str, Source] = {}
    with open(path, encoding="utf-8", newline="") as file:
        rows = csv.reader(file)
        header = next(rows, [])
        if header != columns:
            raise ValueError(f"{path}:1: columns are {header}, expected {columns}")
        for values in rows:
            row = dict(zip(columns, values, strict=False))
            if problem := _problem(row, len(values), columns, found):
                raise ValueError(f"{path}:{rows.line_num}: {problem}")
            size = int(row.pop("bytes"))
            found[row["name"]] = Source(**row, bytes=size)
    return found


def _problem(
    row: dict[str, str], count: int, columns: list[str], found: dict[str, Source]
) -> str | None:
    """Return what is wrong with a row of the registry, or None."""
    if count != len(columns):
        return f"{count} fields, expected {len(columns)}: {', '.join(columns)}"
    http, digits, ordered = r"https?://[^/]+/.+", "[0-9a-f]{64}", row["sorted_sha256"]
    # a checksum that lost digits must not pass for one of which no more are published
    pinned = "|[0-9a-f]{8,63}" if re.fullmatch(COMMIT, row["version"]) else "[0-9a-f]{8,63}"
    pattern = pinned if row["bytes"] == "0" else digits
    checks = [
        ("name", re.fullmatch(r"\w+", row["name"]), "letters, digits and _"),
        ("url", not row["url"] or re.fullmatch(http, row["url"]), "http:// or https://, or ''"),
        ("mirror", _inside(row["mirror"]), "a path inside a mirror"),
        ("sha256", re.fullmatch(pattern, row["sha256"]), "64 hexadecimal digits, or 0 bytes"),
        ("sorted_sha256", not ordered or re.fullmatch(digits, ordered), "64 hex digits or ''"),
        ("bytes", re.fullmatch("0|[1-9][0-9]*", row["bytes"]), "an integer, 0 where unknown"),
        *(_wheel_checks(row) if any(row[column] for column in WHEEL) else ()),
    ]
    for column, good, expected in checks:
        if not good:
            return f"{column} is {row[column]!r}, expected {expected}"
    return f"name {row['name']!r} stands twice" if row["name"] in found else None


def _wheel_checks(row: dict[str, str]) -> list[tuple[str, object, str]]:
    """Return the further checks of a row of which the file is a member of a wheel."""
    name = re.sub(r"[-_.]+", "_", row["package"]).lower()
    beginning = f"{name}-{row['version']}"
    wheel = re.escape(beginning) + r"(-[\w.]+){3}\.whl"
    digits = re.fullmatch("[0-9a-f]{64}", row["wheel_sha256"])
    return [
        ("url", not row["url"], "'', as the file comes out of a wheel"),
        ("bytes", row["bytes"] != "0", "the size of the file in the wheel"),
        ("package", re.fullmatch(r"[A-Za-z0-9]([\w.-]*[A-Za-z0-9])?", row["package"]), "its name"),
        ("wheel", re.fullmatch(wheel, row["wheel"]), f"{beginning}-….whl"),
        ("wheel_sha256", digits, "64 hexadecimal digits"),
        ("member", _inside(row["member"]), "a path inside the wheel"),
    ]


def _inside(name: str) -> bool:
    """Return whether a name is that of something below the folder it is looked for in."""
    path = PurePosixPath(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts
