"""A server of files on this machine, reached without a proxy."""

import file_server
import pytest

from equitune.retrieve import RetrievalError


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server():
    with file_server.serve() as http:
        yield http


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
