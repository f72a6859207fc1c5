"""Archives unpacked whole and with suspicion.

A member may be a file or a folder below the place of unpacking, and nothing else: whatever points
or leads elsewhere is refused, as is more than the caller has room for.
"""

from __future__ import annotations

import gzip
import secrets
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from equitune.io.files import replace_folder
from equitune.io.places import check_file

ZIP, GZIP = b"PK", b"\x1f\x8b"  # how they begin
BLOCK = 1 << 20  # bytes
MEMBERS = 1_000_000  # files and folders in one archive
FILE, FOLDER = "file", "folder"
TAR_KINDS = {
    tarfile.SYMTYPE: "symbolic link",
    tarfile.LNKTYPE: "hard link",
    tarfile.CHRTYPE: "device",
    tarfile.BLKTYPE: "device",
    tarfile.FIFOTYPE: "pipe",
}
ZIP_KINDS = {stat.S_IFREG: FILE, stat.S_IFDIR: FOLDER, stat.S_IFLNK: "symbolic link"}
# what the readers raise for bytes that are not as they should be
DAMAGE = (
    tarfile.TarError,
    zipfile.BadZipFile,
    gzip.BadGzipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
)


def unpack(archive: Path, folder: Path, limit: int) -> Path:
    """Unpack a .tar, .tar.gz or .zip, told apart by content; the folder appears whole or never.

    Owners, permissions and times are not taken over.

    Args:
        archive: the file.
        folder: what is made; one that exists is replaced when the new one is whole.
        limit: bytes that the files may have in all, counted as they are written.

    Returns:
        The folder.

    Raises:
        FileNotFoundError: there is no such archive.
        FileExistsError: the folder's name is that of a file or a link.
        ValueError: the archive is truncated, damaged or of another kind, is inside the folder, or
            holds too much or a member that is refused, which is named.
    """
    check_file(archive, "expected a .tar, .tar.gz or .zip")
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise FileExistsError(f"{folder} is a file or a link: unpack into a folder of another name")
    if folder.resolve() in archive.resolve().parents:
        raise ValueError(f"{archive} is inside {folder}, which would be replaced: move it out")
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = folder.with_name(f".{secrets.token_hex(4)}.{folder.name}")
    temporary.mkdir()
    try:
        _fill(temporary, archive, limit)
        replace_folder(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


def is_archive(path: Path) -> bool:
    """Whether a file begins as one that `unpack` takes."""
    try:
        with open(path, "rb") as file:
            if file.read(4).startswith((ZIP, GZIP)):
                return True
        with tarfile.open(path, "r:"):
            return True
    except (OSError, tarfile.TarError):
        return False


@dataclass(frozen=True)
class _Member:
    """An entry: its name, its kind, refused unless FILE or FOLDER, and what is in a file."""

    name: str
    kind: str
    content: IO[bytes] | None


def _fill(folder: Path, archive: Path, limit: int) -> None:
    """Write all members into an empty folder; errors as `unpack`."""
    left = limit
    try:
        with closing(_members(archive)) as members:
            for number, member in enumerate(members, 1):
                if number > MEMBERS:
                    raise ValueError(
                        f"{archive} has more than {MEMBERS} members, from {member.name!r} on: "
                        "unpack it yourself if you trust it"
                    )
                target = folder / _checked(member, archive)
                if member.content is None:
                    target.mkdir(parents=True, exist_ok=True)
                    continue
                target.parent.mkdir(parents=True, exist_ok=True)
                with member.content as source, open(target, "xb") as file:
                    while block := source.read(BLOCK):
                        left -= len(block)
                        if left < 0:
                            raise ValueError(
                                f"{archive} holds more than {limit} bytes, from {member.name!r} "
                                "on: unpack it yourself if you trust it"
                            )
                        file.write(block)
    except (FileExistsError, NotADirectoryError) as error:
        raise ValueError(
            f"{archive}: member {member.name!r} stands where another one is: pack it again"
        ) from error
    except DAMAGE as error:
        reason = " ".join(str(error).split())
        raise ValueError(
            f"{archive} is truncated, damaged or no .tar, .tar.gz or .zip ({reason}): get it again"
        ) from error


def _checked(member: _Member, archive: Path) -> PurePosixPath:
    """Return the path of a member below the folder, or raise a ValueError that names it."""
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts or set("\\\0") & set(member.name):
        problem = "leads out of the archive"
    elif member.kind not in (FILE, FOLDER):
        problem = f"is a {member.kind}"
    else:
        return path
    raise ValueError(
        f"{archive}: member {member.name!r} {problem}: expected files and folders below one place"
    )


def _members(archive: Path) -> Generator[_Member, None, None]:
    with open(archive, "rb") as file:
        beginning = file.read(4)
        file.seek(0)
        if beginning.startswith(ZIP):
            yield from _zip_members(file)
        elif beginning.startswith(GZIP):
            with gzip.open(file) as stream:
                yield from _tar_members(stream)
        else:
            yield from _tar_members(file)


def _tar_members(stream: IO[bytes] | gzip.GzipFile) -> Generator[_Member, None, None]:
    with tarfile.open(fileobj=stream, mode="r:") as tar:
        while (info := tar.next()) is not None:
            kind = FILE if info.isreg() else FOLDER if info.isdir() else ""
            kind = kind or TAR_KINDS.get(info.type, "member of unknown type")
            yield _Member(info.name, kind, tar.extractfile(info) if kind == FILE else None)
            tar.members.clear()  # type: ignore[attr-defined]  # it would keep every one
        # tarfile takes a damaged or missing header for the end of the archive
        stream.seek(tar.offset)
        if stream.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise tarfile.ReadError("its end is missing")
        while stream.read(BLOCK):  # gzip checks its sum at the end
            pass


def _zip_members(file: IO[bytes]) -> Generator[_Member, None, None]:
    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            mode = stat.S_IFMT(info.external_attr >> 16)
            kind = ZIP_KINDS.get(mode, "device or pipe") if mode else FILE
            kind = FOLDER if info.is_dir() and kind == FILE else kind
            if info.flag_bits & 1:
                kind = "file with a password"
            elif info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                kind = "file of a compression other than deflate"
            yield _Member(info.filename, kind, archive.open(info) if kind == FILE else None)
