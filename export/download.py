"""Brings a published archive into the cache: resumed, verified, moved in whole.

One process at a time downloads an archive: it holds a lock on `<name>.lock` and fills
`<name>.part`, which a failure leaves behind, so that the next run continues there.
Only a file of the right size and SHA-256 is ever moved to the archive's own name. Of one whose
SHA-256 nobody published, only a whole gzip of the size that the server declared.
"""

import contextlib
import dataclasses
import fcntl
import os
import re
from collections.abc import Iterator
from pathlib import Path

import requests
import tenacity
from rich import progress
from rich.console import Console

from slimhub.export import integrity
from slimhub.export.errors import DownloadError
from slimhub.models.catalog import Archive

_CHUNK = 1 << 16
# Bytes that an archive may have beyond what it unpacks to, if it is not compressed.
_MORE = 1 << 20
# 0.5, 1 and 2 seconds: without a network, two urls of two archives take a quarter of a minute.
_BACK_OFF = tenacity.wait_exponential(multiplier=0.5, max=30)


class _Failure(Exception):
    """The url does not lead to the archive; another may."""


class _Interruption(_Failure):
    """Trouble that may pass: the same url deserves another attempt."""


def default_cache() -> Path:
    """`$XDG_CACHE_HOME/slimhub`, or `~/.cache/slimhub` if that is unset, empty or relative."""
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    # The XDG specification has relative paths ignored.
    return (base if base.is_absolute() else Path.home() / ".cache") / "slimhub"


def fetch(
    archive: Archive,
    *,
    cache: Path,
    attempts: int = 4,
    timeout: tuple[float, float] = (10, 60),
    wait: tenacity.wait.wait_base = _BACK_OFF,
) -> Path:
    """Returns the archive's path in the cache; downloads it first if it isn't there, intact.

    Args:
      archive: what to fetch, its urls tried in order. `dataclasses.replace(archive,
        urls=(url,))` fetches it from elsewhere.
      cache: directory to keep it in, created if missing. An archive that is there is only
        read, so the cache of an image may be read-only.
      attempts: how often a url is tried at most, from 1. Server errors (429, 5xx), lost
        connections and time-outs are worth another attempt, nothing else is.
      timeout: seconds to wait for a connection, and for each read.
      wait: the pause between two attempts.

    Returns:
      `cache / archive.name`, a file with the archive's size and SHA-256, where these are known.

    Raises:
      DownloadError: no url led to the archive, or the cache can't be used.
    """
    path = cache / archive.name
    tried: list[str] = []
    try:
        if integrity.mismatch(path, archive) is None:
            return path
        cache.mkdir(parents=True, exist_ok=True)
        console = Console(stderr=True)
        with _locked(path.with_name(f"{archive.name}.lock"), console=console):
            mismatch = integrity.mismatch(path, archive)
            # Whoever held the lock may have brought it.
            if mismatch is None:
                return path
            tried.append(f"{path}: {mismatch}")
            with _bar(console) as bar:
                download = _Download(
                    archive=archive,
                    part=path.with_name(f"{archive.name}.part"),
                    timeout=timeout,
                    retrying=_retrying(attempts=attempts, wait=wait, console=console),
                    bar=bar,
                    task=bar.add_task(archive.name, total=archive.num_bytes),
                )
                if download.from_any(tried):
                    os.replace(download.part, path)
                    return path
    except OSError as error:
        tried.append(f"{cache}: can't be the cache (XDG_CACHE_HOME chooses another): {error}")
    raise DownloadError(_message(path, archive, tried=tried))


def _message(path: Path, archive: Archive, *, tried: list[str]) -> str:
    return "\n".join(
        [
            f"{archive.name} could not be fetched. Tried:",
            *(f"  {place}" for place in tried),
            f"Expected {integrity.expected(archive)}.",
            f"To bring it by hand, download it elsewhere, then put it at {path}",
            f"or pass --checkpoint=/path/to/{archive.name}",
        ]
    )


@contextlib.contextmanager
def _locked(path: Path, *, console: Console) -> Iterator[None]:
    # The lock file is never deleted: a waiting process would be left with a lock on
    # nothing. Closing it, if only by the process's end, frees the lock.
    with path.open("ab") as file:
        with console.status("Waiting for another download of the same archive"):
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _bar(console: Console) -> Iterator[progress.Progress]:
    bar = progress.Progress(
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.DownloadColumn(),
        progress.TransferSpeedColumn(),
        console=console,
    )
    # Not `disable`: rich 13 ends even a disabled bar with an empty line.
    with bar if console.is_terminal else contextlib.nullcontext():
        yield bar


def _retrying(
    *, attempts: int, wait: tenacity.wait.wait_base, console: Console
) -> tenacity.Retrying:
    def say(state: tenacity.RetryCallState) -> None:
        (url,) = state.args
        text = f"{url}: {state.outcome.exception()}; trying again"
        console.print(text, markup=False, soft_wrap=True)

    return tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(_Interruption),
        stop=tenacity.stop_after_attempt(attempts),
        wait=wait,
        before_sleep=say,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Download:
    """Fills `part` with the archive; the caller has it for itself."""

    archive: Archive
    part: Path
    timeout: tuple[float, float]
    retrying: tenacity.Retrying
    bar: progress.Progress
    task: progress.TaskID

    def from_any(self, tried: list[str]) -> bool:
        """Whether some url led to the archive; appends to `tried` those that didn't, and why."""
        for url in self.archive.urls:
            try:
                self.from_url(url)
            except _Failure as failure:
                tried.append(f"{url}: {failure}")
            except tenacity.RetryError as error:
                last = error.last_attempt
                tried.append(f"{url}: {last.exception()} ({last.attempt_number} attempts)")
            else:
                return True
        return False

    def from_url(self, url: str) -> None:
        # A part that an earlier run left, or another url, may be to blame for a wrong sum:
        # that is worth a second round, which starts from nothing.
        for _ in range(2):
            resumed = self.retrying(self._receive, url)
            mismatch = integrity.mismatch(self.part, self.archive)
            # Without a known sum, nothing else tells a part of another file, or a page to sign in.
            if mismatch is None and self.archive.sha256 is None:
                mismatch = integrity.damage(self.part)
            if mismatch is None:
                return
            self.part.unlink()
            if not resumed:
                break
        raise _Failure(mismatch)

    def _receive(self, url: str) -> bool:
        """Requests what the part lacks. Returns whether the answer continued a part."""
        start = self.part.stat().st_size if self.part.exists() else 0
        # A part that lacks nothing was not found right, or it would not be one any more.
        if self.archive.num_bytes is not None and start >= self.archive.num_bytes:
            start = 0
        # Anything but identity would change the bytes whose sum is known.
        headers = {"Accept-Encoding": "identity"}
        if start:
            headers["Range"] = f"bytes={start}-"
        with _get(url, headers=headers, timeout=self.timeout) as response:
            start, size = self._examine(response, start=start)
            self._append(response, start=start, expected=size)
        return start > 0

    def _examine(self, response: requests.Response, *, start: int) -> tuple[int, int]:
        """Refuses an answer by its header. Returns where its body begins, and the archive's size."""
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
        # A server may ignore that a range was asked for.
        start = start if code == 206 else 0
        if self.archive.num_bytes is None:
            if not re.fullmatch("[0-9]{1,15}", length or ""):
                found = (length or "none")[:40]
                raise _Failure(f"Content-Length {found}, which must tell when all of it is there")
            whole, most = start + int(length), self.archive.max_member_bytes + _MORE
            if whole > most:
                raise _Failure(f"Content-Length {length}, expected an archive of at most {most}")
            return start, whole
        expected = self.archive.num_bytes - start
        if length not in (None, str(expected)):
            raise _Failure(f"Content-Length {length}, expected {expected}")
        return start, self.archive.num_bytes

    def _append(self, response: requests.Response, *, start: int, expected: int) -> None:
        size = start
        self.bar.reset(self.task, completed=size, total=expected)
        with self.part.open("ab" if start else "wb") as file:
            for chunk in _body(response):
                size += len(chunk)
                if size > expected:
                    break
                file.write(chunk)
                self.bar.update(self.task, completed=size)
            file.flush()
            os.fsync(file.fileno())
        if size > expected:
            self.part.unlink()
            raise _Failure(f"more than {expected} bytes")
        if size < expected:
            raise _Interruption(f"the connection ended after {size} of {expected} bytes")


def _get(url: str, *, headers: dict[str, str], timeout: tuple[float, float]) -> requests.Response:
    with _network():
        return requests.get(url, headers=headers, timeout=timeout, stream=True)


def _body(response: requests.Response) -> Iterator[bytes]:
    with _network():
        yield from response.iter_content(_CHUNK)


@contextlib.contextmanager
def _network() -> Iterator[None]:
    """Tells the network's errors from those of the cache: both are `OSError`s."""
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
    # Of a connection that failed, urllib3 repeats the url before it comes to the reason.
    inner = error.args[0] if error.args else None
    return f"{type(error).__name__}: {getattr(inner, 'reason', None) or error}"
