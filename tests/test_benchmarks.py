"""tests/benchmarks: programs that are measured, and the memory of their processes. No timings."""

import sys

import pytest
from benchmarks import processes

MEGABYTES = 1 << 20
# One process starts another; both hold the same pages from before, and each some of its own.
FAMILY = f"""
import os, time
shared = os.urandom({64 * MEGABYTES})
child = os.fork()
own = os.urandom({64 * MEGABYTES})
time.sleep(1)
if child:
    os.wait()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_memory():
    """Memory is that of all processes together, with shared pages once."""
    base = processes.run(sys.executable, "-c", "import time; time.sleep(0.5)").peak_bytes
    peak = processes.run(sys.executable, "-c", FAMILY).peak_bytes
    assert 0 < base < 32 * MEGABYTES
    assert 192 * MEGABYTES < peak < 192 * MEGABYTES + 4 * base


def test_failing_program():
    """A program that fails is an error with what it said."""
    with pytest.raises(processes.ProgramError, match=r"exit code 1: Oh"):
        processes.run(sys.executable, "-c", "raise SystemExit('Oh')")


def test_answers():
    """A program answers one request after the other; one that has ended is an error."""
    code = "for line in iter(input, '[\"end\", {}]'): print(line)"
    with processes.Program(sys.executable, "-uc", code) as echo:
        assert echo.ask("a", b=1) == ["a", {"b": 1}]
        assert echo.ask("c") == ["c", {}]
        for _ in range(2):
            with pytest.raises(processes.ProgramError, match="no answer"):
                echo.ask("end")
