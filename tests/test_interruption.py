"""Runs that are killed or stopped: a version is there whole, or not at all, and nothing stays beside it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from publishing import FILES, Interruption, fail, put, read, write

from slimhub.export.errors import VersionExistsError


def test_what_a_killed_run_left(target):
    """A staging directory in which nobody writes is removed by the next run, whatever is in it."""
    left = target.with_name(f".{target.name}.staging-01234567")
    write(left)
    put(target)
    assert read(target) == FILES
    assert list(target.parent.iterdir()) == [target]


def test_what_another_run_writes(target):
    """A staging directory in which somebody writes is left alone."""

    def meanwhile(staging: Path):
        put(target)
        assert read(staging) == FILES

    with pytest.raises(VersionExistsError):
        put(target, meanwhile=meanwhile)
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("there", [True, False])
def test_killed_between_two_renames(existing, there):
    """A version that was moved aside by a run that was killed is put back, unless there is another."""
    old = existing.with_name(f".{existing.name}.old-01234567")
    existing.rename(old)
    if there:
        write(existing, {"new": b"new"})
    with pytest.raises(Interruption):
        put(existing, overwrite=True, meanwhile=fail(Interruption()))
    assert read(existing) == ({"new": b"new"} if there else {"old": b"old"})
    assert list(existing.parent.iterdir()) == [existing]


def test_on_disk_before_it_is_there(target, monkeypatch):
    """Every file and directory is synced before the version appears, and its entry afterwards."""
    synced = []
    fsync = os.fsync

    def note(descriptor):
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        synced.append((path, target.exists()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    stagings = []
    put(target, meanwhile=stagings.append)
    [staging] = stagings
    before = {path for path, there in synced if not there}
    directories = {Path(name).parent for name in FILES}
    assert before == {staging.parent, *(staging / name for name in [*FILES, *directories])}
    assert [path for path, there in synced if there] == [target.parent]


WRITER = """
import sys, time
from pathlib import Path
from slimhub.export import publish
from slimhub.signatures import command_line

def main(arguments):
    with publish.staging(Path(arguments[0]), overwrite=False) as staging:
        (staging / "saved_model.pb").write_bytes(b"half")
        print("writing", flush=True)
        time.sleep(60)

command_line.run(main)
"""


@pytest.mark.parametrize(
    ("number", "code", "says"),
    [
        (signal.SIGINT, 130, "Stopped by SIGINT.\n"),
        (signal.SIGTERM, 143, "Stopped by SIGTERM.\n"),
        (signal.SIGKILL, -9, ""),
    ],
    ids=["int", "term", "kill"],
)
def test_signals(target, number, code, says):
    """SIGINT and SIGTERM end a run with one line and leave nothing; what SIGKILL leaves, the next clears."""
    command = [sys.executable, "-c", WRITER, str(target)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout.readline() == "writing\n"
        run.send_signal(number)
        assert (run.wait(timeout=30), run.stderr.read()) == (code, says)
    assert not target.exists()
    assert target.parent.exists() == (number == signal.SIGKILL)
    put(target)
    assert list(target.parent.iterdir()) == [target]
