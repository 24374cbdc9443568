"""The machine, and the libraries, of which the figures are."""

import importlib.metadata
import os
import platform
from pathlib import Path

_LIBRARIES = ("slimhub", "tensorflow", "tensorflow-hub", "tf-keras", "tf-slim", "numpy")


def describe() -> dict:
    """In words and numbers, by what they are of."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "system": _system(),
        "python": platform.python_version(),
        "libraries": {name: importlib.metadata.version(name) for name in _LIBRARIES},
    }


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    for line in path.read_text().splitlines() if path.exists() else ():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _system() -> str:
    try:
        name = platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        name = platform.platform(terse=True)
    return f"{name}, {platform.system()} {platform.release().split('-')[0]} {platform.machine()}"
