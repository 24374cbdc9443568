"""What the command lines share: quiet libraries, errors, signals, and exit code 2 for usage.

Tables, or with `--json` the report for machines, go to standard output; all else to standard error.
"""

import contextlib
import gc
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import BinaryIO, NoReturn

from absl import app, flags
from absl import logging as absl_logging
from rich.console import Console
from rich.table import Table
from rich.text import Text

from slimhub.signatures import signals
from slimhub.signatures.printable import printable

USAGE = 2
UNWRITABLE = 5

JSON = flags.DEFINE_bool("json", False, "Print the report as JSON.")

# What TensorFlow calls the least that is logged, by absl's verbosity; beyond, it is silent.
_TF_LOG_LEVELS = {absl_logging.WARNING: "1", absl_logging.INFO: "0", absl_logging.DEBUG: "0"}


def run(main: Callable[[list[str]], int]) -> None:
    """Parses the flags, calls `main` with the other arguments, and exits with what it returns.

    SIGINT and SIGTERM end it as anything else does that goes wrong, so that nothing is left behind,
    with the exit codes that shells give them, 130 and 143.

    TensorFlow must not have been imported yet: it reads then how much to log, and which kernels to use.
    """
    _open_closed()
    # Names of files and of what is in them may be any bytes.
    sys.stdout.reconfigure(errors="backslashreplace")
    signals.install()
    try:
        app.run(lambda argv: main(argv[1:]), flags_parser=_parse)
    finally:
        # Whatever became of the exception on its way through libraries.
        signals.exit_if_stopped()


def _open_closed() -> None:
    """Has the standard streams that were closed lead nowhere, or a file would get one's number."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
        if getattr(sys, name) is None:
            stream = open(number, "w" if number else "r", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)


def complain(message: str) -> None:
    """Prints an error as the last word on stderr: in red on a terminal."""
    message = "\n".join(map(printable, message.split("\n")))
    console = Console(stderr=True)
    # If nobody can be told, the exit code still tells.
    with contextlib.suppress(OSError):
        if console.is_terminal:
            console.print(Text(message, style="red"), soft_wrap=True)
        else:
            print(message, file=sys.stderr, flush=True)


def show(*results: str | Table) -> None:
    """Prints results on stdout: text as it is, tables as wide as the terminal, and never folded elsewhere.

    Ends the process with the exit code 5 if that can't be written.
    """
    console = Console()
    if not console.is_terminal:
        console = Console(width=160)
    try:
        for result in results:
            print(result) if isinstance(result, str) else console.print(result)
        sys.stdout.flush()
    except OSError as error:
        # Nor could the interpreter, which would try it again at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        complain(f"Standard output can't be written: {error}")
        sys.exit(UNWRITABLE)


@contextlib.contextmanager
def quiet_imports() -> Iterator[None]:
    """Keeps to itself what libraries print while they are imported, unless `--verbosity` asks for it.

    TensorFlow tells of missing GPUs then, whatever the log level. If the import fails, it is shown.
    """
    kept = os.dup(2)

    def stop(number: int, frame) -> NoReturn:
        # There is nothing to clear up yet, and libraries take an exception for one of their own.
        del frame
        os.dup2(kept, 2)
        signals.say_stopped(number)
        os._exit(128 + number)

    signals.handle(stop)
    # What is imported stays: to look through it for garbage, again and again, is lost time.
    gc.disable()
    try:
        with contextlib.nullcontext() if _verbose() else held_back(kept):
            yield
    finally:
        gc.freeze()
        gc.enable()
        signals.install()
        os.close(kept)


@contextlib.contextmanager
def held_back(stderr: int) -> Iterator[None]:
    """Holds back what is printed on stderr, of which we have another descriptor; unless the block fails."""
    sys.stderr.flush()
    with _anywhere() as said:
        os.dup2(said.fileno(), 2)
        try:
            yield
        except BaseException:
            os.dup2(stderr, 2)
            said.seek(0)
            shutil.copyfileobj(said, sys.stderr.buffer)
            raise
        finally:
            os.dup2(stderr, 2)


def _anywhere() -> BinaryIO:
    """A temporary file; nowhere, if there is no place for one, which is for others to say."""
    try:
        return tempfile.TemporaryFile()
    except OSError:
        return open(os.devnull, "r+b")


def _parse(argv: list[str]) -> list[str]:
    try:
        arguments = flags.FLAGS(argv)
    # Besides its own errors absl raises Python's, for a value that a flag without one is given.
    except (flags.Error, ValueError) as error:
        complain(f"{error}\n--help lists the flags.")
        sys.exit(USAGE)
    except OSError as error:
        # --help could not be printed.
        complain(f"Standard output can't be written: {error}")
        sys.exit(UNWRITABLE)
    except SystemExit:
        # --help was printed, which absl takes for a failure.
        sys.exit(0)
    if flags.FLAGS["verbosity"].using_default_value:
        # Left alone, absl would have every library tell of its doings.
        flags.FLAGS.verbosity = absl_logging.ERROR
    # Its kernels arrange the weights anew at each run of a graph as it stands, and its allocator never
    # gives memory back: with it, the export of VGG 16 takes half as long again.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", _TF_LOG_LEVELS.get(flags.FLAGS.verbosity, "3"))
    if not _verbose():
        logging.getLogger("tensorflow").setLevel(logging.ERROR)
    return arguments


def _verbose() -> bool:
    return flags.FLAGS.verbosity > absl_logging.ERROR
