"""A real HTTP server on this machine that misbehaves on command."""

import contextlib
import http.server
import random
import re
import socket
import sys
import threading
from collections.abc import Callable, Iterator

NAME = "inception_v2.tar.gz"
PAYLOAD = random.Random(0).randbytes(300_000)
HALF = len(PAYLOAD) // 2
WRONG = PAYLOAD[::-1]


class Handler(http.server.BaseHTTPRequestHandler):
    """Leaves each request to the next of the server's behaviours; the last one stays."""

    def do_GET(self):
        with self.server.turn:
            behaviours, requests = self.server.behaviours, self.server.requests
            behave = behaviours[min(len(requests), len(behaviours) - 1)]
            self.log = {"range": self.headers["Range"], "sent": 0, "headers": dict(self.headers)}
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
    """Listens on a free port.

    Attributes:
      url: of the one file that it has.
      requests: what it was asked for so far, in order.
      closing: set when the test is over.
    """

    def __init__(self, *behaviours: Behaviour):
        super().__init__(("127.0.0.1", 0), Handler)
        self.behaviours = behaviours
        self.requests: list[dict] = []
        self.turn = threading.Lock()
        self.closing = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}/models/{NAME}"

    def handle_error(self, request, client_address):
        """A client that hangs up in the middle is part of the game."""


@contextlib.contextmanager
def serving() -> Iterator[Callable[..., Server]]:
    """Gives a function that starts a server with the given behaviours, one a request."""
    servers = []

    def serve(*behaviours: Behaviour) -> Server:
        server = Server(*behaviours)
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
    """Where nobody listens, as without a network."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    return f"http://127.0.0.1:{port}/{NAME}"


def send(body: bytes, *, sent: int = sys.maxsize, declared: int | None = None) -> Behaviour:
    """Answers with the body from where the client asks; may send less, or declare otherwise."""

    def behave(handler: Handler):
        match = re.fullmatch(r"bytes=(\d+)-", handler.log["range"] or "bytes=0-")
        start = int(match[1])
        rest = body[start:]
        length = len(rest) if declared is None else declared
        headers = {"Content_Range": f"bytes {start}-{len(body) - 1}/{len(body)}"} if start else {}
        handler.answer(206 if start else 200, rest[:sent], length=length, **headers)

    return behave


def send_all(body: bytes, *, status=200, **headers) -> Behaviour:
    """Answers with the whole body, whatever range is asked for, and declares no length."""
    return lambda handler: handler.answer(status, body, **headers)


def send_chunked(body: bytes) -> Behaviour:
    """Announces a chunk, and closes the connection within."""

    def behave(handler: Handler):
        framed = b"%x\r\n%s" % (len(PAYLOAD), body)
        handler.answer(200, framed, Transfer_Encoding="chunked")

    return behave


def fail(status: int, **headers) -> Behaviour:
    return lambda handler: handler.answer(status, length=0, **headers)


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


def redirect(handler: Handler):
    handler.answer(302, length=0, Location=handler.path)


good = send(PAYLOAD)
