"""Memory, between the steps of an export: a large network leaves no room for what is no longer used."""

import ctypes
import gc


def give_back() -> None:
    """Gives memory back to the system that is no longer used."""
    # Graphs refer to themselves, and would stay for long.
    gc.collect()
    # Of the GNU C library, which else keeps what was freed.
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        trim(0)
