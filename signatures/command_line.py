"""What the command lines share: quiet libraries, errors, signals, and exit code 2 for usage.

Tables, or with `--json` the report for machines, go to standard output; all else to standard error.
"""

import contextlib
import logging
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import NoReturn

from absl import app, flags
from absl import logging as absl_logging
from rich.console import Console
from rich.text import Text

USAGE = 2

JSON = flags.DEFINE_bool("json", False, "Print the report as JSON.")

# What TensorFlow calls the least that is logged, by absl's verbosity; beyond, it is silent.
_TF_LOG_LEVELS = {absl_logging.WARNING: "1", absl_logging.INFO: "0", absl_logging.DEBUG: "0"}


def run(main: Callable[[list[str]], int]) -> None:
    """Parses the flags, calls `main` with the other arguments, and exits with what it returns.

    SIGINT and SIGTERM end it as anything else does that goes wrong, so that nothing is left behind,
    with the exit codes that shells give them, 130 and 143.

    TensorFlow must not have been imported yet: it reads how much to log then.
    """
    # Names of files and of what is in them may be any bytes.
    sys.stdout.reconfigure(errors="backslashreplace")
    signal.signal(signal.SIGTERM, _stop)
    try:
        app.run(lambda argv: main(argv[1:]), flags_parser=_parse)
    except KeyboardInterrupt:
        _stop(signal.SIGINT)


def complain(message: str) -> None:
    """Prints an error as the last word on stderr: in red on a terminal."""
    sys.stdout.flush()
    console = Console(stderr=True)
    if console.is_terminal:
        console.print(Text(message, style="red"), soft_wrap=True)
    else:
        print(message, file=sys.stderr, flush=True)


@contextlib.contextmanager
def quiet_imports() -> Iterator[None]:
    """Keeps to itself what libraries print while they are imported, unless `--verbosity` asks for it.

    TensorFlow tells of missing GPUs then, whatever the log level. If the import fails, it is shown.
    """
    if _verbose():
        yield
        return
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), 2)
        try:
            yield
        except BaseException:
            os.dup2(kept, 2)
            said.seek(0)
            shutil.copyfileobj(said, sys.stderr.buffer)
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)


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
    # Besides its own errors absl raises Python's, for a value that a flag without one is given.
    except (flags.Error, ValueError) as error:
        complain(f"{error}\n--help lists the flags.")
        sys.exit(USAGE)
    except SystemExit:
        # --help was printed, which absl takes for a failure.
        sys.exit(0)
    if flags.FLAGS["verbosity"].using_default_value:
        # Left alone, absl would have every library tell of its doings.
        flags.FLAGS.verbosity = absl_logging.ERROR
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", _TF_LOG_LEVELS.get(flags.FLAGS.verbosity, "3"))
    if not _verbose():
        logging.getLogger("tensorflow").setLevel(logging.ERROR)
    return arguments


def _verbose() -> bool:
    return flags.FLAGS.verbosity > absl_logging.ERROR
