"""Programs that stay, and answer requests: so that several can take turns without starting anew."""

import contextlib
import json
import os
import signal
import tempfile
import threading
from collections.abc import Iterator

from benchmarks import processes
from benchmarks.errors import BrokenProgramError

_TIMEOUT = 300
_LAST_WORDS = 2000


class Partner:
    """A program that answers; see programs/answering.py."""

    def __init__(self, name: str, process, stderr):
        self._name, self._process, self._stderr = name, process, stderr

    def ask(self, function: str, **arguments):
        """What it answers to that request. Raises `BrokenProgramError` if it doesn't, or not in time."""
        overdue = threading.Timer(_TIMEOUT, os.killpg, (self._process.pid, signal.SIGKILL))
        overdue.start()
        try:
            print(json.dumps([function, arguments]), file=self._process.stdin, flush=True)
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        finally:
            overdue.cancel()
        if not line:
            self._stderr.seek(0)
            said = self._stderr.read()[-_LAST_WORDS:]
            raise BrokenProgramError(f"{self._name} does not answer: {said}")
        return json.loads(line)


@contextlib.contextmanager
def started(name: str, *command) -> Iterator[Partner]:
    """A program that was started, until it is no longer needed."""
    # A pipe that nobody reads would fill.
    with (
        tempfile.TemporaryFile("w+", errors="replace") as stderr,
        processes.start(*command, stderr=stderr) as process,
    ):
        yield Partner(name, process, stderr)
