"""The command lines, each run in a process of its own, but without importing TensorFlow each time.

A server that has imported everything, and run nothing, forks for every run. Beside the real
models, their catalog has the stem.
"""

import contextlib
import dataclasses
import multiprocessing
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from absl import flags

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["preloaded"])

EXPORT = "slimhub.export.__main__"
CHECK = "slimhub.signatures.__main__"
ARCHIVE = "slimhub.export.archive"
# Flags that export the stem, which takes about two seconds.
STEM_ONLY = ("--model=stem", "--task=feature_vector", "--output=modules")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Done:
    """How a run ended: its exit code, or minus the signal that killed it, and what it printed."""

    code: int
    stdout: str
    stderr: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """A process that runs a command line, and the files that take what it prints."""

    process: multiprocessing.Process
    stdout: Path
    stderr: Path

    def signal(self, number: int) -> None:
        os.kill(self.process.pid, number)

    def wait(self, timeout: float = 120) -> Done:
        """Kills a run that takes longer, which is then an `AssertionError`."""
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
    """Of a file that a run killed at its very begin has not made yet, none."""
    return path.read_text() if path.exists() else ""


def start(
    *arguments: str,
    cwd: Path,
    command: str = EXPORT,
    before: Callable[[], None] | None = None,
    **environment: str,
) -> Run:
    """Starts a command line in a directory.

    Args:
      *arguments: flags and others.
      cwd: where it runs.
      command: module whose `run` it is.
      before: called in the process; a function at the top of a module, or a partial of one.
      **environment: variables set for it.
    """
    output = cwd.parent / f"{cwd.name}.output"
    output.mkdir(exist_ok=True)
    stem = f"{time.monotonic_ns()}"
    run = Run(
        process=_FORKS.Process(
            target=_run,
            args=(command, arguments, cwd, output / stem, before, environment),
        ),
        stdout=output / f"{stem}.stdout",
        stderr=output / f"{stem}.stderr",
    )
    with _search_path():
        run.process.start()
    return run


def run(*arguments: str, **how) -> Done:
    """Runs a command line to its end; arguments as for `start`."""
    return start(*arguments, **how).wait()


def _run(command, arguments, cwd: Path, output: Path, before, environment) -> None:
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        with open(f"{output}.{name}", "wb") as file:
            os.dup2(file.fileno(), descriptor)
    os.chdir(cwd)
    os.environ.update(environment)
    sys.argv = [command, *arguments]
    for name in {EXPORT, CHECK} - {command}:
        # Loaded in the same process, it would have its flags given.
        for flag in flags.FLAGS.flags_by_module_dict()[name]:
            delattr(flags.FLAGS, flag.name)
    if before is not None:
        before()
    sys.modules[command].run()


@contextlib.contextmanager
def _search_path():
    """With the folder of tests where the server, which the first run starts, imports from."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [os.path.dirname(__file__), before]))
    try:
        yield
    finally:
        del os.environ["PYTHONPATH"]
        if before is not None:
            os.environ["PYTHONPATH"] = before
