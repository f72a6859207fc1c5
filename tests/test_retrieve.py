"""Downloads from a server on this machine: right ones arrive, wrong ones leave nothing behind."""

import contextlib
import hashlib
import logging
import threading
import time
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from equitune import retrieve as module
from equitune.retrieve import RetrievalError, Source, check_lines, retrieve, sources

DATA = bytes(range(256)) * 40
OTHER = DATA[::-1]


class Handler(BaseHTTPRequestHandler):
    """Serves what the test has put into the server's script: one answer a request, then DATA."""

    def do_GET(self):
        self.server.requests.append((self.path, self.headers.get("Range")))
        answer = self.server.script.pop(0) if self.server.script else DATA
        if isinstance(answer, float):
            time.sleep(answer)
            answer = DATA
        if isinstance(answer, int):
            self.send_response(answer)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        body, sent = answer if isinstance(answer, tuple) else (answer, len(answer))
        begun = self._range()
        self.send_response(206 if begun else 200)
        if begun:
            self.send_header("Content-Range", f"bytes {begun}-{len(body) - 1}/{len(body)}")
        self.send_header("Content-Length", str(len(body) - begun))
        self.end_headers()
        with contextlib.suppress(ConnectionError):  # who waited too long is gone
            self.wfile.write(body[begun:sent])
        self.close_connection = True

    def _range(self):
        asked = self.headers.get("Range", "")
        if not self.server.ranges or not asked:
            return 0
        return int(asked.removeprefix("bytes=").removesuffix("-"))

    def log_message(self, *arguments):
        """Keep quiet."""


@pytest.fixture
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        http.script, http.requests, http.ranges = [], [], True
        http.url = f"http://127.0.0.1:{http.server_port}"
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield http
        http.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")


def make_source(url, **changes):
    row = {
        "name": "words",
        "version": "1",
        "url": f"{url}/path/words.txt",
        "mirror": "texts/words.txt",
        "sha256": hashlib.sha256(DATA).hexdigest(),
        "sorted_sha256": "",
        "bytes": len(DATA),
        "licence": "MIT",
        "citation": "A 2020",
    }
    return Source(**{**row, **changes})


def fetch(source, folder, mirror=None, **options):
    waits = []
    options = {"timeout": (0.5, 0.5), "sleep": waits.append, **options}
    return retrieve(source, folder / "words.txt", mirror, **options), waits


def fails(source, folder, *parts, mirror=None, **options):
    """Check that retrieving fails in one line with all parts and leaves nothing behind."""
    before = sorted(folder.iterdir())
    with pytest.raises(RetrievalError) as error:
        fetch(source, folder, mirror, **options)
    message = str(error.value)
    assert "\n" not in message
    assert sorted(folder.iterdir()) == before
    for part in ("words: ", "retrieve.mirror", *parts):
        assert part in message


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


def test_a_wrong_checksum_fails_at_once(server, tmp_path):
    server.script = [OTHER]
    found = hashlib.sha256(OTHER).hexdigest()
    fails(make_source(server.url), tmp_path, f"{server.url}/path/words.txt has sha256 {found}")
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("body", "text"),
    [(DATA[:100], "has 100 bytes, expected 10240"), (DATA + b"!", "is longer than 10240 bytes")],
)
def test_a_wrong_length_fails_at_once(server, tmp_path, body, text):
    server.script = [body]
    fails(make_source(server.url), tmp_path, text)
    assert len(server.requests) == 1


def test_an_absent_file_fails_at_once(server, tmp_path):
    server.script = [404]
    fails(make_source(server.url), tmp_path, "/path/words.txt answered 404 Not Found")
    assert len(server.requests) == 1


def test_a_busy_server_is_asked_again(server, tmp_path, caplog):
    server.script = [503, 429]
    with caplog.at_level(logging.WARNING):
        path, waits = fetch(make_source(server.url), tmp_path, backoff=0.25)
    assert path.read_bytes() == DATA
    assert waits == [0.25, 0.5]
    assert "answered 503 Service Unavailable: trying again" in caplog.text


def test_a_server_that_stays_busy_is_given_up(server, tmp_path):
    server.script = [503] * 9
    fails(make_source(server.url), tmp_path, "answered 503", attempts=3)
    assert len(server.requests) == 3


def test_a_connection_that_breaks_off_is_resumed(server, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "BLOCK", 1000)
    server.script = [(DATA, 4500)]
    path, waits = fetch(make_source(server.url), tmp_path)
    assert path.read_bytes() == DATA
    assert len(waits) == 1
    first, second = (asked for _, asked in server.requests)
    assert first is None
    assert second in {"bytes=4000-", "bytes=4500-"}


def test_a_truncated_file_fails_when_it_stays_so(server, tmp_path):
    server.script = [(DATA, 4500)] * 9
    fails(make_source(server.url), tmp_path, "broke off", attempts=2)
    assert len(server.requests) == 2


def test_what_an_interrupted_download_left_is_resumed(server, tmp_path):
    (tmp_path / "words.txt.part").write_bytes(DATA[:3000])
    path, _ = fetch(make_source(server.url), tmp_path)
    assert path.read_bytes() == DATA
    assert server.requests == [("/path/words.txt", "bytes=3000-")]
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("left", [OTHER[:3000], OTHER, DATA + b"!"])
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


def test_no_server_at_all(server, tmp_path):
    source = make_source("http://127.0.0.1:1")
    fails(source, tmp_path, "http://127.0.0.1:1/path/words.txt: ", "refused", attempts=2)


def test_a_mirror_folder_is_looked_in_first(server, tmp_path):
    mirror = tmp_path / "mirror"
    (mirror / "texts").mkdir(parents=True)
    (mirror / "texts" / "words.txt").write_bytes(DATA)
    path, _ = fetch(make_source(server.url), tmp_path / "new", mirror)
    assert path.read_bytes() == DATA
    assert server.requests == []
    assert (mirror / "texts" / "words.txt").exists()


@pytest.mark.parametrize("held", [None, OTHER, DATA[:10]])
def test_a_mirror_folder_without_the_right_file_is_said_and_left(server, tmp_path, caplog, held):
    mirror = tmp_path / "mirror"
    (mirror / "texts").mkdir(parents=True)
    if held is not None:
        (mirror / "texts" / "words.txt").write_bytes(held)
    path, _ = fetch(make_source(server.url), tmp_path / "new", mirror)
    assert path.read_bytes() == DATA
    assert str(mirror / "texts" / "words.txt") in caplog.text
    server.script = [404]
    (tmp_path / "empty").mkdir()
    texts = f"{mirror / 'texts' / 'words.txt'} ", "answered 404"
    fails(make_source(server.url), tmp_path / "empty", *texts, mirror=mirror)


def test_a_mirror_url_is_asked_first(server, tmp_path):
    path, _ = fetch(make_source("http://127.0.0.1:1"), tmp_path, f"{server.url}/all/")
    assert path.read_bytes() == DATA
    assert server.requests == [("/all/texts/words.txt", None)]


def test_a_mirror_of_another_scheme_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"mirror 'ftp://a': expected a folder, or a URL"):
        fetch(make_source("http://127.0.0.1:1"), tmp_path, "ftp://a")


def test_the_registry_of_the_project():
    found = sources()
    tasks = ("add_jump", "around_right", "simple")
    names = {f"scan_{task}_{part}" for task in tasks for part in ("train", "test")}
    assert names | {"scan_tasks"} <= found.keys()
    for name, source in found.items():
        assert source.name == name
        assert source.licence
        assert source.citation


HEADER = "name,version,url,mirror,sha256,sorted_sha256,bytes,licence,citation\n"
ROW = f"a,1,https://example.org/a,x/a,{'0' * 64},,12,MIT,B 2020\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ":1: columns are []"),
        (HEADER.replace("url", "link") + ROW, ":1: columns are ['name', 'version', 'link'"),
        (HEADER + ROW + "b,1,https\n", ":3: 3 fields, expected 9"),
        (HEADER + ROW + ROW, ":3: name 'a' stands twice"),
        (HEADER + ROW.replace("a,1", "a b,1", 1), ":2: name is 'a b'"),
        (HEADER + ROW.replace("https:", "ftp:"), ":2: url is 'ftp://example.org/a'"),
        (HEADER + ROW.replace("x/a", "../a"), ":2: mirror is '../a'"),
        (HEADER + ROW.replace("x/a", "/a"), ":2: mirror is '/a'"),
        (HEADER + ROW.replace("000", "0", 1), ":2: sha256 is '00"),
        (HEADER + ROW.replace(",,", ",abc,"), ":2: sorted_sha256 is 'abc'"),
        (HEADER + ROW.replace(",12,", ",-12,"), ":2: bytes is '-12'"),
    ],
)
def test_a_malformed_registry_is_one_line(tmp_path, text, expected):
    path = tmp_path / "sources.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"expected|twice") as error:
        sources(path)
    assert str(error.value).startswith(f"{path}{expected}")
    assert "\n" not in str(error.value)


def test_a_registry_is_read(tmp_path):
    path = tmp_path / "sources.csv"
    path.write_text(HEADER + ROW)
    (source,) = sources(path).values()
    assert source.url == "https://example.org/a"
    assert source.bytes == 12
    with pytest.raises(FileNotFoundError, match="does not exist"):
        sources(tmp_path / "absent.csv")


def test_lines_are_checked_in_any_order():
    digest = hashlib.sha256(b"a\nb\n").hexdigest()
    source = make_source("http://127.0.0.1:1", sorted_sha256=digest)
    check_lines(source, ["b", "a"])
    with pytest.raises(RetrievalError, match=r"^words: the sorted lines have sha256 .*published"):
        check_lines(source, ["a", "c"])
    with pytest.raises(ValueError, match="words has no sorted_sha256"):
        check_lines(make_source("http://127.0.0.1:1"), ["a"])


def partly_known(url):
    """As of torchvision's weights: eight digits of the checksum are published, and no size."""
    digits = hashlib.sha256(DATA).hexdigest()[:8]
    return make_source(url, sha256=digits, bytes=0)


def test_a_file_of_unknown_size_is_checked_by_the_digits_that_are_known(server, tmp_path):
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


@pytest.mark.parametrize("known", [make_source, partly_known])
def test_a_slow_server_is_asked_again_and_given_up_in_the_end(server, tmp_path, known):
    server.script = [1.5]  # seconds; half of one is waited for
    path, waits = fetch(known(server.url), tmp_path)
    assert path.read_bytes() == DATA
    assert waits
    path.unlink()
    server.script = [1.5, 1.5]
    fails(known(server.url), tmp_path, "timed out", attempts=2)


def test_an_absent_file_of_unknown_size_fails_at_once(server, tmp_path):
    server.script = [404]
    fails(partly_known(server.url), tmp_path, "answered 404 Not Found")
    assert len(server.requests) == 1


def test_a_file_of_unknown_size_that_stays_truncated_fails(server, tmp_path):
    server.script = [(DATA, 4000)] * 9
    fails(partly_known(server.url), tmp_path, "broke off", attempts=2)


def test_a_file_that_only_a_mirror_has(server, tmp_path):
    source = replace(make_source(server.url), url="")
    fails(source, tmp_path, "it has no URL of its own: put the file at texts/words.txt in a folder")
    assert server.requests == []
    folder = tmp_path / "mirror" / "texts"
    folder.mkdir(parents=True)
    fails(source, tmp_path, f"{folder / 'words.txt'} does not exist", mirror=tmp_path / "mirror")
    (folder / "words.txt").write_bytes(DATA)
    path, _ = fetch(source, tmp_path / "new", tmp_path / "mirror")
    assert path.read_bytes() == DATA
