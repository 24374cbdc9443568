"""Memory between the steps of an export: a large network needs what earlier steps have freed."""

import ctypes
import gc


def release_memory() -> None:
    """Return freed memory to the operating system."""
    # Graphs contain reference cycles, so only the garbage collector frees them.
    gc.collect()
    # The GNU C library keeps freed memory until it is asked to return it.
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        trim(0)
