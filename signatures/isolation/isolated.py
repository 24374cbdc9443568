"""Check or run a module in a process of its own: whatever is in it, the caller goes on.

With malformed files, TensorFlow may end its process, or use up all time or memory. That is a
finding then, of the check that was running.
"""

import dataclasses
import functools
import multiprocessing
import os
import resource
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

from slimhub.signatures.checks import conformance, registry
from slimhub.signatures.checks.expectation import Expectation
from slimhub.signatures.checks.report import FAILED, RUNNING, OnResult, Report, Result, not_run
from slimhub.signatures.isolation import archived
from slimhub.signatures.module.directory import UnreadableError
from slimhub.support import cpu, temporary

# Checking a module of Inception V2 takes about 1 GiB.
_MOST_MEMORY = 8 << 30

# What the process sends.
_RESULT, _DONE, _RAISED = "result", "done", "raised"


class EndedError(UnreadableError):
    """The process ended, or was ended, before it was done."""


def check(module: Path, *, expectation: Expectation | None = None, timeout: int) -> Report:
    """Check a directory from anywhere, or an archive, which is unpacked for that; see `conformance.check`.

    Args:
      module: may be anything; a file is taken for an archive.
      expectation: what it is to be held to; None for what its own provenance claims.
      timeout: seconds until the process is ended.

    Raises:
      OSError: there is no temporary directory to unpack an archive into.
    """
    expectation = expectation or Expectation()
    # Unlike `Path.is_file`, it takes any name.
    if not os.path.isfile(module):
        return _check(conformance.check, module, expectation, timeout)
    with temporary.temporary() as into:
        check_archive = functools.partial(archived.check, into=into)
        report = _check(check_archive, module, expectation, timeout)
    return archived.named(report, module, into=into)


def _check(function: Callable, module: Path, expectation: Expectation, timeout: int) -> Report:
    function = functools.partial(function, expectation=expectation)
    results: dict[str, Result] = {}

    def on_result(result: Result) -> None:
        results[result.id] = result

    try:
        return run(function, module, timeout=timeout, on_result=on_result)
    except EndedError as error:
        report = _broken_off(module, results, str(error))
        return dataclasses.replace(report, like=expectation.like)


def run(
    function: Callable,
    directory: Path,
    *,
    timeout: int,
    on_result: OnResult = lambda result: None,
):
    """Call a function with a directory from anywhere, in a process of its own.

    The process is a fork: TensorFlow may have been imported before, but must not have run anything.

    Args:
      function: takes the directory, and an `on_result`.
      directory: may be anything.
      timeout: seconds until the process is ended.
      on_result: called with whatever the function calls its own with.

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
        return _received(receiver, on_result, process)
    finally:
        process.kill()
        process.join()


def _child(
    function: Callable, directory: Path, receiver: Connection, sender: Connection, timeout: int
) -> None:
    # If the caller is killed, this process notices when it sends.
    receiver.close()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM):
        signal.signal(number, signal.SIG_DFL)
    # This ends it even while it holds Python's lock, and if the caller is gone. (0 would be no limit.)
    signal.setitimer(signal.ITIMER_REAL, max(timeout, 1e-6))
    for kind, most in ((resource.RLIMIT_DATA, _MOST_MEMORY), (resource.RLIMIT_CORE, 0)):
        _, limit = resource.getrlimit(kind)
        resource.setrlimit(
            kind, (most if limit == resource.RLIM_INFINITY else min(most, limit), limit)
        )
    # Nobody needs the stack trace of a process that TensorFlow ends.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    cpu.hide_gpus()
    try:
        done = function(directory, on_result=lambda result: sender.send((_RESULT, result)))
    except UnreadableError as error:
        sender.send((_RAISED, error))
    else:
        sender.send((_DONE, done))


def _received(receiver: Connection, on_result: OnResult, process: BaseProcess):
    """Wait for what the function returns. Raise `EndedError` if the process ends before."""
    while True:
        try:
            kind, received = receiver.recv()
        # `OSError` in the midst of a message.
        except (EOFError, OSError):
            process.join()
            raise EndedError(_end_of(process.exitcode or 0)) from None
        if kind == _RAISED:
            raise received
        if kind == _DONE:
            return received
        on_result(received)


def _end_of(code: int) -> str:
    if code == -signal.SIGALRM:
        return "the process was not done in time"
    how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"exited with {code}"
    return f"the process {how}: the files are malformed, or it used more than {_MOST_MEMORY} bytes of memory"


def _broken_off(directory: Path, results: dict[str, Result], how: str) -> Report:
    """Report what was found before the end; that it ended is the finding of the check that was running."""
    last = list(results.values())[-1:]
    running = last[0] if last else Result(id="readable", description="", status=RUNNING)
    found = dataclasses.replace(running, status=FAILED, problems=(how,))
    # Which of the others belong to the module may not be known yet.
    absent = {check.id: not_run(check, [found.id]) for check in registry.CHECKS}
    results |= {found.id: found}
    results |= {id: result for id, result in absent.items() if id not in results}
    return Report(directory=str(directory), handle=None, weights=None, results=(*results.values(),))
