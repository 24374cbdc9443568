"""Checks a directory in a process of its own: whatever is in it, the caller goes on.

With malformed files, TensorFlow may end its process, or use up all time or memory. That is a
finding then, of the check that was running.
"""

import dataclasses
import multiprocessing
import os
import resource
import signal
import time
from multiprocessing.connection import Connection
from pathlib import Path

from slimhub.signatures import conformance
from slimhub.signatures.conformance import Report, Result

# Checking a module of Inception V2 takes about 1 GiB.
_MOST_MEMORY = 8 << 30


def check(directory: Path, *, timeout: int) -> Report:
    """`conformance.check` of a directory from anywhere.

    The process is a fork: TensorFlow may have been imported before, but must not have run anything.

    Args:
      directory: may be anything.
      timeout: seconds until the process is ended.
    """
    forks = multiprocessing.get_context("fork")
    receiver, sender = forks.Pipe(duplex=False)
    process = forks.Process(target=_child, args=(directory, receiver, sender, timeout), daemon=True)
    process.start()
    try:
        sender.close()
        return _received(receiver, directory, deadline=time.monotonic() + timeout, process=process)
    finally:
        process.kill()
        process.join()


def _child(directory: Path, receiver: Connection, sender: Connection, timeout: int) -> None:
    # If the caller is killed, nobody else ends it: it hears that when it sends, or by its alarm.
    receiver.close()
    signal.alarm(timeout + 1)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    for kind, most in ((resource.RLIMIT_DATA, _MOST_MEMORY), (resource.RLIMIT_CORE, 0)):
        _, limit = resource.getrlimit(kind)
        resource.setrlimit(
            kind, (most if limit == resource.RLIM_INFINITY else min(most, limit), limit)
        )
    # Of a process that TensorFlow ends, nobody needs the stack trace.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    sender.send(conformance.check(directory, note=sender.send))


def _received(receiver: Connection, directory: Path, *, deadline: float, process) -> Report:
    """The report; or what came until the process ended, or was ended."""
    results: dict[str, Result] = {}
    while True:
        try:
            if not receiver.poll(max(0, deadline - time.monotonic())):
                return _broken_off(directory, results, "was not done in time")
            received = receiver.recv()
        # `OSError` in the midst of a message.
        except (EOFError, OSError):
            # Not by `join`, which would take the end of the pipe for that of the process.
            while process.exitcode is None and time.monotonic() < deadline:
                time.sleep(0.01)
            return _broken_off(directory, results, _end_of(process))
        if isinstance(received, Report):
            return received
        results[received.id] = received


def _end_of(process) -> str:
    code = process.exitcode
    if code is None:
        return "was not done in time"
    how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"exited with {code}"
    return f"{how}: the files are malformed, or it used more than {_MOST_MEMORY} bytes of memory"


def _broken_off(directory: Path, results: dict[str, Result], how: str) -> Report:
    """What was found before the end; that it ended is the finding of the check that was running."""
    last = list(results.values())[-1:]
    running = last[0] if last else Result(id="readable", description="", status="running")
    found = dataclasses.replace(running, status="failed", problems=(f"the process {how}",))
    results = {**results, found.id: found}
    return Report(directory=str(directory), handle=None, weights=None, results=(*results.values(),))
