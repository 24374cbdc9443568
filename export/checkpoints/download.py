"""Download a published archive into the cache: resume it, verify it, and move it in place at the end.

One process at a time downloads an archive. It holds a lock on `<name>.lock` and writes `<name>.part`.
A failure leaves the part behind, and the next run continues it.

Only a file of the right size and SHA-256 is moved to the archive's name. If nobody published the
SHA-256, the file must be a whole .tar.gz of the size that the server declared. A file without a known
SHA-256 that is already in the cache must at least begin like a .tar.gz.
"""

import contextlib
import dataclasses
import fcntl
import gzip
import os
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path

import requests
import tenacity
from rich import progress
from rich.console import Console

from slimhub.export.checkpoints import origin
from slimhub.export.errors import DownloadError
from slimhub.models.model import Archive
from slimhub.signatures.module.provenance import sha256
from slimhub.support import tar_gz

_CHUNK = 1 << 16
# An archive without compression may be larger than its member by this many bytes.
_MORE = 1 << 20
# Pauses of 0.5, 1 and 2 seconds: without a network, two archives with two URLs each fail within 15 s.
_BACK_OFF = tenacity.wait_exponential(multiplier=0.5, max=30)


class _Failure(Exception):
    """A failure of one URL. Another URL may work."""


class _Interruption(_Failure):
    """A failure that may be temporary: the same URL is tried again."""


def fetch(
    archive: Archive,
    *,
    cache: Path,
    attempts: int = 4,
    timeout: tuple[float, float] = (10, 60),
    wait: tenacity.wait.wait_base = _BACK_OFF,
) -> Path:
    """Return the archive's path in the cache, after downloading it if the cache has no intact copy.

    Args:
      archive: the archive; its URLs are tried in order. `dataclasses.replace(archive, urls=(url,))`
        fetches it from elsewhere.
      cache: directory of the cache, created if missing. An archive in it is only read, so the cache
        may be read-only then.
      attempts: how often a URL is tried at most, from 1. Only server errors (429, 5xx), lost
        connections and time-outs are retried.
      timeout: seconds to wait for a connection, and for each read.
      wait: pause between two attempts.

    Returns:
      `cache / archive.name`, a file with the archive's size and SHA-256, where these are known.

    Raises:
      DownloadError: no URL led to the archive, or the cache can't be used.
    """
    path = cache / archive.name
    failures: dict[str, str] = {}
    try:
        if _mismatch(path, archive) is None:
            return path
        cache.mkdir(parents=True, exist_ok=True)
        console = Console(stderr=True)
        with _locked(path.with_name(f"{archive.name}.lock"), console=console):
            mismatch = _mismatch(path, archive)
            # The process that held the lock may have downloaded it.
            if mismatch is None:
                return path
            failures[str(path)] = mismatch
            bar = progress.Progress(
                progress.TextColumn("{task.description}"),
                progress.BarColumn(),
                progress.DownloadColumn(),
                progress.TransferSpeedColumn(),
                console=console,
            )
            # Older rich prints an empty line even after a disabled bar.
            with bar if console.is_terminal else contextlib.nullcontext():
                download = _Download(
                    archive=archive,
                    part=path.with_name(f"{archive.name}.part"),
                    timeout=timeout,
                    retrying=_retrying(attempts=attempts, wait=wait, console=console),
                    bar=bar,
                    task=bar.add_task(archive.name, total=archive.num_bytes),
                )
                for url in archive.urls:
                    try:
                        download.from_url(url)
                    except _Failure as failure:
                        failures[url] = str(failure)
                    else:
                        origin.write(path, url=url, content=download.part)
                        os.replace(download.part, path)
                        return path
    except OSError as error:
        failures[str(cache)] = f"can't be the cache (XDG_CACHE_HOME chooses another): {error}"
    size = "a whole .tar.gz" if archive.num_bytes is None else f"{archive.num_bytes} bytes"
    expected = f"{size}, SHA-256 {archive.sha256 or 'not known'}"
    raise DownloadError(path=path, expected=expected, failures=failures)


def _mismatch(path: Path, archive: Archive, *, whole: bool = False) -> str | None:
    """Return how a file differs from the archive, or None. Raise `OSError` if it can't be read.

    Without a known SHA-256, only the first block is read, or with `whole` all of the file.
    """
    try:
        num_bytes = path.stat().st_size
    except FileNotFoundError:
        return "not there"
    if archive.num_bytes not in (None, num_bytes):
        return f"{num_bytes} bytes, expected {archive.num_bytes}"
    if archive.sha256 is not None:
        digest = sha256(path)
        return None if digest == archive.sha256 else f"SHA-256 {digest}, expected {archive.sha256}"
    try:
        with gzip.open(path) as stream:
            tarfile.TarInfo.frombuf(stream.read(tarfile.BLOCKSIZE), tarfile.ENCODING, "replace")
            while whole and stream.read(tar_gz.CHUNK):
                pass
    except (OSError, *tar_gz.DAMAGE) as error:
        return f"no whole .tar.gz: {error}"
    return None


@contextlib.contextmanager
def _locked(path: Path, *, console: Console) -> Iterator[None]:
    # The lock file is never deleted: a waiting process would then lock a file that nobody else sees.
    # Closing the file frees the lock, also when the process is killed.
    with path.open("ab") as file:
        with console.status("Waiting for another download of the same archive"):
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _retrying(
    *, attempts: int, wait: tenacity.wait.wait_base, console: Console
) -> tenacity.Retrying:
    def failure(state: tenacity.RetryCallState) -> BaseException | None:
        return None if state.outcome is None else state.outcome.exception()

    def say(state: tenacity.RetryCallState) -> None:
        (url,) = state.args
        console.print(f"{url}: {failure(state)}; trying again", markup=False, soft_wrap=True)

    def give_up(state: tenacity.RetryCallState) -> None:
        raise _Failure(f"{failure(state)} ({state.attempt_number} attempts)")

    return tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(_Interruption),
        stop=tenacity.stop_after_attempt(attempts),
        wait=wait,
        before_sleep=say,
        retry_error_callback=give_up,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Download:
    """A download of an archive into the file `part`, which no other process may write."""

    archive: Archive
    part: Path
    timeout: tuple[float, float]
    retrying: tenacity.Retrying
    bar: progress.Progress
    task: progress.TaskID

    def from_url(self, url: str) -> None:
        """Download the archive, or raise `_Failure`."""
        # A wrong SHA-256 may come from a part that an earlier run or another URL left: then a second
        # round starts from nothing.
        for _ in range(2):
            resumed = self.retrying(self._receive, url)
            # Without a known SHA-256, only reading all detects a part of another file, or a login page.
            mismatch = _mismatch(self.part, self.archive, whole=True)
            if mismatch is None:
                return
            self.part.unlink()
            if not resumed:
                break
        raise _Failure(mismatch)

    def _receive(self, url: str) -> bool:
        """Request the bytes that the part lacks. Return whether the response continued the part."""
        start = self.part.stat().st_size if self.part.exists() else 0
        # A part that is complete failed its verification, or it would have been moved.
        if self.archive.num_bytes is not None and start >= self.archive.num_bytes:
            start = 0
        # Any other encoding would change the bytes, and so their SHA-256.
        headers = {"Accept-Encoding": "identity"}
        if start:
            headers["Range"] = f"bytes={start}-"
        with _network():
            response = requests.get(url, headers=headers, timeout=self.timeout, stream=True)
        with response:
            _refuse_downgrade(url, response)
            start, size = self._examine(response, start=start)
            self._append(response, start=start, expected=size)
        return start > 0

    def _examine(self, response: requests.Response, *, start: int) -> tuple[int, int]:
        """Return the offset of the response's body, and the archive's size; refuse it by its headers."""
        code = response.status_code
        status = f"HTTP {code} {response.reason}"
        content_range = response.headers.get("Content-Range", "none")
        if code == 429 or code >= 500:
            raise _Interruption(status)
        if code == 416 or (code == 206 and not content_range.startswith(f"bytes {start}-")):
            self.part.unlink(missing_ok=True)
            raise _Interruption(f"{status}, Content-Range {content_range}, wanted from {start} on")
        if code not in (200, 206):
            raise _Failure(status)
        encoding = response.headers.get("Content-Encoding", "identity")
        if encoding != "identity":
            raise _Failure(f"Content-Encoding {encoding}, expected identity")
        length = response.headers.get("Content-Length")
        # A server may ignore the requested range.
        start = start if code == 206 else 0
        if self.archive.num_bytes is not None:
            expected = self.archive.num_bytes - start
            if length not in (None, str(expected)):
                raise _Failure(f"Content-Length {length}, expected {expected}")
            return start, self.archive.num_bytes
        if length is None or not re.fullmatch("[0-9]{1,15}", length):
            found = (length or "none")[:40]
            raise _Failure(f"Content-Length {found}, which must tell when all of it is there")
        most = self.archive.max_member_bytes + _MORE
        if start + int(length) > most:
            raise _Failure(f"Content-Length {length}, expected an archive of at most {most}")
        return start, start + int(length)

    def _append(self, response: requests.Response, *, start: int, expected: int) -> None:
        size = start
        self.bar.reset(self.task, completed=size, total=expected)
        chunks = response.iter_content(_CHUNK)
        with self.part.open("ab" if start else "wb") as file:
            while size <= expected:
                with _network():
                    chunk = next(chunks, None)
                if chunk is None:
                    break
                size += len(chunk)
                file.write(chunk)
                self.bar.update(self.task, completed=size)
            file.flush()
            os.fsync(file.fileno())
        if size > expected:
            self.part.unlink()
            raise _Failure(f"more than {expected} bytes")
        if size < expected:
            raise _Interruption(f"the connection ended after {size} of {expected} bytes")


def _refuse_downgrade(url: str, response: requests.Response) -> None:
    """Raise `_Failure` if a redirect leads from https to http, where anybody may forge the response."""
    steps = [step.url for step in (*response.history, response)]
    insecure = [step for step in steps if not step.startswith("https:")]
    if url.startswith("https:") and insecure:
        raise _Failure(f"redirected to {insecure[0]}, expected https")


@contextlib.contextmanager
def _network() -> Iterator[None]:
    """Convert errors of the network into `_Failure`: as `OSError`s, they would look like the cache's."""
    try:
        yield
    except (
        requests.ConnectionError,
        requests.Timeout,
        requests.exceptions.ChunkedEncodingError,
    ) as error:
        raise _Interruption(_reason(error)) from error
    except (OSError, ValueError) as error:
        raise _Failure(_reason(error)) from error


def _reason(error: Exception) -> str:
    # For a failed connection, urllib3's message repeats the URL before the reason.
    inner = error.args[0] if error.args else None
    return f"{type(error).__name__}: {getattr(inner, 'reason', None) or error}"
