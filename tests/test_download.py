"""slimhub.export.download against a real server that misbehaves on command."""

import hashlib
import io
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
    closed_url,
    endless,
    fail,
    good,
    hang,
    redirect,
    send,
    send_all,
    send_chunked,
    serving,
    stall,
)

from slimhub.export import download
from slimhub.export.errors import DownloadError
from slimhub.models.catalog import Archive

ATTEMPTS = 3


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """No proxy comes between, and no setting of the terminal."""
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
            sha256=hashlib.sha256(PAYLOAD).hexdigest(),
            max_member_bytes=1 << 20,
        )
        defaults = {"attempts": ATTEMPTS, "timeout": (2, 2), "wait": tenacity.wait_fixed(0.01)}
        return download.fetch(archive, cache=cache, **defaults | kwargs)

    return fetch


@pytest.fixture
def refuse(fetch, cache):
    """Fetches what can't be fetched; returns the message, after checking what all have."""

    def refuse(*urls: str, **kwargs) -> str:
        with pytest.raises(DownloadError) as caught:
            fetch(*urls, **kwargs)
        message = str(caught.value)
        assert caught.value.exit_code == 3
        assert "Tried:" in message
        assert f"Expected {len(PAYLOAD)} bytes, SHA-256" in message
        assert f"put it at {cache / NAME}" in message
        assert f"--checkpoint=/path/to/{NAME}" in message
        return message

    return refuse


def test_download(serve, fetch, cache):
    """An archive is downloaded with one request and lies in the new cache under its name."""
    server = serve(good)
    assert fetch(server.url) == cache / NAME
    assert (cache / NAME).read_bytes() == PAYLOAD
    (request,) = server.requests
    assert request["range"] is None
    assert request["headers"]["Accept-Encoding"] == "identity"
    assert {path.name for path in cache.iterdir()} == {NAME, f"{NAME}.lock"}


def test_cached(serve, fetch, cached):
    """An intact archive in the cache is returned with no request and no lock."""
    cached.write_bytes(PAYLOAD)
    server = serve(good)
    assert fetch(server.url) == cached
    assert server.requests == []
    assert list(cached.parent.iterdir()) == [cached]


@pytest.mark.parametrize("content", [WRONG, PAYLOAD[:-1], PAYLOAD + b"x", b""])
def test_damaged_cache(serve, fetch, cached, content):
    """A damaged archive in the cache is downloaded anew and replaced."""
    cached.write_bytes(content)
    server = serve(good)
    assert fetch(server.url).read_bytes() == PAYLOAD
    assert len(server.requests) == 1


def test_damaged_cache_without_network(refuse, cached):
    """The message of a failure tells what is wrong with the file in the cache."""
    cached.write_bytes(b"<html>")
    message = refuse(closed_url())
    assert f"{cached}: 6 bytes, expected {len(PAYLOAD)}" in message
    assert cached.read_bytes() == b"<html>"


@pytest.mark.parametrize(
    "interrupted",
    [send(PAYLOAD, sent=HALF), send_all(PAYLOAD[:HALF]), send_chunked(PAYLOAD[:HALF]), stall],
    ids=["length_declared", "no_length", "chunked", "read_timeout"],
)
def test_resume(serve, fetch, interrupted):
    """What a lost connection has brought is not asked for again."""
    server = serve(interrupted, good)
    assert fetch(server.url, timeout=(2, 0.3)).read_bytes() == PAYLOAD
    first, second = server.requests
    start = int(re.fullmatch(r"bytes=(\d+)-", second["range"])[1])
    assert first["range"] is None
    assert HALF // 2 < start <= HALF
    assert second["sent"] == len(PAYLOAD) - start


@pytest.mark.parametrize("status", [429, 500, 503])
def test_server_error_that_passes(serve, fetch, capsys, status):
    """A server's error that passes is retried, and said on stderr."""
    server = serve(fail(status), fail(status), good)
    assert fetch(server.url).read_bytes() == PAYLOAD
    assert len(server.requests) == 3
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert all(line.startswith(f"{server.url}: HTTP {status} ") for line in lines)


def test_part_of_an_earlier_run(serve, fetch, refuse, part, cached):
    """A later run continues where an earlier one gave up."""
    message = refuse(serve(send(PAYLOAD, sent=HALF)).url, attempts=1)
    assert "IncompleteRead" in message or f"of {len(PAYLOAD)} bytes" in message
    have = part.stat().st_size
    server = serve(good)
    assert fetch(server.url) == cached
    assert [request["range"] for request in server.requests] == [f"bytes={have}-"]
    assert not part.exists()


def test_part_of_another_url(serve, fetch):
    """What one url has brought is continued from the next."""
    broken, whole = serve(send(PAYLOAD, sent=HALF), fail(404)), serve(good)
    assert fetch(broken.url, whole.url).read_bytes() == PAYLOAD
    assert len(broken.requests) == 2
    assert [request["sent"] < len(PAYLOAD) for request in whole.requests] == [True]


REST = f"bytes={HALF}-"
PARTS = {
    # Name: what is there, what the server does, what it is asked for.
    "range_ignored": (WRONG[:HALF], [send_all(PAYLOAD)], [REST]),
    "ignored_with_length": (WRONG[:HALF], [send_all(PAYLOAD, length=len(PAYLOAD))], [REST]),
    "416": (PAYLOAD[:HALF], [fail(416), good], [REST, None]),
    "no_content_range": (PAYLOAD[:HALF], [send_all(PAYLOAD, status=206), good], [REST, None]),
    "other_content_range": (
        PAYLOAD[:HALF],
        [send_all(PAYLOAD, status=206, Content_Range="bytes 0-299999/300000"), good],
        [REST, None],
    ),
    "stale": (WRONG[:HALF], [good], [REST, None]),
    "wrong": (WRONG, [good], [None]),
    "too_long": (WRONG + b"x", [good], [None]),
}


@pytest.mark.parametrize(("content", "behaviours", "ranges"), PARTS.values(), ids=PARTS)
def test_part_that_does_not_fit(serve, fetch, part, content, behaviours, ranges):
    """A part that can't be continued, or not to the right sum, is given up for a fresh start."""
    part.write_bytes(content)
    server = serve(*behaviours)
    assert fetch(server.url).read_bytes() == PAYLOAD
    assert [request["range"] for request in server.requests] == ranges


def test_wrong_sum_of_a_part_twice(serve, refuse, part):
    """After a part with a wrong sum there is one fresh start, even if that is resumed in turn."""
    part.write_bytes(PAYLOAD[:HALF])
    server = serve(send(WRONG), send(WRONG, sent=HALF), send(WRONG))
    assert f"{server.url}: SHA-256 {hashlib.sha256(WRONG).hexdigest()}" in refuse(server.url)
    assert [bool(request["range"]) for request in server.requests] == [True, False, True]
    assert not part.exists()


FAILURES = {
    # Name: what the server does, what the message says, how many requests there are.
    "404": (fail(404), "HTTP 404 Not Found", 1),
    "403": (fail(403), "HTTP 403 Forbidden", 1),
    "503_for_ever": (fail(503), f"HTTP 503 Service Unavailable ({ATTEMPTS} attempts)", ATTEMPTS),
    "416_for_ever": (fail(416), "HTTP 416", ATTEMPTS),
    "no_content": (fail(204), "HTTP 204", 1),
    "redirect_for_ever": (redirect, "TooManyRedirects", 31),
    "wrong_sum": (send(WRONG), "SHA-256", 1),
    "short_with_its_length": (send(b"<html>", declared=6), "Content-Length 6, expected 300000", 1),
    "long_with_its_length": (send(PAYLOAD * 2), "Content-Length 600000, expected 300000", 1),
    "long_without_length": (send_all(PAYLOAD * 2), "more than 300000 bytes", 1),
    "endless": (endless, "more than 300000 bytes", 1),
    "short_without_length": (send_all(b"<html>"), "ended after 6 of 300000 bytes", ATTEMPTS),
    "short_with_lying_length": (send(PAYLOAD, sent=0), f"({ATTEMPTS} attempts)", ATTEMPTS),
    "compressed": (send_all(PAYLOAD, Content_Encoding="gzip"), "Content-Encoding gzip", 1),
    "hang": (hang, "timed out", ATTEMPTS),
}


@pytest.mark.parametrize(("behave", "reason", "num_requests"), FAILURES.values(), ids=FAILURES)
def test_failure(serve, refuse, cached, behave, reason, num_requests):
    """A failure is a `DownloadError` with the url, the reason and a way out."""
    server = serve(behave)
    message = refuse(server.url, timeout=(2, 0.3))
    assert re.search(f"^  {re.escape(server.url)}: .*{re.escape(reason)}", message, re.MULTILINE)
    assert len(server.requests) == num_requests
    assert not cached.exists()


def test_no_network(refuse, cached):
    """A connection that nobody accepts is a `DownloadError`, after all attempts, in few words."""
    url = closed_url()
    message = refuse(url)
    assert f"  {url}: ConnectionError: " in message
    assert message.count(url) == 1
    assert f"Connection refused ({ATTEMPTS} attempts)" in message
    assert not cached.exists()


@pytest.mark.parametrize("url", ["", "inception", "ftp://127.0.0.1/x", "http://", "http://[x]/"])
def test_no_url(refuse, url):
    """What isn't a url that can be fetched is a `DownloadError`."""
    assert f"  {url}: " in refuse(url)


@pytest.mark.parametrize("behave", [fail(404), fail(503), send(WRONG), send_all(PAYLOAD * 2)])
def test_next_url(serve, fetch, behave):
    """After a url that fails the next is tried."""
    first, second = serve(behave), serve(good)
    assert fetch(first.url, second.url).read_bytes() == PAYLOAD
    assert first.requests
    assert [request["range"] for request in second.requests] == [None]


def test_all_urls_fail(serve, refuse):
    """The message lists every url that was tried, in order, each with its reason."""
    urls = [serve(fail(404)).url, closed_url(), serve(send(WRONG)).url]
    lines = refuse(*urls).splitlines()
    first, *tried = [line.strip() for line in lines if line.startswith("  ")]
    assert first.endswith(f"{NAME}: not there")
    reasons = ["HTTP 404", "ConnectionError", "SHA-256"]
    for line, url, reason in zip(tried, urls, reasons, strict=True):
        assert line.startswith(f"{url}: {reason}")


def test_two_at_once(serve, fetch, cached):
    """Of two fetches at once one downloads, and both return the archive."""

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
    """Of two fetches at once the second has its own try after the first has failed."""
    server = serve(send(WRONG))
    with ThreadPoolExecutor() as pool:
        assert len(list(pool.map(refuse, [server.url] * 2))) == 2
    assert len(server.requests) == 2
    assert not part.exists()


def test_file_in_place_of_the_cache(serve, refuse, cache):
    """A cache that can't be a directory is a `DownloadError` that names it."""
    cache.parent.mkdir(parents=True)
    cache.write_bytes(b"")
    server = serve(good)
    message = refuse(server.url)
    assert f"{cache}: can't be the cache" in message
    assert "XDG_CACHE_HOME" in message
    assert server.requests == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
def test_disk_full(serve, refuse, part):
    """A full disk is a `DownloadError` that names the cache, and no fault of the url."""
    part.symlink_to("/dev/full")
    server = serve(good)
    message = refuse(server.url)
    assert f"{part.parent}: can't be the cache" in message
    assert "No space left on device" in message
    assert len(server.requests) == 1


def test_directory_in_place_of_the_archive(serve, refuse, cached):
    """A directory under the archive's name is a `DownloadError`, and stays."""
    cached.mkdir()
    assert str(cached) in refuse(serve(good).url)
    assert cached.is_dir()


def test_progress_on_a_terminal(serve, fetch, monkeypatch):
    """On a terminal a bar tells name and size."""

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


def test_no_progress_in_a_file(serve, fetch, capfd):
    """Where stderr is no terminal, a download without trouble says nothing."""
    fetch(serve(good).url)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("value", "expected"),
    [("/var/cache", "/var/cache/slimhub"), ("", "~"), ("relative", "~"), (None, "~")],
)
def test_default_cache(monkeypatch, tmp_path, value, expected):
    """The cache is in an absolute XDG_CACHE_HOME, else in ~/.cache."""
    monkeypatch.setenv("HOME", str(tmp_path))
    if value is None:
        monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    else:
        monkeypatch.setenv("XDG_CACHE_HOME", value)
    home = str(tmp_path / ".cache" / "slimhub")
    assert str(download.default_cache()) == expected.replace("~", home)
