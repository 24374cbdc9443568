"""Handlers of SIGINT and SIGTERM: they end a program as an error does, so that it cleans up."""

import contextlib
import os
import signal
import sys
from collections.abc import Callable

# The signal that stopped the program, if one did.
_stopped_by: list[int] = []


def install() -> None:
    """Make both signals raise `SystemExit`, with the exit codes of shells, 130 and 143."""
    handle(_stop)


def handle(handler: Callable) -> None:
    """Make both signals call `handler`, with the signal's number and the current frame."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handler)


def exit_if_stopped() -> None:
    """Raise `SystemExit` if a signal has arrived: libraries may have swallowed the handler's exception."""
    if _stopped_by:
        sys.exit(128 + _stopped_by[0])


def say_stopped(number: int) -> None:
    """Write one line that names the signal to standard error."""
    # `print` isn't reentrant, and the signal may have interrupted it.
    with contextlib.suppress(OSError):
        os.write(2, f"Stopped by {signal.Signals(number).name}.\n".encode())


def _stop(number: int, frame) -> None:
    del frame
    # Another signal must not interrupt the cleanup. (With `SIG_IGN`, Python complains of a pending one.)
    handle(lambda number, frame: None)
    _stopped_by.append(number)
    say_stopped(number)
    # C libraries print messages about the exception.
    silence_stderr()
    exit_if_stopped()


def silence_stderr() -> None:
    """Redirect standard error to nowhere, for what C libraries print, too."""
    with contextlib.suppress(OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)
