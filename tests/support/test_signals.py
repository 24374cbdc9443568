"""Signals end a command line, with one line and the exit code, whatever libraries make of them."""

import os
import subprocess
import sys
import textwrap

import pytest

PROGRAM = """
import ctypes, os, signal, sys
from slimhub.support import terminal

def main(arguments):
{}

terminal.run(main)
"""


def run(main: str, *flags: str) -> subprocess.CompletedProcess:
    """Run a command line to its end, with TensorFlow as quiet as slimhub has it."""
    env = {name: os.environ[name] for name in os.environ if name != "TF_CPP_MIN_LOG_LEVEL"}
    command = [sys.executable, "-c", PROGRAM.format(textwrap.indent(main, "    ")), *flags]
    return subprocess.run(command, capture_output=True, text=True, env=env)


STOPPED = """
with terminal.quiet_imports():
    print("a library: no such GPU", file=sys.stderr)
    try:
        os.kill(os.getpid(), signal.{})
    except BaseException:
        raise ImportError("initialization failed")
"""


@pytest.mark.parametrize(
    ("name", "code", "flags"), [("SIGINT", 130, ()), ("SIGTERM", 143, ("--verbosity=0",))]
)
def test_stopped_while_importing(name, code, flags):
    """While libraries are imported, which may take an exception for their own, a signal ends the run, too."""
    done = run(STOPPED.format(name), *flags)
    assert done.returncode == code
    assert done.stderr.splitlines()[-1] == f"Stopped by {name}."
    assert ("GPU" in done.stderr) == bool(flags)


TAKEN = """
try:
    os.kill(os.getpid(), signal.SIGINT)
except BaseException:
    {}
"""
# Python prints what leaves such a callback, and goes on.
IN_C = "ctypes.CFUNCTYPE(None)(lambda: os.kill(os.getpid(), signal.SIGINT))()"


@pytest.mark.parametrize(
    "main", [TAKEN.format("raise AttributeError('_type_spec')"), TAKEN.format("return 0"), IN_C]
)
def test_stop_that_a_library_takes(main):
    """A run is stopped though a library raises an exception of its own instead, or none."""
    done = run(main)
    assert (done.returncode, done.stderr) == (130, "Stopped by SIGINT.\n")


BOTH_SIGNALS = """
both = {signal.SIGINT, signal.SIGTERM}
signal.pthread_sigmask(signal.SIG_BLOCK, both)
for number in both:
    os.kill(os.getpid(), number)
signal.pthread_sigmask(signal.SIG_UNBLOCK, both)
"""


def test_two_signals():
    """If two signals arrive at once, one stops the run, with one line."""
    done = run(BOTH_SIGNALS)
    stops = {130: "Stopped by SIGINT.\n", 143: "Stopped by SIGTERM.\n"}
    assert done.stderr == stops[done.returncode]
