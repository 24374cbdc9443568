"""Portraits of modules: each drawn when it is first asked for, then kept for good.

TensorFlow draws them, in processes of their own: the server stays small, whatever they do.
"""

import asyncio
import subprocess
import sys
from pathlib import Path

from slimhub.export import download, scratch
from slimhub.export.hub import portrait
from slimhub.export.hub.portrait import Portrait
from slimhub.export.hub.shelf import LOG, Entry

# Of what is drawn and how: with another number, all are drawn anew.
_STYLE = 1
# Seconds. It takes about six.
_TIMEOUT = 300


def default_directory() -> Path:
    """Where portraits are kept: in the cache."""
    return download.default_cache() / "portraits"


class _Failure(Exception):
    """A portrait can't be drawn, or not be kept."""


class Portraits:
    """Keeps portraits in a directory, by the keys of modules."""

    def __init__(self, directory: Path):
        self._directory = directory
        # One at a time: each takes a core, and half a gigabyte.
        self._drawing = asyncio.Lock()
        self._failures: dict[str, str] = {}

    async def get(self, entry: Entry) -> Portrait | str:
        """The portrait of a module; or, if it can't be drawn, why."""
        if kept := self._kept(entry.key):
            return kept
        async with self._drawing:
            # Whoever waited finds it.
            if not self._kept(entry.key) and entry.key not in self._failures:
                try:
                    await self._draw(entry)
                except (OSError, _Failure) as error:
                    LOG.error("%s has no portrait: %s", entry.handle, error)
                    self._failures[entry.key] = str(error)
        return self._kept(entry.key) or self._failures[entry.key]

    def path(self, key: str, name: str) -> Path | None:
        """Where a picture of a portrait is kept; None if it isn't."""
        kept = self._kept(key)
        return self._home(key) / name if kept and name in kept.pictures else None

    def _home(self, key: str) -> Path:
        return self._directory / f"{key}.{_STYLE}"

    def _kept(self, key: str) -> Portrait | None:
        try:
            return portrait.from_json((self._home(key) / portrait.RECORD).read_text())
        except (OSError, ValueError):
            return None

    async def _draw(self, entry: Entry) -> None:
        """Raises `_Failure`, or `OSError` if it can't be kept."""
        self._directory.mkdir(parents=True, exist_ok=True)
        with scratch.directory(self._directory, prefix=f".{entry.key}.") as into:
            await _run(portrait.__name__, str(entry.directory), str(into))
            # Another server may have drawn the same.
            if not self._kept(entry.key):
                into.rename(self._home(entry.key))


async def _run(module: str, *arguments: str) -> None:
    """Runs a module as a program. Raises `_Failure` with what it said, or `OSError`."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, *arguments),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        _, said = await asyncio.wait_for(process.communicate(), _TIMEOUT)
    except asyncio.TimeoutError as error:
        raise _Failure(f"it was not done in {_TIMEOUT} seconds") from error
    finally:
        # Also if the server is stopped.
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise _Failure(said.decode(errors="replace").strip())
