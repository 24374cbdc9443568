"""tests/benchmarks: medians, ratios and goals, the table, and the memory of processes. No timings."""

import json
import re
import subprocess
import sys

import pytest
from benchmarks import errors, figures, partners, processes, report
from benchmarks.figures import Figure, Series

MEGABYTES = 1 << 20
# One process starts another; both hold the same pages from before, and each some of its own.
FAMILY = f"""
import os, subprocess, sys, time
shared = os.urandom({64 * MEGABYTES})
if os.fork() == 0:
    own = os.urandom({64 * MEGABYTES})
    code = "import os, time; own = os.urandom({64 * MEGABYTES}); time.sleep(1)"
    subprocess.run([sys.executable, "-c", code], start_new_session=True)
    os._exit(0)
os.wait()
"""


def figure(ours=(), peer=(), **goals) -> Figure:
    return Figure(
        group="group",
        what="what",
        ours=Series(name="ours", samples=ours),
        peer=Series(name="peer", samples=peer),
        **goals,
    )


def test_ratio():
    """The ratio is of medians, which one slow round does not move."""
    found = figure((1.0, 1.1, 9.0), (2.0, 2.2, 2.1))
    assert found.ratio == pytest.approx(1.1 / 2.1)
    assert found.ratios == pytest.approx((0.5, 0.5, 9 / 2.1))


def test_without_peer():
    """Without a peer there is no ratio, and a goal for it is neither met nor missed."""
    found = figure((1.0,), most_ratio=1.0)
    assert found.ratio is found.met is None
    assert report.row(found)[1:] == ("1.00 s", "-", "peer", "-", "", "at most 1", "")


@pytest.mark.parametrize(("ours", "met"), [(1.04, True), (1.05, True), (1.06, False)])
def test_goals(ours, met):
    """A goal is met by what is at most that: the ratio, or our own median."""
    assert figure((ours,), (1.0,), most_ratio=1.05).met is met
    assert figure((ours,), (9.0,), most=1.05).met is met
    assert figure((ours,), (1.0,)).met is None


def test_interleaved():
    """Contenders take turns, round after round."""
    calls = []
    contenders = {name: lambda name=name: calls.append(name) for name in "abc"}
    given = figures.interleaved(contenders, rounds=3, seconds=60)
    assert "".join(calls) == "abcabcabc"
    assert [len(samples) for samples in given.values()] == [3, 3, 3]


def test_short_of_time():
    """Where time is short there are as many rounds as there must be."""
    given = figures.interleaved({"a": int}, rounds=9, seconds=0, least=2)
    assert given == {"a": [0, 0]}


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_memory():
    """Memory is that of all processes together, of other sessions too, with shared pages once."""
    base = processes.run(sys.executable, "-c", "import time; time.sleep(0.5)").peak_bytes
    peak = processes.run(sys.executable, "-c", FAMILY).peak_bytes
    assert 0 < base < 32 * MEGABYTES
    assert 192 * MEGABYTES < peak < 192 * MEGABYTES + 4 * base


def test_failing_program():
    """A program that fails is an error with what it said."""
    with pytest.raises(errors.BrokenProgramError, match=r"exit code 1: Oh"):
        processes.run(sys.executable, "-c", "raise SystemExit('Oh')")


def test_no_end():
    """A program that does not end is killed, with all that it started."""
    code = "import subprocess; subprocess.run(['sleep', '4321'])"
    with pytest.raises(errors.BrokenProgramError, match="no end after 1 s"):
        processes.run(sys.executable, "-c", code, timeout=1)
    commands = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout
    assert "sleep 4321" not in commands


def test_partner():
    """A program answers one request after the other; one that has ended is an error."""
    code = "for line in iter(input, '[\"end\", {}]'): print(line)"
    with partners.started("Echo", sys.executable, "-uc", code) as echo:
        assert echo.ask("a", b=1) == ["a", {"b": 1}]
        assert echo.ask("c") == ["c", {}]
        with pytest.raises(errors.BrokenProgramError, match="Echo does not answer"):
            echo.ask("end")


def test_report():
    """Tables have every figure, and JSON every sample."""
    found = report.Report(
        machine={
            "processor": "Some",
            "cores": 2,
            "memory_bytes": 10**9,
            "system": "System",
            "python": "3.11",
            "libraries": {"tensorflow": "2.21.0"},
        },
        figures=(figure((1.0, 3.0), (2.0, 2.0), most_ratio=1.0),),
        stages={"ours": {"importing": 1.5, "checking": None}, "peer": {"importing": 0.5}},
        versions={"peer": "peer 1.0"},
        missing={"onnx": "no interpreter"},
        failed={"loading": "load.py: exit code 1\nTraceback"},
        seconds=90.0,
    )
    markdown = report.to_markdown(found)
    assert (
        "| group: what | 2.00 s | 2.00 s | peer | 1.000 | 2: 0.50 to 1.50 | at most 1 | met |"
        in markdown
    )
    assert "| importing | 1.50 s | 500.0 ms |\n| checking | - | - |\n" in markdown
    assert re.search(r"Some, 2 cores, 1.0 GB; System\n.*peer 1.0\n.*\n- without onnx: no", markdown)
    assert "\n- without loading: load.py: exit code 1\n\n" in markdown
    assert len(list(report.to_tables(found))) == 2
    [line] = json.loads(report.to_json(found))["figures"]
    assert line["ours"]["samples"] == [1.0, 3.0]
    assert (line["ratio"], line["met"]) == (1.0, True)
