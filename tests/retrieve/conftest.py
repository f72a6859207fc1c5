"""A server of files on this machine, a place where there is none, and a clock."""

import itertools
from types import SimpleNamespace

import file_server
import pytest

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
