"""Many clients at once, some of which hang or disconnect, while modules are replaced."""

import concurrent.futures
import contextlib
import hashlib
import io
import json
import socket
import tarfile
import threading
import time
import urllib.parse

import pytest
import requests

import hub
from slimhub.export.publishing import publish
from slimhub.signatures.contract import formats
from slimhub.signatures.module.provenance import from_json

pytestmark = pytest.mark.xdist_group("hub")

HANDLE = "me/large/3"
PATH = f"/{HANDLE}?tf-hub-format=compressed"
WHOLE = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
CLIENTS = 64
# Size of the module.
BYTES = 40 << 20


@pytest.fixture(scope="module")
def record(stem):
    return hub.record_of(stem / "3")


@pytest.fixture
def root(record, tmp_path):
    # It has two files.
    hub.put(record, tmp_path / "root" / HANDLE, content=bytes(BYTES // 2))
    return tmp_path / "root"


@pytest.fixture
def server(root, tmp_path):
    """A server that closes stalled connections after three seconds."""
    with hub.serving(root, tmp_path / "home", "--stall=3") as server:
        yield server


def fetched(server: hub.Server) -> str:
    """Fetch an archive, and return the ETag that the server sent, which is its sum."""
    digest, num_bytes = hashlib.sha256(), 0
    with requests.get(server.url + PATH, stream=True, timeout=300) as answer:
        assert answer.status_code == 200
        for chunk in answer.iter_content(1 << 16):
            digest.update(chunk)
            num_bytes += len(chunk)
    assert num_bytes == int(answer.headers["content-length"])
    assert answer.headers["etag"] == f'"{digest.hexdigest()}"'
    return answer.headers["etag"]


def connected(server: hub.Server, said: bytes) -> socket.socket:
    """Return a client that has sent some bytes."""
    host, port = urllib.parse.urlsplit(server.url).netloc.split(":")
    client = socket.create_connection((host, int(port)))
    client.sendall(said)
    return client


def hanging(server: hub.Server) -> socket.socket:
    """Return a client that has requested an archive, and receives only its beginning."""
    client = connected(server, f"GET {PATH} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    assert client.recv(16).startswith(b"HTTP/1.1 200")
    return client


def idle(server: hub.Server) -> int:
    """Return how many files and connections the server has open after a response."""
    requests.get(f"{server.url}/healthz", headers={"connection": "close"}, timeout=60)
    return server.descriptors()


def settled(server: hub.Server, descriptors: int) -> bool:
    """Return whether the server gets down to so many open files and connections within a minute."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if server.descriptors() <= descriptors:
            return True
        time.sleep(0.05)
    return False


def test_many_clients(server):
    """Each of 64 clients at once gets the whole archive, and the server does not grow with them."""
    idle(server)
    before = server.memory()
    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as clients:
        results = list(clients.map(lambda _: fetched(server), range(CLIENTS)))
    assert len(set(results)) == 1
    # Less than two archives, where all of them are 64.
    assert server.memory() - before < 2 * BYTES
    # It was packed once.
    assert len(list(server.log.parent.rglob("*.tar.gz"))) == 1


def test_clients_that_do_not_go_on(server):
    """Clients that stop receiving, or never send a whole request, are given up while others are served."""
    before = idle(server)
    with contextlib.ExitStack() as stack:
        for _ in range(CLIENTS):
            stack.enter_context(hanging(server))
        for said in (b"", b"GET /", b"GET / HTTP/1.1\r\nHost: a\r\n"):
            # Also after a previous request.
            for first in (b"", WHOLE):
                stack.enter_context(connected(server, first + said))
        assert server.descriptors() > before
        fetched(server)
        assert settled(server, before)


def test_clients_that_break_off(server):
    """Clients that disconnect leave nothing behind."""
    before = idle(server)
    for _ in range(CLIENTS):
        hanging(server).close()
    assert settled(server, before)
    fetched(server)


def contents(archive: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return {
            info.name.removeprefix("./"): tar.extractfile(info).read()
            for info in tar
            if info.isfile()
        }


def test_replaced_while_fetched(root, record, tmp_path):
    """While a module is replaced again and again, each archive is one whole module."""
    target, done, statuses = root / HANDLE, threading.Event(), []

    def client(server):
        while not done.is_set():
            answer = requests.get(server.url + PATH, timeout=60)
            statuses.append(answer.status_code)
            if answer.status_code == 200:
                assert answer.headers["etag"] == f'"{hashlib.sha256(answer.content).hexdigest()}"'
                files = contents(answer.content)
                provenance = from_json(files.pop(formats.PROVENANCE).decode())
                sums = {name: hashlib.sha256(files[name]).hexdigest() for name in files}
                assert sums == {file.name: file.sha256 for file in provenance.files}

    with (
        hub.serving(root, tmp_path / "home") as server,
        concurrent.futures.ThreadPoolExecutor(4) as clients,
    ):
        running = [clients.submit(client, server) for _ in range(4)]
        try:
            for number in range(40):
                with publish.staging(target, overwrite=True) as staging:
                    hub.put(record, staging, content=json.dumps(number).encode() * 100_000)
                    publish.publish(staging, target, overwrite=True)
        finally:
            done.set()
        for client in running:
            client.result()
    assert statuses.count(200) > 10
    # Between two renames, there is no version.
    assert set(statuses) <= {200, 404, 503}
