"""export/worker.py: methods of an object, called in another process."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from slimhub.export.errors import CheckError, RestoreError
from slimhub.export.worker import Here, Worker


class Unportable(Exception):
    """An error that can't be sent."""

    def __init__(self, what):
        super().__init__(what)
        self.lock = threading.Lock()


class Counter:
    """Remembers what it was told, and where."""

    def __init__(self):
        self.total = 0

    def add(self, number, *, times=1):
        self.total += number * times
        return self.total

    def process(self):
        return os.getpid()

    def fail(self, error):
        raise error

    def fail_unportably(self):
        raise Unportable("a lock")

    def give_lock(self):
        return threading.Lock()

    def die(self, number):
        os.kill(os.getpid(), number)
        time.sleep(60)


@pytest.fixture
def worker():
    with contextlib.closing(Worker(Counter())) as worker:
        yield worker


@pytest.fixture(params=["here", "worker"])
def caller(request):
    """Both ways to call."""
    if request.param == "here":
        yield Here(Counter())
    else:
        yield request.getfixturevalue("worker")


def test_calls(caller):
    """An object keeps its state from call to call."""
    assert caller.call("add", 2)() == 2
    assert caller.call("add", 3, times=4)() == 14


def test_order(worker):
    """Calls are carried out in their order, whichever result is asked for first, or at all."""
    first, _, last = (worker.call("add", number) for number in (1, 10, 100))
    assert last() == 111
    assert first() == 1


def test_other_process(worker):
    """The object is in another process, and always in the same."""
    found = {worker.call("process")() for _ in range(2)}
    assert len(found) == 1
    assert found != {os.getpid()}


def test_errors(caller):
    """An error of the object is raised where the result is asked for, and calls go on."""
    result = caller.call("fail", RestoreError("a\nb"))
    with pytest.raises(RestoreError, match=r"^a\nb$"):
        result()
    assert caller.call("add", 1)() == 1


def test_unportable_error(worker):
    """Of an error that can't be sent, its traceback is."""
    with pytest.raises(RuntimeError, match=r"(?s)in fail_unportably.*Unportable: a lock"):
        worker.call("fail_unportably")()


def test_unportable_result(worker):
    """Of a result that can't be sent, it is said why, and calls go on."""
    with pytest.raises(TypeError, match="cannot pickle"):
        worker.call("give_lock")()
    assert worker.call("add", 1)() == 1


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGABRT, signal.SIGTERM])
def test_death(worker, number):
    """If the process is ended, that is a failed check, for whoever waits and for whoever calls next."""
    name = f"was ended by {signal.Signals(number).name}"
    with pytest.raises(CheckError, match=name):
        worker.call("die", number)()
    with pytest.raises(CheckError, match=name):
        worker.call("add", 1)()


def test_interrupted(worker):
    """SIGINT, which a terminal sends to both, is left to the caller."""
    os.kill(worker.call("process")(), signal.SIGINT)
    assert worker.call("add", 1)() == 1


def test_close():
    """After it was closed, the process is gone, whatever it was doing."""
    worker = Worker(Counter())
    pid = worker.call("process")()
    worker.call("die", 0)
    worker.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_end_with_caller():
    """The process ends with its caller, even if that is killed."""
    code = (
        "import os, signal; from test_worker import Counter, Worker; worker = Worker(Counter()); "
        "print(worker.call('process')(), flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    path = os.pathsep.join([os.path.dirname(__file__), os.environ.get("PYTHONPATH", "")])
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    ) as caller:
        pid = int(caller.stdout.readline())
        # The end of the pipe is that of the last process which has it.
        assert caller.stdout.read() == ""
    with pytest.raises(ProcessLookupError):
        _wait_for_end(pid)


def _wait_for_end(pid):
    for _ in range(100):
        os.kill(pid, 0)
        time.sleep(0.1)
