"""The parts that all command lines share: flags, help, paths, errors, signals, and quiet libraries.

Tables, or the report for machines with `--json`, go to standard output; everything else goes to standard
error.
"""

import contextlib
import gc
import inspect
import io
import logging
import os
import sys
import textwrap
from collections.abc import Callable, Iterator
from typing import NoReturn

from absl import app, flags
from absl import logging as absl_logging
from rich.console import Console
from rich.table import Table
from rich.text import Text

from slimhub.support import cpu, signals
from slimhub.support.printable import printable

USAGE = 2
UNWRITABLE = 5

JSON = flags.DEFINE_bool("json", False, "Print the report as JSON, not as a table.")

# TensorFlow's log level for each of absl's verbosities; for any other, TensorFlow is silent.
_TF_LOG_LEVELS = {absl_logging.WARNING: "1", absl_logging.INFO: "0", absl_logging.DEBUG: "0"}
_VERBOSITY = (
    "How much is logged: -2 errors, -1 also TensorFlow's warnings, 0 everything. Default: -2."
)
_WIDTH = 100


def run(
    main: Callable[[list[str]], int], *, takes_json: bool = False, takes_paths: bool = False
) -> None:
    """Parse the flags, call `main` with the other arguments, and exit with the code that it returns.

    `--help` prints the docstring of `main`'s module, and the module's flags before the docstring's last
    paragraph, the example.

    SIGINT and SIGTERM end the program as an error does, so that it cleans up. The exit codes are 130
    and 143, as in shells.

    TensorFlow must not have been imported yet: its import reads the log level and the choice of kernels.

    Args:
      main: function whose module defines the program's flags.
      takes_json: whether the program has the flag `--json`.
      takes_paths: whether the other arguments are paths, in which `~` is expanded.
    """
    _open_closed()
    # Names of files, and names in files, may be any bytes.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    signals.install()
    if not takes_json:
        delattr(flags.FLAGS, "json")
    app.define_help_flags()
    for name in ("help", "helpshort"):
        flags.DEFINE_flag(_Help(name, main))
    try:
        app.run(lambda argv: main(argv[1:]), flags_parser=lambda argv: _parse(argv, takes_paths))
    finally:
        # Libraries may have swallowed the exception of the signal's handler.
        signals.exit_if_stopped()


def _open_closed() -> None:
    """Open closed standard streams on /dev/null, so that no file that is opened later gets their numbers."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
        if getattr(sys, name) is None:
            stream = open(number, "w" if number else "r", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)


class _Help(flags.BooleanFlag):
    """A flag that prints the help of `main`'s module. absl's own flag prints that of `__main__`."""

    def __init__(self, name: str, main: Callable):
        super().__init__(name, False, "Print this help.", allow_override=True)
        self._main = main

    def parse(self, argument) -> None:
        if self._parse(argument):
            show(_help(self._main))
            sys.exit(0)


def _help(main: Callable) -> str:
    doc = inspect.cleandoc(sys.modules[main.__module__].__doc__ or "")
    description, _, example = doc.rpartition("\n\n")
    of_program = flags.FLAGS.get_flags_for_module(main.__module__)
    shared = [flags.FLAGS[name] for name in ("json", "verbosity", "help") if name in flags.FLAGS]
    described = map(_describe, (*of_program, *shared))
    return "\n".join([description, "\nFlags:", *described, f"\n{example}"])


def _describe(flag: flags.Flag) -> str:
    name = f"  --{flag.name}" if flag.boolean else f"  --{flag.name}={flag.name.upper()}"
    # absl's text for the verbosity is about C++. To other texts it appends values and hints.
    text = _VERBOSITY if flag.name == "verbosity" else flag.help.partition(";\n")[0]
    if choices := getattr(flag.parser, "enum_values", None):
        text = text.removeprefix(f"<{'|'.join(choices)}>: ") + f" One of {', '.join(choices)}."
    # Boolean flags are off by default, and `_parse` sets the verbosity.
    if flag.default is not None and not flag.boolean and flag.name != "verbosity":
        values = flag.default if isinstance(flag.default, list) else [flag.default]
        text += f" Default: {', '.join(map(str, values))}."
    lines = textwrap.wrap(text, _WIDTH - 6, break_on_hyphens=False, break_long_words=False)
    return "\n      ".join([name, *lines])


class PathParser(flags.ArgumentParser):
    """A parser of flags that are paths. It expands the `~` of `--flag=~/x`, as shells don't."""

    def parse(self, argument: str) -> str:
        return expand(argument)


def expand(path: str) -> str:
    """Return the path with a leading `~` or `~user` replaced by the home directory.

    Raises:
      ValueError: this user has no home directory.
    """
    if path.partition("/")[0] == "~" and not _has_home():
        raise ValueError("~ stands for no directory: this user has no home; HOME can name one")
    return os.path.expanduser(path)


def _has_home() -> bool:
    """Return whether this user has a home directory: some users in containers have none."""
    return os.path.expanduser("~") != "~"


def complain(message: str) -> None:
    """Print an error message to standard error, in red on a terminal."""
    message = "\n".join(map(printable, message.split("\n")))
    console = Console(stderr=True)
    # If the message can't be written, the exit code still tells of the error.
    with contextlib.suppress(OSError):
        if console.is_terminal:
            console.print(Text(message, style="red"), soft_wrap=True)
        else:
            print(message, file=sys.stderr, flush=True)


def show(*results: str | Table) -> None:
    """Print results to standard output. Raise `SystemExit` with code 5 if they can't be written.

    Text is printed as it is. Tables are as wide as the terminal, or 160 columns wide elsewhere.
    """
    console = Console()
    if not console.is_terminal:
        console = Console(width=160)
    try:
        for result in results:
            print(result) if isinstance(result, str) else console.print(result)
        sys.stdout.flush()
    except OSError as error:
        # The interpreter would try to flush it again at exit, and fail.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        complain(f"Standard output can't be written: {error}")
        sys.exit(UNWRITABLE)


@contextlib.contextmanager
def quiet_imports() -> Iterator[None]:
    """Suppress what libraries print while they are imported, unless `--verbosity` asks for it.

    TensorFlow prints messages about missing GPUs at any log level.
    """
    stderr = os.dup(2)

    def stop(number: int, frame) -> NoReturn:
        # There is nothing to clean up yet, and libraries may swallow an exception.
        del frame
        os.dup2(stderr, 2)
        signals.say_stopped(number)
        os._exit(128 + number)

    signals.handle(stop)
    # Imported objects live until the end: searching them for garbage would waste time.
    gc.disable()
    if not _verbose():
        signals.silence_stderr()
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        gc.freeze()
        gc.enable()
        signals.install()


def _parse(argv: list[str], takes_paths: bool) -> list[str]:
    try:
        arguments = flags.FLAGS(argv)
        if takes_paths:
            arguments = list(map(expand, arguments))
    # Besides its own errors, absl raises `ValueError` if a flag that takes no value is given one.
    except (flags.Error, ValueError) as error:
        complain(f"{error}\n--help lists the flags.")
        sys.exit(USAGE)
    except OSError as error:
        # --help could not be printed.
        complain(f"Standard output can't be written: {error}")
        sys.exit(UNWRITABLE)
    except SystemExit:
        # absl's exit code after --help is that of a failure.
        sys.exit(0)
    if flags.FLAGS["verbosity"].using_default_value:
        # At absl's default, every library would log what it does.
        absl_logging.set_verbosity(absl_logging.ERROR)
    cpu.set_environment()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", _TF_LOG_LEVELS.get(flags.FLAGS.verbosity, "3"))
    if not _has_home():
        # Keras would create a directory called `~` here. It works without a directory to write to.
        os.environ.setdefault("KERAS_HOME", os.devnull)
    if not _verbose():
        logging.getLogger("tensorflow").setLevel(logging.ERROR)
    return arguments


def _verbose() -> bool:
    return flags.FLAGS.verbosity > absl_logging.ERROR
