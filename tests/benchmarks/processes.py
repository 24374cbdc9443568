"""Runs programs to their end, and measures them: wall time, and peak memory of all their processes."""

import contextlib
import dataclasses
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks.errors import BrokenProgramError

_PROC = Path("/proc")
# Rare enough to take less than a hundredth of two cores; at 4 ms a sample.
_SAMPLE_SECONDS = 0.2
_TIMEOUT = 600


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """A run of a program, from its start to its end.

    Attributes:
      seconds: wall time.
      peak_bytes: the most memory that its processes had together; None where the system can't tell.
      stdout: what it printed.
    """

    seconds: float
    peak_bytes: int | None
    stdout: str


def run(*command, timeout: float = _TIMEOUT) -> Run:
    """Runs a command to its end. Raises `BrokenProgramError` unless it exits with 0 in time."""
    started = time.perf_counter()
    with start(*command) as process, _sampled(process.pid) as peaks:
        try:
            stdout, stderr = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired as error:
            raise BrokenProgramError(f"{_name(command)}: no end after {timeout:g} s") from error
        seconds = time.perf_counter() - started
    if process.returncode != 0:
        raise BrokenProgramError(
            f"{_name(command)}: exit code {process.returncode}: {stderr[-2000:]}"
        )
    return Run(seconds=seconds, peak_bytes=max(peaks, default=None), stdout=stdout)


def peak(pid: int) -> int:
    """The most memory that a process has had by now, in bytes."""
    return _kilobytes(_PROC / str(pid) / "status")["VmHWM"] * 1024


@contextlib.contextmanager
def start(*command, stderr=subprocess.PIPE) -> Iterator[subprocess.Popen]:
    """A process whose input and output are pipes of text; whatever of it is left is killed."""
    process = subprocess.Popen(
        [str(part) for part in command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        env=_environment(),
        # All that it starts is of its session, too: to be measured, and to be killed.
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()


def _name(command) -> str:
    return " ".join(Path(part).name for part in map(str, command[:3]))


def _environment() -> dict[str, str]:
    # Other interpreters must not look for packages where this one does.
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return {**kept, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}


@contextlib.contextmanager
def _sampled(leader: int) -> Iterator[list[int]]:
    """A list that grows, in the meantime, by the memory of a process and all that it started."""
    peaks, over = [], threading.Event()

    def sample() -> None:
        while not over.wait(_SAMPLE_SECONDS):
            peaks.extend(_memory(_family(leader)))

    sampler = threading.Thread(target=sample, daemon=True)
    sampler.start()
    try:
        yield peaks
    finally:
        over.set()
        sampler.join()


def _family(leader: int) -> list[int]:
    """The processes of a session, and their descendants in others."""
    parents = {}
    for pid, fields in _statuses():
        parent, _, session = fields[1:4]
        parents[pid] = leader if int(session) == leader else int(parent)
    family, grown = {leader} & parents.keys(), True
    while grown:
        joining = {pid for pid, parent in parents.items() if parent in family} - family
        family, grown = family | joining, bool(joining)
    return sorted(family)


def _statuses() -> Iterator[tuple[int, list[str]]]:
    """Of each process its number, and what the system tells of it from its state on."""
    for path in _PROC.glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            yield int(path.parent.name), path.read_text().rpartition(")")[2].split()


def _memory(pids: list[int]) -> list[int]:
    """Lower bounds of the peak: what they have now, and the most that each one ever had.

    Pages that several share count once: the first is of proportional set sizes. The second finds
    what was between two samples.
    """
    found, now = [], 0
    for pid in pids:
        # One that has just ended.
        with contextlib.suppress(OSError, KeyError):
            now += _kilobytes(_PROC / str(pid) / "smaps_rollup")["Pss"] * 1024
            found.append(peak(pid))
    return [*found, now] if found else []


def _kilobytes(path: Path) -> Mapping[str, int]:
    lines = (line.partition(":") for line in path.read_text().splitlines())
    return {key: int(value.split()[0]) for key, _, value in lines if value.endswith("kB")}
