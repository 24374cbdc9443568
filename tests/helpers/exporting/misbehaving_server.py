"""A real HTTP server on this machine that misbehaves on command."""

import contextlib
import http.server
import random
import re
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Iterator

NAME = "inception_v2.tar.gz"
PAYLOAD = random.Random(0).randbytes(300_000)
HALF = len(PAYLOAD) // 2
WRONG = PAYLOAD[::-1]


class Handler(http.server.BaseHTTPRequestHandler):
    """A handler that passes each request to the next behaviour of the server; the last one is repeated."""

    def do_GET(self):
        with self.server.turn:
            behaviours, requests = self.server.behaviours, self.server.requests
            behave = behaviours[min(len(requests), len(behaviours) - 1)]
            self.log = {"range": self.headers["Range"], "sent": 0, "headers": self.headers}
            requests.append(self.log)
        behave(self)

    def answer(self, status, body=b"", *, length: int | None = None, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()
        self.log["sent"] = len(body)
        self.wfile.write(body)

    def log_message(self, *args):
        pass


Behaviour = Callable[[Handler], None]


class Server(http.server.ThreadingHTTPServer):
    """A server that listens on a free port.

    Attributes:
      url: URL of the one file.
      requests: facts about the requests so far, in order.
      closing: event that is set when the test is over.
    """

    def __init__(self, *behaviours: Behaviour, tls: ssl.SSLContext | None = None):
        super().__init__(("127.0.0.1", 0), Handler)
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_side=True)
        self.behaviours = behaviours
        self.requests: list[dict] = []
        self.turn = threading.Lock()
        self.closing = threading.Event()
        scheme = "http" if tls is None else "https"
        self.url = f"{scheme}://127.0.0.1:{self.server_port}/models/{NAME}"

    def handle_error(self, request, client_address):
        """Ignore errors: some tests close the connection in the middle of a response."""


@contextlib.contextmanager
def serving() -> Iterator[Callable[..., Server]]:
    """Yield a function that starts a server with these behaviours, one for each request; `tls` for https."""
    servers = []

    def serve(*behaviours: Behaviour, tls: ssl.SSLContext | None = None) -> Server:
        server = Server(*behaviours, tls=tls)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        return server

    try:
        yield serve
    finally:
        for server in servers:
            server.closing.set()
            server.shutdown()
            server.server_close()


def closed_url() -> str:
    """Return a URL at which no server listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    return f"http://127.0.0.1:{port}/{NAME}"


def send(body: bytes, *, sent: int = sys.maxsize, declared: int | None = None) -> Behaviour:
    """Return a behaviour: send the requested range of the body, or less, and declare its length or another."""

    def behave(handler: Handler):
        start = int(re.fullmatch(r"bytes=(\d+)-", handler.log["range"] or "bytes=0-")[1])
        rest = body[start:]
        length = len(rest) if declared is None else declared
        headers = {"Content_Range": f"bytes {start}-{len(body) - 1}/{len(body)}"} if start else {}
        handler.answer(206 if start else 200, rest[:sent], length=length, **headers)

    return behave


def send_all(body: bytes, *, status=200, **headers) -> Behaviour:
    """Return a behaviour: send the whole body for any request, and declare no length."""
    return lambda handler: handler.answer(status, body, **headers)


def break_chunk(handler: Handler):
    """Announce the payload as one chunk, and close the connection in the middle of it."""
    body = b"%x\r\n%s" % (len(PAYLOAD), PAYLOAD[:HALF])
    handler.answer(200, body, Transfer_Encoding="chunked")


def fail(status: int) -> Behaviour:
    return lambda handler: handler.answer(status, length=0)


def hang(handler: Handler):
    handler.server.closing.wait(10)


def stall(handler: Handler):
    send(PAYLOAD, sent=HALF)(handler)
    handler.wfile.flush()
    hang(handler)


def endless(handler: Handler):
    handler.answer(200)
    while not handler.server.closing.is_set():
        handler.wfile.write(PAYLOAD)


def redirect_to(url: str) -> Behaviour:
    return lambda handler: handler.answer(302, length=0, Location=url)


good = send(PAYLOAD)
