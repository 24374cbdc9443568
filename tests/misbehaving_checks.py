"""A check during which something happens to its process, as may happen in TensorFlow."""

import functools
import os
import signal
import time

import numpy as np

from slimhub.signatures import graph_checks


def sleep():
    time.sleep(60)


def compute():
    # Without giving any other thread, or any handler of a signal, its turn.
    pow(3, 10**9)


def ignore_signals():
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM):
        signal.signal(number, signal.SIG_IGN)
    time.sleep(60)


def close_everything():
    """It goes on, and nobody hears of it."""
    os.closerange(3, 1000)
    time.sleep(60)


def take_memory():
    held = []
    while True:
        held.append(np.empty(1 << 30, np.uint8))


def raise_signal():
    os.kill(os.getpid(), signal.SIGSEGV)


def write():
    os.write(2, b"TensorFlow has much to say\n" * 10_000)
    os.abort()


# What happens, and what is said of the check then.
WAYS = {
    "sleeps": (sleep, "the process was not done in time"),
    "computes": (compute, "the process was not done in time"),
    "ignores_signals": (ignore_signals, "the process was not done in time"),
    "closes_everything": (close_everything, "the process was not done in time"),
    "aborts": (os.abort, "the process was ended by SIGABRT"),
    "crashes": (raise_signal, "the process was ended by SIGSEGV"),
    "writes_and_aborts": (write, "the process was ended by SIGABRT"),
    "exits_well": (functools.partial(os._exit, 0), "the process exited with 0"),
    "exits_badly": (functools.partial(os._exit, 3), "the process exited with 3"),
    "takes_memory": (take_memory, "the check itself failed: MemoryError"),
}


def misbehave(way: str) -> None:
    """Replaces the check `provenance`, the second after `readable`, in this process."""
    behave, _ = WAYS[way]

    def provenance(subject):
        """Its provenance agrees with what it is expected to be."""
        behave()
        return ()

    graph_checks.CHECKS = tuple(
        provenance if check.__name__ == "provenance" else check for check in graph_checks.CHECKS
    )
