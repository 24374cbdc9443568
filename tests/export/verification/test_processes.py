"""Calls in another process, or in this one."""

import contextlib
import os
import signal
import threading
import time

import program
import pytest

from slimhub.export.errors import CheckError, RestoreError
from slimhub.export.verification import processes


def fail(error):
    raise error


def give_lock():
    return threading.Lock()


def die(number):
    os.kill(os.getpid(), number)
    time.sleep(60)


@pytest.fixture
def executor():
    with processes.ForkedProcess() as executor:
        yield executor


@pytest.fixture(params=["here", "forked"])
def either(request):
    """Return each of the two ways to call."""
    return None if request.param == "here" else request.getfixturevalue("executor")


def test_result(either):
    """A call gives what the function returns, however often it is asked for."""
    result = processes.start(either, max, [-3, 2], key=abs)
    assert [result(), result()] == [-3, -3]


def test_other_process(executor):
    """Calls are carried out in another process, and always in the same."""
    found = {processes.start(executor, os.getpid)() for _ in range(2)}
    assert len(found) == 1
    assert found != {os.getpid()}


def test_here():
    """Without a process, a function is called when its result is asked for."""
    called = []
    result = processes.start(None, called.append, 1)
    assert called == []
    result()
    assert called == [1]


def test_order(executor):
    """Results may be asked for in any order, or not at all."""
    first, _, last = (processes.start(executor, abs, number) for number in (-1, -10, -100))
    assert (last(), first()) == (100, 1)


def test_errors(either):
    """An error is raised where the result is asked for, and calls go on."""
    result = processes.start(either, fail, RestoreError("a\nb"))
    with pytest.raises(RestoreError, match=r"^a\nb$"):
        result()
    assert processes.start(either, abs, -1)() == 1


def test_unportable_result(executor):
    """A result that can't be sent is an error, and calls go on."""
    with pytest.raises(TypeError):
        processes.start(executor, give_lock)()
    assert processes.start(executor, abs, -1)() == 1


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_death(executor, number):
    """If the process is ended, that is a failed check, for whoever waits and for whoever calls next."""
    result = processes.start(executor, die, number)
    with pytest.raises(CheckError):
        result()
    with pytest.raises(CheckError):
        processes.start(executor, abs, -1)()


def test_interrupted(executor):
    """SIGINT, which a terminal sends to both, is left to the caller."""
    os.kill(processes.start(executor, os.getpid)(), signal.SIGINT)
    assert processes.start(executor, abs, -1)() == 1


def test_end():
    """After the block, the process is gone, whatever it was doing."""
    with processes.ForkedProcess() as executor:
        pid = processes.start(executor, os.getpid)()
        processes.start(executor, time.sleep, 60)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def write_late(path):
    time.sleep(0.2)
    path.write_text("late")


@pytest.mark.parametrize("exception", [None, SystemExit])
def test_finish(executor, tmp_path, exception):
    """Once it has finished, nothing that was started writes a file any more."""
    path = tmp_path / "file"
    processes.start(executor, write_late, path)
    executor.finish(exception)
    finished = path.exists()
    assert finished == (exception is not SystemExit)
    time.sleep(0.3)
    assert path.exists() == finished


def be_killed():
    """Print the id of the other process, which is busy, and die."""
    with processes.ForkedProcess() as executor:
        print(processes.start(executor, os.getpid)(), flush=True)
        processes.start(executor, time.sleep, 60)
        os.kill(os.getpid(), signal.SIGKILL)


def test_end_with_caller(tmp_path):
    """The process ends with its caller, even if that is killed, and whatever it is doing."""
    caller = program.run(cwd=tmp_path, before=be_killed)
    assert caller.code == -signal.SIGKILL
    pid = int(caller.stdout)
    with contextlib.suppress(ProcessLookupError):
        for _ in range(100):
            os.kill(pid, 0)
            time.sleep(0.1)
        pytest.fail("the process is still there")
