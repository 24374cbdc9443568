"""The other process of an export, in which one mode runs while the other runs here.

With it, an export takes a third less time: building a Slim graph is Python, and much of the
rest does not use two cores. For large networks, both modes at once would take too much memory.
"""

import concurrent.futures
import contextlib
import functools
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from slimhub.export.errors import CheckError
from slimhub.support import cpu

T = TypeVar("T")

_STOPS = (signal.SIGINT, signal.SIGTERM)


class ForkedProcess(concurrent.futures.ProcessPoolExecutor):
    """A forked process that carries out calls one after the other; it ends with the `with` block.

    TensorFlow may have been imported before it is forked, but must not have run anything.
    """

    def __init__(self):
        before = multiprocessing.active_children()
        super().__init__(1, multiprocessing.get_context("fork"), initializer=_begin)
        # Until the process has handlers of its own, a signal would have it do what this one does.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)
        try:
            self.submit(int)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        [self._process] = set(multiprocessing.active_children()) - set(before)

    def __exit__(self, *exception):
        # Whatever it is doing: nobody waits for it any more.
        self._process.kill()
        self.shutdown()

    def finish(self, exception_type: type[BaseException] | None, *exception) -> None:
        """Wait for all calls that were started, or end the process if this one is being stopped.

        For `contextlib.ExitStack.push`: a call may still write files where the stack removes them.
        """
        if exception_type is None or issubclass(exception_type, Exception):
            with contextlib.suppress(BrokenProcessPool):
                self.submit(int).result()
        else:
            self.__exit__(exception_type, *exception)


def start(
    executor: Executor | None, function: Callable[..., T], *args, **kwargs
) -> Callable[[], T]:
    """Start a call in the other process; without one, put it off until its result is asked for.

    Args:
      executor: a `ForkedProcess`.
      function: a function at the top of a module.
      *args: for the function; as its result, they are pickled on the way to the other process.
      **kwargs: likewise.

    Returns:
      A function that waits for the result. It raises what the function raised, or `CheckError` if the
      process ended instead.
    """
    if executor is None:
        return functools.cache(functools.partial(function, *args, **kwargs))
    with _guarded():
        future = executor.submit(function, *args, **kwargs)

    def result() -> T:
        with _guarded():
            return future.result()

    return result


@contextlib.contextmanager
def _guarded() -> Iterator[None]:
    try:
        yield
    except BrokenProcessPool as error:
        raise CheckError(
            "A process that runs modules was ended from outside; there may not be enough memory."
        ) from error


def _begin() -> None:
    # A stop from the keyboard reaches both; the other process ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)
    # If the other one is killed, nobody else would end this one.
    threading.Thread(target=_end_with_parent, daemon=True).start()
    cpu.hide_gpus()


def _end_with_parent() -> None:
    if (parent := multiprocessing.parent_process()) is not None:
        parent.join()
    os._exit(1)
