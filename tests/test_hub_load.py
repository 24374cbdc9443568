"""Many clients at once, some of which hang or break off, while modules are replaced."""

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

import hub
import pytest
import requests

from slimhub.export import publish
from slimhub.signatures import formats
from slimhub.signatures.provenance import from_json

pytestmark = pytest.mark.xdist_group("hub")

HANDLE = "me/large/3"
PATH = f"/{HANDLE}?tf-hub-format=compressed"
CLIENTS = 64
# Of the module.
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
    with hub.serving(root, tmp_path / "home") as server:
        yield server


@pytest.fixture
def impatient(root, tmp_path):
    """A server that gives clients up soon, but none that only has to wait for a core."""
    with hub.serving(root, tmp_path / "home", "--stall=3") as server:
        yield server


def fetched(server: hub.Server) -> tuple[str, str]:
    """SHA-256 of what was fetched, and what the server said it is."""
    digest, num_bytes = hashlib.sha256(), 0
    with requests.get(server.url + PATH, stream=True, timeout=300) as answer:
        assert answer.status_code == 200
        for chunk in answer.iter_content(1 << 16):
            digest.update(chunk)
            num_bytes += len(chunk)
    assert num_bytes == int(answer.headers["content-length"])
    return f'"{digest.hexdigest()}"', answer.headers["etag"]


def hanging(server: hub.Server) -> socket.socket:
    """A client that asks for an archive, takes the beginning, and no more."""
    host, port = urllib.parse.urlsplit(server.url).netloc.split(":")
    client = socket.create_connection((host, int(port)))
    client.sendall(f"GET {PATH} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    assert client.recv(16).startswith(b"HTTP/1.1 200")
    return client


def idle(server: hub.Server) -> int:
    """How many files and connections the server has open when it has answered."""
    requests.get(f"{server.url}/healthz", headers={"connection": "close"}, timeout=60)
    return server.descriptors()


def settled(server: hub.Server, descriptors: int) -> bool:
    """Whether the server comes to have no more files and connections open."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if server.descriptors() <= descriptors:
            return True
        time.sleep(0.05)
    return False


def test_many_clients(server):
    """Each of 64 clients at once gets the whole archive, and the server does not grow with them."""
    requests.get(f"{server.url}/healthz", timeout=60)
    before = server.memory()
    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as clients:
        results = list(clients.map(lambda _: fetched(server), range(CLIENTS)))
    assert len(set(results)) == 1
    assert results[0][0] == results[0][1]
    # Less than two archives, where all of them are 64.
    assert server.memory() - before < 2 * BYTES
    # It was packed once.
    assert len(list(server.log.parent.rglob("*.tar.gz"))) == 1


def test_clients_that_hang(impatient):
    """Clients that take no more are given up, and others are served meanwhile."""
    before = idle(impatient)
    with contextlib.ExitStack() as stack:
        for _ in range(CLIENTS):
            stack.enter_context(hanging(impatient))
        assert impatient.descriptors() > before
        sent, stated = fetched(impatient)
        assert sent == stated
        assert settled(impatient, before)


@pytest.mark.parametrize("said", [b"", b"GET /", b"GET / HTTP/1.1\r\nHost: a\r\n"])
def test_clients_that_say_nothing(impatient, said):
    """Clients that send no request, or half of one, are given up, also behind a whole one."""
    before = idle(impatient)
    host, port = urllib.parse.urlsplit(impatient.url).netloc.split(":")
    whole = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
    with contextlib.ExitStack() as stack:
        for number in range(8):
            client = stack.enter_context(socket.create_connection((host, int(port))))
            client.sendall(said if number % 2 else whole + said)
        assert settled(impatient, before)


def test_clients_that_break_off(server):
    """Clients that break off leave nothing behind."""
    before = idle(server)
    for _ in range(CLIENTS):
        hanging(server).close()
    assert settled(server, before)
    sent, stated = fetched(server)
    assert sent == stated


def contents(archive: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return {
            info.name.removeprefix("./"): tar.extractfile(info).read()
            for info in tar
            if info.isfile()
        }


@pytest.mark.parametrize("how", ["exchange", "rename"])
def test_replaced_while_fetched(root, record, tmp_path, how, monkeypatch):
    """While a module is replaced again and again, each archive is one whole module."""
    if how == "rename":
        # As where directories can't be exchanged: there is none for a moment.
        monkeypatch.setattr(publish, "_exchange", lambda one, other: False)
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
        finally:
            done.set()
        for one in running:
            one.result()
    assert statuses.count(200) > 10
    assert set(statuses) <= ({200} if how == "exchange" else {200, 404, 503})
