"""Objects whose methods are called in another process, or here, in the same words.

The other process is a fork: what was imported before is there already. However this one ends, the
other ends, too, when it is done with the call that it is at.
"""

import itertools
import multiprocessing
import pickle
import signal
import traceback
from collections.abc import Callable
from typing import Any

from slimhub.export.errors import CheckError

Result = Callable[[], Any]

_STOPS = (signal.SIGINT, signal.SIGTERM)


class Here:
    """Calls methods of an object in this process, when their result is asked for."""

    def __init__(self, target: Any):
        self._target = target

    def call(self, method: str, *args, **kwargs) -> Result:
        """As of `Worker`."""
        return lambda: getattr(self._target, method)(*args, **kwargs)


class Worker:
    """Calls methods of an object in a process of its own, one after the other. Close it after use.

    TensorFlow may have been imported before, but must not have run anything.
    """

    def __init__(self, target: Any):
        forks = multiprocessing.get_context("fork")
        self._connection, other = forks.Pipe()
        self._process = forks.Process(
            target=_serve, args=(target, other, self._connection), daemon=True
        )
        # Until the process has handlers of its own, a signal would have it do what this one does.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)
        try:
            self._process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        other.close()
        self._numbers = itertools.count()
        self._results: dict[int, tuple[bool, Any]] = {}

    def call(self, method: str, *args, **kwargs) -> Result:
        """Has a method called, and goes on; what is returned waits for its result when called.

        That raises what the method raised; `CheckError` if the process ended instead.
        """
        number = next(self._numbers)
        try:
            self._connection.send((number, method, args, kwargs))
        except OSError as error:
            raise self._ended() from error
        return lambda: self._result(number)

    def _result(self, number: int) -> Any:
        while number not in self._results:
            try:
                received, *result = self._connection.recv()
            except (EOFError, OSError) as error:
                raise self._ended() from error
            self._results[received] = tuple(result)
        succeeded, value = self._results.pop(number)
        if not succeeded:
            raise value
        return value

    def _ended(self) -> CheckError:
        self._process.join(timeout=5)
        code = self._process.exitcode
        how = (
            f"was ended by {signal.Signals(-code).name}"
            if code and code < 0
            else f"exited with {code}"
        )
        return CheckError(
            f"The process that checks modules in training mode {how}; there may not be enough memory."
        )

    def close(self) -> None:
        self._process.kill()
        self._process.join()
        self._connection.close()


def _serve(target: Any, connection, others) -> None:
    # Were its end open here, too, this process would not hear when the other one ends.
    others.close()
    # A stop from the keyboard reaches both; the other process ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)
    while True:
        try:
            number, method, args, kwargs = connection.recv()
        # The latter if it left something unread.
        except (EOFError, OSError):
            return
        try:
            result = True, getattr(target, method)(*args, **kwargs)
        except Exception as error:
            result = False, _portable(error)
        try:
            _send(connection, number, *result)
        except OSError:
            return


def _send(connection, number: int, succeeded: bool, value: Any) -> None:
    """Sends a result, or if that can't be sent, why."""
    try:
        connection.send((number, succeeded, value))
    except OSError:
        raise
    except Exception as error:
        connection.send((number, False, _portable(error)))


def _portable(error: Exception) -> Exception:
    """The error, or if that can't be sent, one that says the same."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError("".join(traceback.format_exception(error)))
    return error
