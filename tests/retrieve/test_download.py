"""Right files arrive, whole or in parts; nothing that is there and right is fetched again."""

import hashlib
import threading

import pytest
from file_server import DATA, OTHER, dribble, fetch, make_source, partly_known, serve

from equitune.io import downloads as module
from equitune.io.retrieve import RetrievalError, check_lines


def test_a_good_file_arrives_and_is_kept(server, tmp_path):
    source = make_source(server.url)
    path, waits = fetch(source, tmp_path / "new")
    assert path.read_bytes() == DATA
    assert list(path.parent.iterdir()) == [path]
    assert server.requests == [("/path/words.txt", None)]
    fetch(source, tmp_path / "new")
    assert len(server.requests) == 1
    assert waits == []


def test_a_wrong_file_in_place_is_replaced(server, tmp_path):
    (tmp_path / "words.txt").write_bytes(OTHER)
    path, _ = fetch(make_source(server.url), tmp_path)
    assert path.read_bytes() == DATA


def test_a_connection_that_breaks_off_is_resumed(server, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "BLOCK", 1000)
    server.script = [(DATA, 4500)]
    path, waits = fetch(make_source(server.url), tmp_path)
    assert path.read_bytes() == DATA
    assert len(waits) == 1
    first, second = (asked for _, asked in server.requests)
    assert first is None
    assert second in {"bytes=4000-", "bytes=4500-"}


def test_what_an_interrupted_download_left_is_resumed(server, tmp_path):
    (tmp_path / "words.txt.part").write_bytes(DATA[:3000])
    path, _ = fetch(make_source(server.url), tmp_path)
    assert path.read_bytes() == DATA
    assert server.requests == [("/path/words.txt", "bytes=3000-")]
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "left", [OTHER[:3000], OTHER, DATA + b"!"], ids=["a part of another", "another", "longer"]
)
def test_a_wrong_leftover_is_fetched_again_from_zero(server, tmp_path, left):
    (tmp_path / "words.txt.part").write_bytes(left)
    path, _ = fetch(make_source(server.url), tmp_path)
    assert path.read_bytes() == DATA
    assert server.requests[-1] == ("/path/words.txt", None)


def test_a_leftover_that_the_server_finds_too_long_is_dropped(server, tmp_path):
    (tmp_path / "words.txt.part").write_bytes(DATA[:3000])
    server.script = [416]
    path, _ = fetch(make_source(server.url), tmp_path)
    assert path.read_bytes() == DATA
    assert server.requests[-1] == ("/path/words.txt", None)


def test_a_server_without_ranges_sends_all_again(server, tmp_path):
    server.ranges = False
    (tmp_path / "words.txt.part").write_bytes(OTHER[:3000])
    path, _ = fetch(make_source(server.url), tmp_path)
    assert path.read_bytes() == DATA
    assert len(server.requests) == 1


def test_a_file_of_unknown_size_is_checked_by_the_digits_that_are_known(server, tmp_path, fails):
    path, _ = fetch(partly_known(server.url), tmp_path)
    assert path.read_bytes() == DATA
    fetch(partly_known(server.url), tmp_path)
    assert len(server.requests) == 1  # it is there already
    path.unlink()
    server.script = [OTHER]
    fails(partly_known(server.url), tmp_path, "has sha256 ")


def test_a_broken_download_of_unknown_size_is_resumed(server, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "BLOCK", 1000)
    server.script = [(DATA, 4000)]
    path, waits = fetch(partly_known(server.url), tmp_path)
    assert path.read_bytes() == DATA
    assert server.requests[1] == ("/path/words.txt", "bytes=4000-")
    assert len(waits) == 1


def test_lines_are_checked_in_any_order():
    digest = hashlib.sha256(b"a\nb\n").hexdigest()
    source = make_source(sorted_sha256=digest)
    check_lines(source, ["b", "a"])
    with pytest.raises(RetrievalError, match=r"^words: the sorted lines have sha256 .*published"):
        check_lines(source, ["a", "c"])
    with pytest.raises(ValueError, match="words has no sorted_sha256"):
        check_lines(make_source(), ["a"])


@pytest.mark.usefixtures("clock")
def test_a_slow_server_that_gets_on_is_waited_for(server, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "LOWEST_RATE", 10)
    server.script = [dribble(200)]  # 20 bytes a second: about eight times what one answer may take
    path, waits = fetch(make_source(server.url), tmp_path)
    assert path.read_bytes() == DATA
    assert waits == []


def test_what_broke_off_is_taken_up_by_the_next_run(server, tmp_path):
    server.script = [(DATA, 4500)]
    with pytest.raises(RetrievalError, match="broke off"):
        fetch(make_source(server.url), tmp_path, tmp_path / "mirror", attempts=1)
    fetch(make_source(server.url), tmp_path, tmp_path / "mirror")
    assert server.requests[1:] == [("/path/words.txt", "bytes=4500-")]
    assert [path.name for path in tmp_path.iterdir()] == ["words.txt"]


def test_the_server_of_a_test_that_fails_ends_with_it():
    threads = threading.active_count()
    with pytest.raises(ZeroDivisionError), serve():
        raise ZeroDivisionError
    assert threading.active_count() == threads  # else the process would never end
