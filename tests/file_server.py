"""A server of files on this machine that errs as its script says, and a source that it has.

Nothing in it is a matter of time: a machine that is busy gives the same answers later.
"""

import contextlib
import hashlib
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from equitune.io.registry import Source
from equitune.io.retrieve import retrieve

DATA = bytes(range(256)) * 40
OTHER = DATA[::-1]


class Handler(BaseHTTPRequestHandler):
    """Answers each request by the next entry of the server's script, then by the file, else DATA.

    An entry is a status, bytes, bytes with the number that are sent before the connection ends, or
    a function of the handler.
    """

    def do_GET(self):
        self.server.requests.append((self.path, self.headers.get("Range")))
        held = self.server.files.get(self.path, 404) if self.server.files else DATA
        answer = self.server.script.pop(0) if self.server.script else held
        if callable(answer):
            with contextlib.suppress(ConnectionError):  # who waited too long is gone
                answer(self)
            self.close_connection = True
            return
        if isinstance(answer, int):
            self.send_response(answer)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        body, sent = answer if isinstance(answer, tuple) else (answer, len(answer))
        begun = self.begin(len(body))
        with contextlib.suppress(ConnectionError):
            self.wfile.write(body[begun:sent])
        self.close_connection = True

    def begin(self, size):
        """Send the headers of a file of a size; return how much of it is not asked for."""
        asked = self.headers.get("Range", "") if self.server.ranges else ""
        begun = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
        self.send_response(206 if begun else 200)
        if begun:
            self.send_header("Content-Range", f"bytes {begun}-{size - 1}/{size}")
        self.send_header("Content-Length", str(size - begun))
        self.end_headers()
        return begun

    def log_message(self, *arguments):
        """Keep quiet."""


def silent(handler):
    """Answer nothing as long as the server runs."""
    handler.server.stopped.wait()


def dribble(size):
    """Return an answer of DATA in pieces of a size, each sent for itself."""

    def answer(handler):
        for start in range(handler.begin(len(DATA)), len(DATA), size):
            handler.wfile.write(DATA[start : start + size])
            if handler.server.stopped.wait(0.001):
                return

    return answer


def in_circles(handler):
    """Answer that the file stands where it was asked for."""
    handler.server.script.append(in_circles)
    handler.send_response(302)
    handler.send_header("Location", handler.path)
    handler.send_header("Content-Length", "0")
    handler.end_headers()


@contextlib.contextmanager
def serve():
    """Run a server on a free port of the loopback; it ends with the block."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        http.script, http.requests, http.files, http.ranges = [], [], {}, True
        http.stopped = threading.Event()
        http.url = f"http://127.0.0.1:{http.server_port}"
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield http
        finally:  # a test that fails inside would leave a thread that no process can end with
            http.stopped.set()
            http.shutdown()
            thread.join()


@contextlib.contextmanager
def nobody():
    """The URL of a port at which nobody listens, and which nobody else can have meanwhile."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


def make_source(url="http://example.invalid", **changes):
    """The row of a file that holds DATA."""
    row = {
        "name": "words",
        "version": "1",
        "url": f"{url}/path/words.txt" if url else "",
        "mirror": "texts/words.txt",
        "sha256": hashlib.sha256(DATA).hexdigest(),
        "sorted_sha256": "",
        "bytes": len(DATA),
        "licence": "MIT",
        "citation": "A 2020",
    }
    return Source(**{**row, **changes})


def partly_known(url):
    """As of torchvision's weights: eight digits of the checksum are published, and no size."""
    return make_source(url, sha256=hashlib.sha256(DATA).hexdigest()[:8], bytes=0)


def fetch(source, folder, mirror=None, **options):
    """Retrieve words.txt without a pause; return its path and the waits between tries."""
    waits = []
    options = {"timeout": (60, 60), "sleep": waits.append, **options}
    return retrieve(source, folder / "words.txt", mirror, **options), waits
