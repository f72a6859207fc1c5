"""Whatever a server does wrong ends in one line, and never in a file under the final name."""

import hashlib
import logging
from pathlib import Path

import pytest
from file_server import DATA, OTHER, dribble, fetch, in_circles, make_source, partly_known, silent

from equitune.io.files import WriteError

PART = ["words.txt.part"]  # the next run goes on from there


def test_a_wrong_checksum_fails_at_once(server, tmp_path, fails):
    server.script = [OTHER]
    found = hashlib.sha256(OTHER).hexdigest()
    fails(make_source(server.url), tmp_path, f"{server.url}/path/words.txt has sha256 {found}")
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("body", "text"),
    [(DATA[:100], "has 100 bytes, expected 10240"), (DATA + b"!", "is longer than 10240 bytes")],
    ids=["shorter", "longer"],
)
def test_a_wrong_length_fails_at_once(server, tmp_path, body, text, fails):
    server.script = [body]
    fails(make_source(server.url), tmp_path, text)
    assert len(server.requests) == 1


def test_an_absent_file_fails_at_once(server, tmp_path, fails):
    server.script = [404]
    fails(make_source(server.url), tmp_path, "/path/words.txt answered 404 Not Found")
    assert len(server.requests) == 1


def test_an_absent_file_of_unknown_size_fails_at_once(server, tmp_path, fails):
    server.script = [404]
    fails(partly_known(server.url), tmp_path, "answered 404 Not Found")
    assert len(server.requests) == 1


def test_a_busy_server_is_asked_again(server, tmp_path, caplog):
    server.script = [503, 429]
    with caplog.at_level(logging.WARNING):
        path, waits = fetch(make_source(server.url), tmp_path, backoff=0.25)
    assert path.read_bytes() == DATA
    assert waits == [0.25, 0.5]
    assert "answered 503 Service Unavailable: trying again" in caplog.text


def test_a_server_that_stays_busy_is_given_up(server, tmp_path, fails):
    server.script = [503] * 9
    fails(make_source(server.url), tmp_path, "answered 503", attempts=3)
    assert len(server.requests) == 3


def test_a_truncated_file_fails_when_it_stays_so(server, tmp_path, fails):
    server.script = [(DATA, 4500)] * 9
    fails(make_source(server.url), tmp_path, "broke off", left=PART, attempts=2)
    assert len(server.requests) == 2


def test_a_file_of_unknown_size_that_stays_truncated_fails(server, tmp_path, fails):
    server.script = [(DATA, 4000)] * 9
    fails(partly_known(server.url), tmp_path, "broke off", left=PART, attempts=2)


@pytest.mark.parametrize("known", [make_source, partly_known])
def test_a_slow_server_is_asked_again_and_given_up_in_the_end(server, tmp_path, known, fails):
    server.script = [silent]
    # a busy machine may miss half a second when there is an answer too
    path, waits = fetch(known(server.url), tmp_path, timeout=(60, 0.5), attempts=20)
    assert path.read_bytes() == DATA
    assert waits
    path.unlink()
    server.script = [silent, silent]
    fails(known(server.url), tmp_path, "timed out", attempts=2, timeout=(60, 0.5))


def test_no_server_at_all(nobody, tmp_path, fails):
    fails(make_source(nobody), tmp_path, f"{nobody}/path/words.txt: ", "refused", attempts=2)


@pytest.mark.usefixtures("clock")
def test_a_server_that_dribbles_for_ever_is_given_up(server, tmp_path, fails):
    server.script = [dribble(1)] * 2  # each byte comes well within the time for an answer
    fails(
        make_source(server.url),
        tmp_path,
        "is too slow: ",
        "expected 1000 bytes a second",
        left=PART,
        attempts=2,
    )
    assert len(server.requests) == 2
    begun = int(server.requests[1][1].removeprefix("bytes=").removesuffix("-"))
    assert 0 < begun < len(DATA)  # the second try went on where the first one ended


def test_a_redirect_that_leads_to_itself_fails(server, tmp_path, fails):
    server.script = [in_circles]
    fails(make_source(server.url), tmp_path, "Exceeded 30 redirects")
    assert len(server.requests) == 31


def test_a_proxy_is_asked_for_what_is_elsewhere(server, tmp_path, monkeypatch):
    monkeypatch.setenv("http_proxy", server.url)
    path, _ = fetch(make_source("http://elsewhere.invalid"), tmp_path)
    assert path.read_bytes() == DATA
    assert server.requests == [("http://elsewhere.invalid/path/words.txt", None)]


def test_a_proxy_is_left_out_for_the_hosts_of_no_proxy(server, nobody, tmp_path, monkeypatch):
    monkeypatch.setenv("http_proxy", nobody)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    path, _ = fetch(make_source(server.url), tmp_path)
    assert path.read_bytes() == DATA


def test_a_proxy_that_is_not_there_is_one_line(nobody, tmp_path, monkeypatch, fails):
    monkeypatch.setenv("http_proxy", nobody)
    fails(make_source("http://elsewhere.invalid"), tmp_path, "refused", attempts=2)


def test_a_wrong_file_of_one_place_is_not_mixed_with_the_next(server, tmp_path):
    """A mirror that breaks off leaves a beginning; the file's own server has other bytes."""
    server.script = [(OTHER, 3000)]
    path, _ = fetch(make_source(server.url), tmp_path, f"{server.url}/mirror", attempts=1)
    assert path.read_bytes() == DATA
    assert [asked for _, asked in server.requests] == [None, "bytes=3000-", None]


def test_a_full_disk_is_no_fault_of_the_server(server, tmp_path):
    """/dev/full takes nothing, as a disk without space."""
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here: a full disk cannot be pretended")
    (tmp_path / "words.txt.part").symlink_to("/dev/full")
    with pytest.raises(WriteError, match=r"words\.txt\.part cannot be written \(No space left"):
        fetch(make_source(server.url), tmp_path, f"{server.url}/mirror")
    assert len(server.requests) == 1  # the next place would not help
    assert not (tmp_path / "words.txt").exists()
