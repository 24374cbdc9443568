"""Portraits of modules: each drawn when it is first asked for, then kept for good.

TensorFlow draws them, in processes of their own: the server stays small, whatever they do.
"""

import asyncio
import shutil
import subprocess
import sys
from pathlib import Path

from slimhub.export import download
from slimhub.export.hub import portrait
from slimhub.export.hub.portrait import Portrait
from slimhub.export.hub.shelf import LOG, Entry, key_of
from slimhub.signatures import scratch

# Of what is drawn and how: with another number, all are drawn anew.
_STYLE = 2
# Seconds; more than the drawing gives itself.
_TIMEOUT = 300


def default_directory() -> Path:
    """Where portraits are kept: in the cache."""
    return download.default_cache() / "portraits"


def name_of(entry: Entry) -> str:
    """What the portrait of a module is kept by. Whatever is kept by a name stays the same."""
    return f"{entry.key}.{_STYLE}"


class _Failure(Exception):
    """A portrait can't be drawn: `lasting`, or only now."""

    def __init__(self, reason: str, *, lasting: bool):
        super().__init__(reason)
        self.lasting = lasting


class Portraits:
    """Keeps portraits in a directory, by their names."""

    def __init__(self, directory: Path):
        self._directory = directory
        # One at a time: each takes a core, and half a gigabyte.
        self._turn = asyncio.Lock()
        self._drawing: dict[str, asyncio.Task] = {}
        self._failures: dict[str, str] = {}

    async def get(self, entry: Entry, *, patience: float | None = None) -> Portrait | str:
        """The portrait of a module; or why there is none.

        Args:
          entry: the module.
          patience: seconds to wait for one that is not kept; it is drawn anyway. None: to its end.
        """
        name = name_of(entry)
        if kept := self._kept(name):
            return kept
        if name in self._failures:
            return self._failures[name]
        if name not in self._drawing:
            self._drawing[name] = asyncio.create_task(self._try(entry))
            self._drawing[name].add_done_callback(lambda _: self._drawing.pop(name))
        task = self._drawing[name]
        await asyncio.wait([task], timeout=patience)
        return task.result() if task.done() else "They are being drawn: load this page again soon."

    def path(self, name: str, picture: str) -> Path | None:
        """Where a picture of a portrait is kept; None if it isn't."""
        kept = self._kept(name)
        return self._directory / name / picture if kept and picture in kept.pictures else None

    def _kept(self, name: str) -> Portrait | None:
        home = self._directory / name
        try:
            found = portrait.from_json((home / portrait.RECORD).read_text())
        except (OSError, ValueError):
            return None
        return found if all((home / picture).exists() for picture in found.pictures) else None

    async def _try(self, entry: Entry) -> Portrait | str:
        async with self._turn:
            try:
                return await self._draw(entry)
            except _Failure as failure:
                LOG.error("%s has no pictures: %s", entry.handle, failure)
                if failure.lasting:
                    self._failures[name_of(entry)] = str(failure)
                return str(failure)
            except OSError as error:
                LOG.error("The pictures of %s can't be kept: %s", entry.handle, error)
                return "They can't be kept now."

    async def _draw(self, entry: Entry) -> Portrait:
        """Raises `_Failure`, or `OSError` if it can't be kept."""
        home = self._directory / name_of(entry)
        self._directory.mkdir(parents=True, exist_ok=True)
        with scratch.directory(self._directory, prefix=f".{home.name}.") as into:
            await _run(entry, into)
            if key_of(entry.directory) != entry.key:
                raise _Failure("The module was replaced meanwhile.", lasting=False)
            # Another server may have drawn the same; or what is there is not whole.
            if not self._kept(home.name):
                shutil.rmtree(home, ignore_errors=True)
                into.rename(home)
        drawn = self._kept(home.name)
        if drawn is None:
            raise _Failure("They were removed just now.", lasting=False)
        return drawn


async def _run(entry: Entry, into: Path) -> None:
    """Draws into an empty directory. Raises `_Failure` with what was said, or `OSError`."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", portrait.__name__, str(entry.directory), str(into)),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        _, said = await asyncio.wait_for(process.communicate(), _TIMEOUT)
    except asyncio.TimeoutError as error:
        raise _Failure(f"Drawing took {_TIMEOUT} seconds.", lasting=False) from error
    finally:
        # Also if the server is stopped.
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        # Without the folders of this machine.
        reason = said.decode(errors="replace").strip().replace(str(entry.directory), entry.handle)
        # 1: it is the module's fault.
        raise _Failure(reason.replace(str(into), "it"), lasting=process.returncode == 1)
