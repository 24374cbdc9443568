"""Run the command lines, each in a process of its own, without importing TensorFlow each time.

A server process imports everything, runs nothing, and forks for every run. Its catalog has
the stem beside the real models.
"""

import dataclasses
import importlib
import multiprocessing
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["preloaded"])

EXPORT = "slimhub.export.__main__"
CHECK = "slimhub.signatures.__main__"
ARCHIVE = "slimhub.export.archive"
CONTRACT = "slimhub.signatures.contract_command"
# Flags that export the stem, which takes about two seconds.
STEM_ONLY = ("--model=stem", "--task=feature_vector", "--output=modules")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Done:
    """The result of a run: its exit code, or minus the signal that killed it, and its output."""

    code: int
    stdout: str
    stderr: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """A process that runs a command line, and the files of its output."""

    process: multiprocessing.Process
    stdout: Path
    stderr: Path

    def signal(self, number: int) -> None:
        os.kill(self.process.pid, number)

    def wait(self, timeout: float = 120) -> Done:
        """Return the result of the run. Kill it after `timeout` seconds, and raise `AssertionError`."""
        self.process.join(timeout)
        if self.process.exitcode is None:
            self.process.kill()
            raise AssertionError(f"no end after {timeout} s")
        done = Done(
            code=self.process.exitcode,
            stdout=_text(self.stdout),
            stderr=_text(self.stderr),
        )
        # No end of a program may be a traceback.
        assert "Traceback" not in done.stdout + done.stderr, done.stderr
        return done


def _text(path: Path) -> str:
    """Return a file's text; none if the run was killed before it created the file."""
    return path.read_text() if path.exists() else ""


def start(
    *arguments: str,
    cwd: Path,
    command: str = EXPORT,
    before: Callable[[], None] | None = None,
    **environment: str,
) -> Run:
    """Start a command line in a directory.

    Args:
      *arguments: flags and other arguments.
      cwd: the directory.
      command: module whose `run` is called.
      before: function that the process calls first; a function of a module, or a partial of one.
      **environment: further environment variables.
    """
    directory = cwd.parent / f"{cwd.name}.output"
    directory.mkdir(exist_ok=True)
    output = directory / f"{time.monotonic_ns()}"
    process = _FORKS.Process(
        target=_run, args=(command, arguments, cwd, output, before, environment)
    )
    helpers = [path for path in sys.path if path.startswith(os.path.dirname(__file__))]
    with pytest.MonkeyPatch.context() as patch:
        # The first run starts the server, which ignores `sys.path`.
        patch.setenv("PYTHONPATH", os.pathsep.join(helpers), prepend=os.pathsep)
        process.start()
    return Run(process=process, stdout=Path(f"{output}.stdout"), stderr=Path(f"{output}.stderr"))


def run(*arguments: str, **how) -> Done:
    """Run a command line to its end; `start` describes the arguments."""
    return start(*arguments, **how).wait()


def _run(command, arguments, cwd: Path, output: Path, before, environment) -> None:
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        with open(f"{output}.{name}", "wb") as file:
            os.dup2(file.fileno(), descriptor)
    os.chdir(cwd)
    os.environ.update(environment)
    sys.argv = [command, *arguments]
    if before is not None:
        before()
    # Not preloaded: two programs may have flags of the same name.
    importlib.import_module(command).run()
