"""SIGINT and SIGTERM end a program as an error does, so that nothing of its work is left behind."""

import contextlib
import os
import signal
import sys
from collections.abc import Callable

# The signal that stopped the program, if one did.
_stopped_by: list[int] = []


def install() -> None:
    """From now on, both raise `SystemExit` with the exit codes that shells give them, 130 and 143."""
    handle(_stop)


def handle(handler: Callable) -> None:
    """Has both signals call something else."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handler)


def exit_if_stopped() -> None:
    """Ends the program if a signal came before; libraries may have taken its exception for their own."""
    if _stopped_by:
        sys.exit(128 + _stopped_by[0])


def say_stopped(number: int) -> None:
    """One line on stderr."""
    # Not with `print`, in the midst of which the signal may have come.
    with contextlib.suppress(OSError):
        os.write(2, f"Stopped by {signal.Signals(number).name}.\n".encode())


def _stop(number: int, frame) -> None:
    del frame
    # Another one does not keep it from clearing up. (Python complains of `SIG_IGN` if one waits.)
    handle(lambda number, frame: None)
    _stopped_by.append(number)
    say_stopped(number)
    _say_no_more()
    exit_if_stopped()


def _say_no_more() -> None:
    """Has standard error lead nowhere: libraries in C print what they make of the exception."""
    with contextlib.suppress(OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)
