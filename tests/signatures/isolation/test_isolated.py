"""Whatever becomes of the process of the checks, there is a report."""

import functools
import json
import time
from pathlib import Path

import program
import pytest
from hostile import check
from misbehaving_checks import WAYS, misbehave

from slimhub.signatures.checks import registry

pytestmark = pytest.mark.xdist_group("hostile")


@pytest.mark.parametrize("way", WAYS)
def test_misbehaving_check(stem, tmp_path, way):
    """A check that ends its process, or does not end, has failed, and is reported with those before it."""
    work = tmp_path / "work"
    work.mkdir()
    flags = ("--json", "--timeout=3") if "not done" in WAYS[way][1] else ("--json",)
    done = check(work, *flags, str(stem / "1"), before=functools.partial(misbehave, way))
    assert (done.code, done.stderr) == (1, "")
    [report] = json.loads(done.stdout)
    results = {result["id"]: result for result in report["results"]}
    assert list(results)[:4] == ["readable", "files", "checksums", "provenance"]
    assert {results[id]["status"] for id in list(results)[:3]} == {"passed"}
    assert results["provenance"]["status"] == "failed"
    assert WAYS[way][1] in results["provenance"]["problems"][0]
    assert (report["ok"], report["directory"]) == (False, str(stem / "1"))


def test_no_time(stem, tmp_path):
    """Without any time, nothing is known, and the module is not good."""
    work = tmp_path / "work"
    work.mkdir()
    done = check(work, "--json", "--timeout=0", str(stem / "1"))
    [report] = json.loads(done.stdout)
    assert (done.code, report["ok"]) == (1, False)
    readable, *others = report["results"]
    assert readable["problems"] == ["the process was not done in time"]
    assert [readable["id"], *(result["id"] for result in others)] == [*registry.IDS]
    assert {(result["status"], result["reason"]) for result in others} == {
        ("not run", "failed before: readable")
    }


@pytest.mark.parametrize("way", ["sleeps", "computes"])
def test_killed_caller(stem, tmp_path, way):
    """If the command line is killed, the process of the checks ends in its time nevertheless."""
    work = tmp_path / "work"
    work.mkdir()
    before = functools.partial(misbehave, way)
    flags = ("--timeout=2", str(stem / "1"))
    run = program.start(*flags, command=program.CHECK, cwd=work, before=before)
    pid, children = run.process.pid, []
    while not children:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    run.process.kill()
    run.process.join()
    deadline = time.monotonic() + 15
    while runs(children[0]) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not runs(children[0])


def runs(pid: str) -> bool:
    """Whether a process has not ended; who started it may not have heard of that."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False
