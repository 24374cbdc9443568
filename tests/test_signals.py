"""Signals end a command line, with one line and the exit code, whatever libraries make of them."""

import os
import subprocess
import sys

import pytest


def run(program: str, *flags: str) -> subprocess.CompletedProcess:
    """Runs a program to its end, with TensorFlow as quiet as slimhub has it."""
    env = {name: os.environ[name] for name in os.environ if name != "TF_CPP_MIN_LOG_LEVEL"}
    command = [sys.executable, "-c", program, *flags]
    return subprocess.run(command, capture_output=True, text=True, env=env)


STOPPED = """
import os, signal, sys
from absl import flags
from slimhub.signatures import command_line

def main(arguments):
    with command_line.quiet_imports():
        print("a library: no such GPU", file=sys.stderr)
        try:
            os.kill(os.getpid(), signal.{})
        except BaseException:
            raise ImportError("initialization failed")

command_line.run(main)
"""


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
@pytest.mark.parametrize("flags", [(), ("--verbosity=0",)], ids=["quiet", "verbose"])
def test_stopped_while_importing(name, code, flags):
    """While libraries are imported, which may take an exception for their own, a signal ends the run, too."""
    done = run(STOPPED.format(name), *flags)
    assert done.returncode == code
    assert done.stderr.splitlines()[-1] == f"Stopped by {name}."
    assert ("GPU" in done.stderr) == bool(flags)


TAKEN = """
import os, signal
from slimhub.signatures import command_line

def main(arguments):
    try:
        os.kill(os.getpid(), signal.SIGINT)
    except BaseException:
        {}

command_line.run(main)
"""


@pytest.mark.parametrize("instead", ["raise AttributeError('_type_spec')", "return 0"])
def test_stop_that_a_library_takes(instead):
    """A run is stopped though a library raises an exception of its own instead, or none."""
    done = run(TAKEN.format(instead))
    assert (done.returncode, done.stderr) == (130, "Stopped by SIGINT.\n")


IN_C = """
import ctypes, os, signal
from slimhub.signatures import command_line

def callback():
    os.kill(os.getpid(), signal.SIGTERM)

def main(arguments):
    # Python prints what leaves such a callback, and goes on.
    ctypes.CFUNCTYPE(None)(callback)()

command_line.run(main)
"""


def test_signal_in_c():
    """What a library in C prints of the exception that a signal raised is not seen."""
    done = run(IN_C)
    assert (done.returncode, done.stderr) == (143, "Stopped by SIGTERM.\n")


BOTH_SIGNALS = """
import os, signal
from slimhub.signatures import command_line

def main(arguments):
    both = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, both)
    for number in both:
        os.kill(os.getpid(), number)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, both)

command_line.run(main)
"""


def test_two_signals():
    """Of two signals at once, one stops the run, with one line."""
    done = run(BOTH_SIGNALS)
    stops = {130: "Stopped by SIGINT.\n", 143: "Stopped by SIGTERM.\n"}
    assert done.stderr == stops[done.returncode]
