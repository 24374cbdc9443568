"""Previews of modules, each rendered when it is first asked for and kept from then on.

TensorFlow renders them in a process of its own: the server stays small.
"""

import asyncio
import json
import shutil
import subprocess
import sys
from pathlib import Path

import anyio

from slimhub.hub.index import LOG, Entry, key_of
from slimhub.support import cache, temporary, terminal

# With another number, all previews are rendered anew.
_STYLE = 4


def default_directory() -> Path:
    """Return where previews are kept between runs. Raise `NoCacheError` without a home directory."""
    return cache.default_cache() / "previews"


def name_of(entry: Entry) -> str:
    """Return the name of a module's preview. What is kept under a name never changes."""
    return f"{entry.key}.{_STYLE}"


async def render_in_process(module: Path, into: Path) -> tuple[int, str]:
    """Render a preview in a process that is killed if this task is cancelled.

    Returns:
      Exit code of `python -m slimhub.hub.previews`, and what it printed, in a line.
    """
    command = [sys.executable, "-m", __package__, str(module), str(into)]
    done = await anyio.run_process(command, stdout=subprocess.DEVNULL, check=False)
    return done.returncode, done.stderr.decode(errors="replace").strip()


class PreviewCache:
    """Previews, each a directory of its pictures and of `preview.json`, which says what they show."""

    def __init__(self, directory: Path, *, render=render_in_process):
        """`render` may be another function like `render_in_process`."""
        self.directory, self._render = directory, render
        # One at a time: each takes a core, and half a gigabyte.
        self._lock = asyncio.Lock()
        # By name: those under way, and those that failed and would again.
        self._tasks: dict[str, asyncio.Task] = {}

    async def get(self, entry: Entry, *, timeout: float | None = None) -> dict | str:
        """Return the record of a module's preview (see `render.render`); or why there is none.

        Args:
          entry: the module.
          timeout: seconds to wait if it has to be rendered, which goes on; None: as long as it takes.
        """
        name = name_of(entry)
        if record := self._read(name):
            return record
        if name not in self._tasks:
            self._tasks[name] = asyncio.create_task(self._add(name, entry))
        task = self._tasks[name]
        if not task.done():
            await asyncio.wait([task], timeout=timeout)
        return task.result() if task.done() else "They are being drawn: load this page again soon."

    def _read(self, name: str) -> dict | None:
        try:
            return json.loads((self.directory / name / "preview.json").read_text())
        except (OSError, ValueError):
            return None

    async def _add(self, name: str, entry: Entry) -> dict | str:
        """Render a preview into the cache, and return its record; or why that can't be done."""
        code = None
        try:
            async with self._lock:
                self.directory.mkdir(parents=True, exist_ok=True)
                with temporary.directory(self.directory, prefix=f".{name}.") as into:
                    code, problem = await self._render(entry.directory, into)
                    if code == terminal.UNWRITABLE:
                        raise OSError(problem)
                    if code == 0 and key_of(entry.directory) != entry.key:
                        problem = "The module was replaced meanwhile."
                    elif code == 0 and not self._read(name):
                        # Somebody removed files of it, or another server has just added it.
                        shutil.rmtree(self.directory / name, ignore_errors=True)
                        into.rename(self.directory / name)
        except OSError as error:
            LOG.error("The pictures of %s can't be kept: %s", entry.handle, error)
            return "They can't be kept now."
        finally:
            # 1: the module is at fault, and will be the next time.
            if code != 1:
                del self._tasks[name]
        if record := self._read(name):
            return record
        # Without the folders of this machine.
        problem = problem.replace(str(entry.directory), entry.handle)
        LOG.error("%s has no pictures: %s", entry.handle, problem)
        return problem or "They were removed just now."
