"""Downloads from a real server that misbehaves on command."""

import errno
import hashlib
import io
import os
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import tenacity
from misbehaving_server import (
    HALF,
    NAME,
    PAYLOAD,
    WRONG,
    break_chunk,
    closed_url,
    endless,
    fail,
    good,
    hang,
    redirect_to,
    send,
    send_all,
    serving,
    stall,
)

from slimhub.export.checkpoints import download
from slimhub.export.errors import DownloadError
from slimhub.models.model import Archive

SHA256 = hashlib.sha256(PAYLOAD).hexdigest()
ATTEMPTS = 3
TRIED = rf" \({ATTEMPTS} attempts\)"


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """Use no proxy, and no setting of the terminal."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    for name in ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def serve():
    with serving() as serve:
        yield serve


@pytest.fixture
def cache(tmp_path) -> Path:
    return tmp_path / "cache" / "slimhub"


@pytest.fixture
def cached(cache) -> Path:
    cache.mkdir(parents=True)
    return cache / NAME


@pytest.fixture
def part(cached) -> Path:
    return cached.with_name(f"{NAME}.part")


@pytest.fixture
def fetch(cache):
    def fetch(*urls: str, **kwargs) -> Path:
        archive = Archive(
            name=NAME,
            member="inception_v2.ckpt",
            urls=urls,
            num_bytes=len(PAYLOAD),
            sha256=SHA256,
            max_member_bytes=1 << 20,
        )
        defaults = {"attempts": ATTEMPTS, "timeout": (2, 2), "wait": tenacity.wait_fixed(0.01)}
        return download.fetch(archive, cache=cache, **defaults | kwargs)

    return fetch


@pytest.fixture
def refuse(fetch, cache):
    """Return a function that fetches what can't be fetched, and returns the reasons by file and URL."""

    def refuse(*urls: str, **kwargs) -> dict[str, str]:
        with pytest.raises(DownloadError) as caught:
            fetch(*urls, **kwargs)
        error = caught.value
        assert (error.exit_code, error.path) == (3, cache / NAME)
        assert error.expected == f"300000 bytes, SHA-256 {SHA256}"
        return error.failures

    return refuse


def test_download(serve, fetch, cache, capfd):
    """An archive is downloaded once, quietly, into the new cache; the next fetch makes no request."""
    server = serve(good)
    for _ in range(2):
        assert fetch(server.url) == cache / NAME
        assert (cache / NAME).read_bytes() == PAYLOAD
    (request,) = server.requests
    assert request["range"] is None
    assert request["headers"]["Accept-Encoding"] == "identity"
    assert {path.name for path in cache.iterdir()} == {NAME, f"{NAME}.lock", f"{NAME}.origin"}
    assert capfd.readouterr() == ("", "")


def test_cached(serve, fetch, cached):
    """An intact archive in the cache is returned with no request and no lock."""
    cached.write_bytes(PAYLOAD)
    assert fetch(closed_url()) == cached
    assert list(cached.parent.iterdir()) == [cached]


@pytest.mark.parametrize("content", [WRONG, PAYLOAD[:-1]])
def test_damaged_cache(serve, fetch, cached, content):
    """A damaged archive in the cache is downloaded anew and replaced."""
    cached.write_bytes(content)
    server = serve(good)
    assert fetch(server.url).read_bytes() == PAYLOAD
    assert len(server.requests) == 1


def test_nothing_works(fetch, cached):
    """If nothing can be downloaded, the file in the cache stays, and the error lists all that was tried."""
    cached.write_bytes(b"<html>")
    url = closed_url()
    with pytest.raises(DownloadError) as caught:
        fetch("inception", url)
    error = caught.value
    assert list(error.failures) == [str(cached), "inception", url]
    assert error.failures[str(cached)] == "6 bytes, expected 300000"
    assert re.fullmatch(f"ConnectionError: .*Connection refused{TRIED}", error.failures[url])
    assert url not in error.failures[url]
    assert str(error).splitlines() == [
        f"{NAME} could not be fetched. Tried:",
        *(f"  {where}: {failure}" for where, failure in error.failures.items()),
        f"Expected {error.expected}.",
        f"To bring it by hand, download it elsewhere, then put it at {cached}",
        f"or pass --checkpoint=/path/to/{NAME}",
    ]
    assert cached.read_bytes() == b"<html>"


@pytest.mark.parametrize(
    "interrupted",
    [send(PAYLOAD, sent=HALF), send_all(PAYLOAD[:HALF]), break_chunk, stall],
    ids=["length_declared", "no_length", "chunked", "read_timeout"],
)
def test_resume(serve, fetch, interrupted):
    """The bytes that a lost connection delivered are not requested again."""
    server = serve(interrupted, good)
    assert fetch(server.url, timeout=(2, 0.3)).read_bytes() == PAYLOAD
    first, second = server.requests
    start = int(re.fullmatch(r"bytes=(\d+)-", second["range"])[1])
    assert first["range"] is None
    assert HALF // 2 < start <= HALF
    assert second["sent"] == len(PAYLOAD) - start


@pytest.mark.parametrize("status", [429, 500, 503])
def test_server_error_that_passes(serve, fetch, capsys, status):
    """A temporary error of the server is retried, with a line on stderr."""
    server = serve(fail(status), fail(status), good)
    assert fetch(server.url).read_bytes() == PAYLOAD
    assert len(server.requests) == 3
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert all(line.startswith(f"{server.url}: HTTP {status} ") for line in lines)


def test_part_of_another_url(serve, fetch):
    """A part from one URL is continued from the next."""
    broken, whole = serve(send(PAYLOAD, sent=HALF), fail(404)), serve(good)
    assert fetch(broken.url, whole.url).read_bytes() == PAYLOAD
    assert len(broken.requests) == 2
    assert [request["sent"] < len(PAYLOAD) for request in whole.requests] == [True]


REST = f"bytes={HALF}-"
PARTS = {
    # Name: what is there, what the server does, what it is asked for.
    "fits": (PAYLOAD[:HALF], [good], [REST]),
    "range_ignored": (WRONG[:HALF], [send_all(PAYLOAD)], [REST]),
    "416": (PAYLOAD[:HALF], [fail(416), good], [REST, None]),
    "other_content_range": (
        PAYLOAD[:HALF],
        [send_all(PAYLOAD, status=206, Content_Range="bytes 0-299999/300000"), good],
        [REST, None],
    ),
    "stale": (WRONG[:HALF], [good], [REST, None]),
    "wrong": (WRONG, [good], [None]),
}


@pytest.mark.parametrize(("content", "behaviours", "ranges"), PARTS.values(), ids=PARTS)
def test_part_of_an_earlier_run(serve, fetch, part, content, behaviours, ranges):
    """A part is continued; if it can't be, or not to the right SHA-256, there is a fresh start."""
    part.write_bytes(content)
    server = serve(*behaviours)
    assert fetch(server.url).read_bytes() == PAYLOAD
    assert [request["range"] for request in server.requests] == ranges
    assert not part.exists()


def test_wrong_sum_of_a_part_twice(serve, refuse, part):
    """After a part with a wrong SHA-256 there is one fresh start, even if that is resumed in turn."""
    part.write_bytes(PAYLOAD[:HALF])
    server = serve(send(WRONG), send(WRONG, sent=HALF), send(WRONG))
    assert refuse(server.url)[server.url].startswith("SHA-256 ")
    assert [bool(request["range"]) for request in server.requests] == [True, False, True]
    assert not part.exists()


DIGESTS = f"SHA-256 [0-9a-f]{{64}}, expected {SHA256}"
FAILURES = {
    # Name: what the server does, a pattern of the reason, and the number of requests.
    "404": (fail(404), "HTTP 404 Not Found", 1),
    "503_for_ever": (fail(503), f"HTTP 503 Service Unavailable{TRIED}", ATTEMPTS),
    "416_for_ever": (fail(416), f"HTTP 416 .*{TRIED}", ATTEMPTS),
    "redirect_for_ever": (redirect_to("/"), "TooManyRedirects: .*", 31),
    "wrong_sum": (send(WRONG), DIGESTS, 1),
    "short": (send(b"<html>", declared=6), "Content-Length 6, expected 300000", 1),
    "endless": (endless, "more than 300000 bytes", 1),
    "short_without_length": (send_all(b"<html>"), f".* after 6 of 300000 bytes{TRIED}", ATTEMPTS),
    "compressed": (send_all(PAYLOAD, Content_Encoding="gzip"), "Content-Encoding gzip, .*", 1),
    "hang": (hang, f".*{TRIED}", ATTEMPTS),
}


@pytest.mark.parametrize(("behave", "reason", "num_requests"), FAILURES.values(), ids=FAILURES)
def test_failure(serve, refuse, cached, behave, reason, num_requests):
    """A failed download is an error with the URL and the reason; only temporary failures are retried."""
    server = serve(behave)
    failures = refuse(server.url, timeout=(2, 0.3))
    assert re.fullmatch(reason, failures[server.url])
    assert len(server.requests) == num_requests
    assert not cached.exists()


@pytest.mark.parametrize("url", ["", "inception", "ftp://127.0.0.1/x", "http://", "http://[x]/"])
def test_no_url(refuse, url):
    """A URL that can't be fetched is an error."""
    assert url in refuse(url)


@pytest.mark.parametrize("behave", [fail(404), fail(503), send(WRONG), send_all(PAYLOAD * 2)])
def test_next_url(serve, fetch, behave):
    """After a URL that fails, the next one is tried."""
    first, second = serve(behave), serve(good)
    assert fetch(first.url, second.url).read_bytes() == PAYLOAD
    assert first.requests
    assert [request["range"] for request in second.requests] == [None]


def test_two_at_once(serve, fetch, cached):
    """If two fetch at once, one downloads, and both return the archive."""

    def slow(handler):
        handler.server.closing.wait(0.3)
        good(handler)

    server = serve(slow)
    with ThreadPoolExecutor() as pool:
        paths = list(pool.map(fetch, [server.url] * 2))
    assert paths == [cached, cached]
    assert cached.read_bytes() == PAYLOAD
    assert len(server.requests) == 1


def test_two_at_once_that_fail(serve, refuse, part):
    """If two fetch at once and the first fails, the second tries by itself."""
    server = serve(send(WRONG))
    with ThreadPoolExecutor() as pool:
        assert len(list(pool.map(refuse, [server.url] * 2))) == 2
    assert len(server.requests) == 2
    assert not part.exists()


def test_file_in_place_of_the_cache(serve, refuse, cache):
    """A cache that can't be a directory is an error that names it, before any request."""
    cache.parent.mkdir(parents=True)
    cache.write_bytes(b"")
    server = serve(good)
    assert list(refuse(server.url)) == [str(cache)]
    assert server.requests == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
def test_disk_full(serve, refuse, part):
    """A full disk is an error of the cache and not of the URL, which is not tried again."""
    part.symlink_to("/dev/full")
    server = serve(good)
    failures = refuse(server.url)
    assert list(failures) == [str(part.with_name(NAME)), str(part.parent)]
    assert failures[str(part.parent)].endswith(os.strerror(errno.ENOSPC))
    assert len(server.requests) == 1


def test_directory_in_place_of_the_archive(serve, refuse, cached):
    """A directory under the archive's name is an error, and stays."""
    cached.mkdir()
    assert str(cached.parent) in refuse(serve(good).url)
    assert cached.is_dir()


def test_progress_on_a_terminal(serve, fetch, monkeypatch):
    """On a terminal, a bar shows the name and the size."""

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    fetch(serve(good).url)
    shown = sys.stderr.getvalue()
    assert NAME in shown
    assert "300.0/300.0 kB" in shown
