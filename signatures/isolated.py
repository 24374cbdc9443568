"""Checks or runs a module in a process of its own: whatever is in it, the caller goes on.

With malformed files, TensorFlow may end its process, or use up all time or memory. That is a
finding then, of the check that was running.
"""

import dataclasses
import functools
import multiprocessing
import os
import resource
import signal
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

from slimhub.signatures import archived, conformance, scratch
from slimhub.signatures.conformance import Report, Result
from slimhub.signatures.directory import UnreadableError

# Checking a module of Inception V2 takes about 1 GiB.
_MOST_MEMORY = 8 << 30

_NOT_IN_TIME = "the process was not done in time"
# What the process sends.
_NOTE, _DONE, _RAISED = "note", "done", "raised"


class EndedError(UnreadableError):
    """The process ended, or was ended, before it was done."""


def check(module: Path, *, timeout: int) -> Report:
    """`conformance.check` of a directory from anywhere, or of an archive, which is unpacked for that.

    Args:
      module: may be anything; a file is taken for an archive.
      timeout: seconds until the process is ended.

    Raises:
      OSError: there is no temporary directory to unpack an archive into.
    """
    # Unlike `Path.is_file`, it takes any name.
    if not os.path.isfile(module):
        return _check(conformance.check, module, timeout=timeout)
    with scratch.temporary() as into:
        report = _check(functools.partial(archived.check, into=into), module, timeout=timeout)
    return archived.named(report, module, into=into)


def _check(function: Callable, module: Path, *, timeout: int) -> Report:
    results: dict[str, Result] = {}

    def note(result: Result) -> None:
        results[result.id] = result

    try:
        return run(function, module, timeout=timeout, note=note)
    except EndedError as error:
        return _broken_off(module, results, str(error))


def run(
    function: Callable,
    directory: Path,
    *,
    timeout: int,
    note: conformance.Note = lambda result: None,
):
    """Calls a function with a directory from anywhere, in a process of its own.

    The process is a fork: TensorFlow may have been imported before, but must not have run anything.

    Args:
      function: takes the directory, and a `note`.
      directory: may be anything.
      timeout: seconds until the process is ended.
      note: is told what the function tells its own.

    Returns:
      What the function returns.

    Raises:
      UnreadableError: the function raised it.
      EndedError: there was no end of the function, or one of the process first.
    """
    forks = multiprocessing.get_context("fork")
    receiver, sender = forks.Pipe(duplex=False)
    process = forks.Process(
        target=_child, args=(function, directory, receiver, sender, timeout), daemon=True
    )
    process.start()
    try:
        sender.close()
        return _received(receiver, note, deadline=time.monotonic() + timeout, process=process)
    finally:
        process.kill()
        process.join()


def _child(
    function: Callable, directory: Path, receiver: Connection, sender: Connection, timeout: int
) -> None:
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
    try:
        done = function(directory, note=lambda result: sender.send((_NOTE, result)))
    except UnreadableError as error:
        sender.send((_RAISED, error))
    else:
        sender.send((_DONE, done))


def _received(receiver: Connection, note: conformance.Note, *, deadline: float, process):
    """What the function returned, unless the process ended first, or was ended."""
    while True:
        try:
            if not receiver.poll(max(0, deadline - time.monotonic())):
                raise EndedError(_NOT_IN_TIME)
            kind, received = receiver.recv()
        # `OSError` in the midst of a message.
        except (EOFError, OSError):
            # Not by `join`, which would take the end of the pipe for that of the process.
            while process.exitcode is None and time.monotonic() < deadline:
                time.sleep(0.01)
            raise EndedError(_end_of(process)) from None
        if kind == _RAISED:
            raise received
        if kind == _DONE:
            return received
        note(received)


def _end_of(process) -> str:
    code = process.exitcode
    if code is None:
        return _NOT_IN_TIME
    how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"exited with {code}"
    return f"the process {how}: the files are malformed, or it used more than {_MOST_MEMORY} bytes of memory"


def _broken_off(directory: Path, results: dict[str, Result], how: str) -> Report:
    """What was found before the end; that it ended is the finding of the check that was running."""
    last = list(results.values())[-1:]
    running = last[0] if last else Result(id="readable", description="", status="running")
    found = dataclasses.replace(running, status="failed", problems=(how,))
    results = {**results, found.id: found}
    return Report(directory=str(directory), handle=None, weights=None, results=(*results.values(),))
