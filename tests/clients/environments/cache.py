"""Directories in the user's cache, outside the checkout, each made once.

Each lies under a name and a sum of what it is made of: so what is made of something else is another.
"""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

_READY = ".ready"


def directory(kind: str, name: str, *, content: str) -> Path:
    """Where what is made of `content` is, or will be."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    digest = hashlib.sha256(content.encode()).hexdigest()
    return Path(base) / "slimhub" / kind / f"{name}-{digest[:12]}"


def make_once(directory: Path, make: Callable[[], None]) -> None:
    """Calls `make`, which fills the directory, unless that was done; others wait meanwhile."""
    folder, name = directory.parent, directory.name.rpartition("-")[0]
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (directory / _READY).exists():
            # Those made of something else; and what an interruption left.
            for old in folder.glob(f"{name}-{'[0-9a-f]' * 12}"):
                shutil.rmtree(old)
            directory.mkdir()
            make()
            (directory / _READY).touch()
