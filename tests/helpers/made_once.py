"""Files that are made once for the same sources, and shared by all runs, in `build/tests/<sum of the sources>`."""

import fcntl
import functools
import hashlib
import importlib.metadata
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCES = ("export", "models", "signatures", "support", "tests/helpers/stem.py")
LIBRARIES = ("tensorflow", "tf-slim", "numpy")
# Those of the sources before, too: another run may be using them.
_KEPT = 2


@functools.cache
def directory() -> Path:
    """Return the directory for what is made from the sources as they are; remove old ones."""
    path = ROOT / "build" / "tests" / _sum()
    path.mkdir(parents=True, exist_ok=True)
    path.touch()
    by_age = sorted(path.parent.iterdir(), key=lambda one: one.stat().st_mtime, reverse=True)
    for old in by_age[_KEPT:]:
        shutil.rmtree(old, ignore_errors=True)
    return path


def make_once(path: Path, make: Callable[[Path], Path]) -> Path:
    """Return `path`, made if it is not there; whoever comes second waits.

    Args:
      path: a file or a directory.
      make: makes it in the empty directory that it is given, and returns where.
    """
    # Apart: some tests look at everything that lies beside a module.
    making = directory() / ".making" / hashlib.sha256(str(path).encode()).hexdigest()[:12]
    making.mkdir(parents=True, exist_ok=True)
    with (making / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=making) as work:
                make(Path(work)).rename(path)
    return path


def _sum() -> str:
    digest = hashlib.sha256()
    for library in LIBRARIES:
        digest.update(importlib.metadata.version(library).encode())
    for source in SOURCES:
        for path in sorted([ROOT / source, *(ROOT / source).rglob("*.py")]):
            if path.is_file():
                digest.update(f"{path.relative_to(ROOT)}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:12]
