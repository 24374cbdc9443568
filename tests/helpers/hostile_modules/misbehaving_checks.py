"""A check whose process misbehaves, as it may in TensorFlow."""

import functools
import os
import signal
import time

import numpy as np

from slimhub.signatures.checks import static


def sleep():
    time.sleep(60)


def compute():
    # Without giving any other thread, or any handler of a signal, its turn.
    pow(3, 10**9)


def close_everything():
    """Close all descriptors, so that nobody hears of the process, and continue."""
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
    "closes_everything": (close_everything, "the process was not done in time"),
    "crashes": (raise_signal, "the process was ended by SIGSEGV"),
    "writes_and_aborts": (write, "the process was ended by SIGABRT"),
    "exits_well": (functools.partial(os._exit, 0), "the process exited with 0"),
    "takes_memory": (take_memory, "the check itself failed: MemoryError"),
}


def misbehave(way: str) -> None:
    """Replace the check `provenance`, the third after `readable`, in this process."""
    behave, _ = WAYS[way]

    def provenance(subject):
        behave()
        return ()

    static.CHECKS["provenance"] = provenance
