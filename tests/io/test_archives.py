"""Archives are unpacked whole or not at all, and never outside the folder."""

import gzip
import io
import os
import stat
import tarfile
import zipfile

import pytest

from equitune.io import archives, files
from equitune.io.archives import unpack

CONTENT = {"top/a.txt": b"first", "top/deep/b.bin": bytes(range(256)) * 20, "c": b""}
LIMIT = 1 << 20
SUFFIXES = ("tar", "tar.gz", "zip")


def as_tar(members, **settings):
    """Members: (name, content), or (name, type, linkname)."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", **settings) as tar:
        for name, *rest in members:
            info = tarfile.TarInfo(name)
            if isinstance(rest[0], bytes) and len(rest) == 1:
                info.size = len(rest[0])
                tar.addfile(info, io.BytesIO(rest[0]))
            else:
                info.type, info.linkname = rest
                tar.addfile(info)
    return buffer.getvalue()


def as_zip(members, mode=0, method=zipfile.ZIP_DEFLATED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in members:
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            info.compress_type = method
            archive.writestr(info, content)
    return buffer.getvalue()


def packed(suffix, members=None):
    members = list(CONTENT.items()) if members is None else members
    if suffix == "zip":
        return as_zip(members)
    return as_tar(members) if suffix == "tar" else gzip.compress(as_tar(members))


def files_in(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def refused(tmp_path, data, limit=LIMIT):
    """Unpack what must be refused; return the message, after a look at what is left."""
    (tmp_path / "in").mkdir()
    archive, folder = tmp_path / "in" / "archive", tmp_path / "in" / "folder"
    archive.write_bytes(data)
    with pytest.raises(ValueError, match="archive") as error:
        unpack(archive, folder, limit)
    assert list((tmp_path / "in").iterdir()) == [archive]
    assert list(tmp_path.iterdir()) == [tmp_path / "in"]
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_was_packed_comes_out_whatever_the_name_of_the_file(tmp_path, suffix):
    archive = tmp_path / "data.unknown"
    archive.write_bytes(packed(suffix))
    folder = tmp_path / "new" / "folder"
    assert unpack(archive, folder, LIMIT) == folder
    assert files_in(folder) == CONTENT
    assert list(folder.parent.iterdir()) == [folder]


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_every_format_of_tar_with_folders_and_long_names(tmp_path, form):
    name = f"./{'x' * 90}/{'y' * 90}"
    members = [("./", tarfile.DIRTYPE, ""), ("./empty", tarfile.DIRTYPE, ""), (name, b"1")]
    (tmp_path / "archive").write_bytes(as_tar(members, format=form))
    folder = unpack(tmp_path / "archive", tmp_path / "folder", LIMIT)
    assert files_in(folder) == {name[2:]: b"1"}
    assert (folder / "empty").is_dir()


def test_folders_of_a_zip_may_be_empty(tmp_path):
    (tmp_path / "archive").write_bytes(as_zip([("empty/", b""), ("a/b", b"1")]))
    folder = unpack(tmp_path / "archive", tmp_path / "folder", LIMIT)
    assert (folder / "empty").is_dir()
    assert files_in(folder) == {"a/b": b"1"}


def test_permissions_are_those_of_new_files(tmp_path):
    (tmp_path / "archive").write_bytes(as_zip([("a", b"1")], stat.S_IFREG | stat.S_ISUID | 0o777))
    (tmp_path / "plain").write_text("")
    folder = unpack(tmp_path / "archive", tmp_path / "folder", LIMIT)
    assert (folder / "a").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/evil", "a/..", "..\\evil"])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_member_that_leads_out_is_refused(tmp_path, suffix, name):
    message = refused(tmp_path, packed(suffix, [("good", b"1"), (name, b"2")]))
    assert f"member {name!r} leads out of the archive" in message


@pytest.mark.parametrize(
    ("kind", "target", "text"),
    [
        (tarfile.SYMTYPE, "/etc", "is a symbolic link"),
        (tarfile.SYMTYPE, "good", "is a symbolic link"),
        (tarfile.LNKTYPE, "good", "is a hard link"),
        (tarfile.CHRTYPE, "", "is a device"),
        (tarfile.BLKTYPE, "", "is a device"),
        (tarfile.FIFOTYPE, "", "is a pipe"),
        (b"?", "", "is a member of unknown type"),
    ],
    ids=[
        "link out",
        "link inside",
        "hard link",
        "character device",
        "block device",
        "pipe",
        "unknown type",
    ],
)
def test_links_and_devices_in_a_tar_are_refused(tmp_path, kind, target, text):
    message = refused(tmp_path, as_tar([("good", b"1"), ("odd", kind, target)]))
    assert f"member 'odd' {text}" in message


@pytest.mark.parametrize(
    ("mode", "text"), [(stat.S_IFLNK, "is a symbolic link"), (stat.S_IFCHR, "is a device or pipe")]
)
def test_links_and_devices_in_a_zip_are_refused(tmp_path, mode, text):
    assert f"member 'odd' {text}" in refused(tmp_path, as_zip([("odd", b"/etc")], mode | 0o777))


def test_what_a_zip_hides_is_refused(tmp_path):
    data = bytearray(as_zip([("odd", b"1")]))
    data[data.index(b"PK\x01\x02") + 8] |= 1  # the flag of encryption
    assert "member 'odd' is a file with a password" in refused(tmp_path, bytes(data))


def test_an_unusual_compression_is_refused(tmp_path):
    data = as_zip([("odd", b"1" * 99)], method=zipfile.ZIP_BZIP2)
    assert "a compression other than deflate" in refused(tmp_path, data)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_limit_counts_all_files_together(tmp_path, suffix):
    data = packed(suffix, [("a", bytes(600)), ("b", bytes(400))])
    (tmp_path / "archive").write_bytes(data)
    assert len(files_in(unpack(tmp_path / "archive", tmp_path / "folder", 1000))) == 2
    (tmp_path / "second").mkdir()
    message = refused(tmp_path / "second", data, 999)
    assert "holds more than 999 bytes, from 'b' on" in message


def test_a_bomb_that_lies_about_its_size_is_refused(tmp_path):
    data = bytearray(as_zip([("bomb", bytes(1 << 24))]))
    assert len(data) < 1 << 15
    for place in (data.index(b"PK\x03\x04") + 22, data.index(b"PK\x01\x02") + 24):
        data[place : place + 4] = (10).to_bytes(4, "little")
    assert "archive" in refused(tmp_path, bytes(data), 1 << 20)


def test_no_more_is_written_than_the_limit(tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr(archives.shutil, "rmtree", lambda folder, **_: written.append(folder))
    (tmp_path / "archive").write_bytes(packed("tar.gz", [("bomb", bytes(1 << 24))]))
    with pytest.raises(ValueError, match="more than 3000000 bytes"):
        unpack(tmp_path / "archive", tmp_path / "folder", 3_000_000)
    assert sum(map(len, files_in(written[0]).values())) <= 3_000_000


def test_the_number_of_members_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MEMBERS", 2)
    assert "more than 2 members, from 'c' on" in refused(tmp_path, packed("tar"))


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("second", ["a", "a/b"])
def test_a_member_in_the_place_of_another_is_refused(tmp_path, suffix, second):
    members = [("a", b"1"), ("b", b"2"), (second, b"3")]
    if suffix == "zip" and second == "a":
        with pytest.warns(UserWarning, match="Duplicate name"):
            data = packed(suffix, members)
    else:
        data = packed(suffix, members)
    assert f"member {second!r} stands where another one is" in refused(tmp_path, data)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_truncated_archive_is_refused_wherever_it_ends(tmp_path, suffix):
    data = packed(suffix)
    whole = len(data.rstrip(b"\0")) if suffix == "tar" else len(data) - 1
    for case, end in enumerate([10, 511, 512, 600, 1024, 1500, whole // 2, whole - 3, whole]):
        if end <= whole:
            (tmp_path / str(case)).mkdir()
            assert "is truncated, damaged or no" in refused(tmp_path / str(case), data[:end])


def test_a_damaged_header_or_sum_is_not_the_end(tmp_path):
    data = bytearray(packed("tar"))
    data[data.index(b"top/deep")] ^= 1  # of the second header, whose checksum is wrong now
    assert "its end is missing" in refused(tmp_path, bytes(data))
    data = bytearray(packed("tar.gz"))
    data[-6] ^= 1
    (tmp_path / "sum").mkdir()
    assert "CRC check failed" in refused(tmp_path / "sum", bytes(data))


def test_bytes_that_do_not_inflate_are_refused(tmp_path):
    data = bytearray(as_zip([("a", b"1" * 99)]))
    data[30 + len("a")] = 0b111  # a kind of block that there is not, behind the local header
    assert "invalid block type" in refused(tmp_path, bytes(data))


@pytest.mark.parametrize(
    "data",
    [b"", b"a text\n" * 200, gzip.compress(b"a text"), b"PK\3\4 not"],
    ids=["empty", "text", "compressed text", "beginning of a zip"],
)
def test_another_file_is_no_archive(tmp_path, data):
    assert "no .tar, .tar.gz or .zip" in refused(tmp_path, data)


def test_a_missing_archive_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"gone does not exist: expected a \.tar"):
        unpack(tmp_path / "gone", tmp_path / "folder", LIMIT)
    assert list(tmp_path.iterdir()) == []


def test_an_existing_folder_is_replaced_by_a_whole_one_only(tmp_path):
    folder, archive = tmp_path / "folder", tmp_path / "archive"
    folder.mkdir()
    (folder / "old").write_text("old")
    archive.write_bytes(packed("tar.gz")[:-20])
    with pytest.raises(ValueError, match="is truncated"):
        unpack(archive, folder, LIMIT)
    assert files_in(folder) == {"old": b"old"}
    archive.write_bytes(packed("tar.gz"))
    unpack(archive, folder, LIMIT)
    assert files_in(folder) == CONTENT
    assert sorted(tmp_path.iterdir()) == [archive, folder]


def test_the_old_folder_comes_back_when_the_new_one_cannot_be_moved(tmp_path, monkeypatch):
    folder, archive, rename = tmp_path / "folder", tmp_path / "archive", os.rename
    folder.mkdir()
    (folder / "old").write_text("old")
    archive.write_bytes(packed("tar"))

    def fail_once(source, target):
        if target == folder and not (source / "old").exists():
            raise OSError("no luck")
        rename(source, target)

    monkeypatch.setattr(files.os, "rename", fail_once)
    with pytest.raises(OSError, match="no luck"):
        unpack(archive, folder, LIMIT)
    assert files_in(folder) == {"old": b"old"}
    assert sorted(tmp_path.iterdir()) == [archive, folder]


def test_an_interrupted_unpacking_leaves_nothing(tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(archives, "_checked", interrupt)
    (tmp_path / "archive").write_bytes(packed("zip"))
    with pytest.raises(KeyboardInterrupt):
        unpack(tmp_path / "archive", tmp_path / "folder", LIMIT)
    assert list(tmp_path.iterdir()) == [tmp_path / "archive"]


def test_a_place_that_must_not_be_replaced_is_refused(tmp_path):
    archive = tmp_path / "archive"
    archive.write_bytes(packed("tar"))
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to(tmp_path)
    for name in ("file", "link"):
        with pytest.raises(FileExistsError, match=f"{name} is a file or a link"):
            unpack(archive, tmp_path / name, LIMIT)
    with pytest.raises(ValueError, match="archive is inside"):
        unpack(archive, tmp_path, LIMIT)
    assert archive.is_file()
