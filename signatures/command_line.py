"""What the command lines share: quiet libraries, and exit code 2 for flags that make no sense."""

import logging
import os
import signal
import sys
from collections.abc import Callable
from typing import NoReturn

from absl import app, flags
from absl import logging as absl_logging
from rich.console import Console

USAGE = 2


def run(main: Callable[[list[str]], int]) -> None:
    """Parses the flags, calls `main` with the other arguments, and exits with what it returns.

    SIGINT and SIGTERM end it as anything else does that goes wrong, so that nothing is left behind,
    with the exit codes that shells give them, 130 and 143.

    TensorFlow must not have been imported yet: it reads how much to log then.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    signal.signal(signal.SIGTERM, _stop)
    try:
        app.run(lambda argv: main(argv[1:]), flags_parser=_parse)
    except KeyboardInterrupt:
        _stop(signal.SIGINT)


def complain(message: str) -> None:
    """Prints an error as the last word on stderr."""
    sys.stdout.flush()
    print(message, file=sys.stderr, flush=True)


def console() -> Console:
    """For tables on stdout: as wide as the terminal, and never folded elsewhere."""
    found = Console()
    return found if found.is_terminal else Console(width=160)


def _stop(number: int, frame=None) -> NoReturn:
    del frame
    complain(f"Stopped by {signal.Signals(number).name}.")
    sys.exit(128 + number)


def _parse(argv: list[str]) -> list[str]:
    try:
        arguments = flags.FLAGS(argv)
    except flags.Error as error:
        complain(f"{error}\n--help lists the flags.")
        sys.exit(USAGE)
    except SystemExit:
        # --help was printed, which absl takes for a failure.
        sys.exit(0)
    if flags.FLAGS["verbosity"].using_default_value:
        # Left alone, absl would have every library tell of its doings.
        flags.FLAGS.verbosity = absl_logging.ERROR
    return arguments
