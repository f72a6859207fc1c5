"""What stands in files that no rule makes, as a short hash for the params of a rule."""

import hashlib
import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path

LENGTH = 12  # hexadecimal digits


@cache
def of_place(place: str, pattern: str = "*") -> str:
    """Return a hash of the names, sizes and times of the files below a folder, or of a file.

    A folder may hold more than can be read each time that a plan is made, so contents are not
    looked at; a file that is copied with its time is the same file.

    Args:
        place: folder or file; what does not exist has a hash, too.
        pattern: of the files' names.
    """
    path = Path(place).expanduser()
    files = [path] if path.is_file() else sorted(path.rglob(pattern))
    facts = []
    for file in files:
        if file.is_file():
            stat = file.stat()
            facts.append([file.relative_to(path).as_posix(), stat.st_size, stat.st_mtime_ns])
    return _hash(facts)


def of_texts(files: Iterable[Path]) -> str:
    """Return a hash of the contents of small files, whatever their names and times."""
    texts = [file.read_bytes() if file.is_file() else b"" for file in files]
    return _hash([hashlib.sha256(text).hexdigest() for text in texts])


def _hash(facts: object) -> str:
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:LENGTH]
