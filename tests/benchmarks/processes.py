"""Run programs, and measure them: wall time, and peak memory of all their processes. Needs Linux's /proc."""

import concurrent.futures
import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path

_PROC = Path("/proc")
# Rare enough to take less than a hundredth of two cores; at 4 ms a sample.
_SAMPLE_SECONDS = 0.2


class ProgramError(Exception):
    """A program failed; ends with what it said."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """A run of a program, from its start to its end.

    Attributes:
      seconds: wall time.
      peak_bytes: the most memory that its processes had together.
      stdout: what it printed.
    """

    seconds: float
    peak_bytes: int
    stdout: str

    @property
    def answer(self) -> dict:
        """Return the JSON that it printed."""
        return json.loads(self.stdout)


class Program(subprocess.Popen):
    """A program with pipes of text; the end of a `with` kills it, and whatever it started."""

    def __init__(self, *command):
        # A pipe that nobody reads would fill.
        self._stderr = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115
        super().__init__(
            [str(part) for part in command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            text=True,
            env=_environment(),
            # All that it starts is of its session, too: to be measured, and to be killed.
            start_new_session=True,
        )

    def __exit__(self, *exception):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        with self._stderr, contextlib.suppress(BrokenPipeError):
            super().__exit__(*exception)

    def ask(self, function: str, **arguments):
        """Return the answer to a request; see programs/runtimes/answering.py. Raise `ProgramError`."""
        with contextlib.suppress(BrokenPipeError):
            print(json.dumps([function, arguments]), file=self.stdin, flush=True)
        line = self.stdout.readline()
        if not line:
            raise self.error("no answer")
        return json.loads(line)

    def error(self, reason: str) -> ProgramError:
        """Return an error with what the program said."""
        self._stderr.seek(0)
        name = " ".join(Path(part).name for part in self.args[:3])
        return ProgramError(f"{name}: {reason}: {self._stderr.read()[-2000:]}")

    def watch(self) -> int:
        """Wait for the end of the program; return the most memory that its processes had, in bytes."""
        most = 0
        while self.poll() is None:
            most = max(most, _memory(self.pid))
            time.sleep(_SAMPLE_SECONDS)
        return most


def run(*command) -> Run:
    """Run a command to its end. Raise `ProgramError` unless it exits with 0."""
    started = time.perf_counter()
    with concurrent.futures.ThreadPoolExecutor(1) as executor, Program(*command) as program:
        peak = executor.submit(program.watch)
        stdout, _ = program.communicate()
        seconds = time.perf_counter() - started
        if program.returncode:
            raise program.error(f"exit code {program.returncode}")
        return Run(seconds=seconds, peak_bytes=peak.result(), stdout=stdout)


def peak(pid: int) -> int:
    """Return the most memory that a process has had by now, in bytes."""
    return _bytes(_PROC / str(pid) / "status", "VmHWM")


def _environment() -> dict[str, str]:
    # Other interpreters must not look for packages where this one does.
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return {**kept, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}


def _memory(session: int) -> int:
    """Return a lower bound of the peak: what all processes have now, or the most that any ever had.

    Pages that several share count once: the first is of proportional set sizes. The second finds
    what was between two samples.
    """
    now, most = 0, 0
    for path in _PROC.glob("[0-9]*"):
        # Of another user, or just ended.
        with contextlib.suppress(OSError):
            if os.getsid(int(path.name)) == session:
                now += _bytes(path / "smaps_rollup", "Pss")
                most = max(most, peak(int(path.name)))
    return max(now, most)


def _bytes(path: Path, key: str) -> int:
    """Return what a line of a file of /proc tells in kilobytes; 0 without it, as of a process that ended."""
    lines = (line.split() for line in path.read_text().splitlines())
    return next((int(line[1]) * 1024 for line in lines if line[0] == f"{key}:"), 0)
