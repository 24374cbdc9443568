"""A real server of modules on 127.0.0.1, and small directories that pass for modules."""

import contextlib
import dataclasses
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from stem import KNOWING_STEMS

from slimhub.signatures.contract import formats
from slimhub.signatures.module.provenance import Provenance, files_in, from_json

# Handle of the small module, without its version.
STEM = "google/imagenet/stem/feature_vector"


def root_with(stem: Path, home: Path) -> Path:
    """Create a root in a directory, with every version of the small module; return it."""
    shutil.copytree(stem, home / "root" / STEM)
    return home / "root"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Server:
    """A running server: its URL without a slash at the end, its process, and its log."""

    url: str
    process: subprocess.Popen
    log: Path

    def memory(self) -> int:
        """Return the server's peak memory in bytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return 1024 * int(re.search(r"VmHWM:\s+(\d+) kB", status)[1])

    def descriptors(self) -> int:
        """Return how many files and connections the server has open."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))


@contextlib.contextmanager
def serving(root: Path, home: Path, *flags: str) -> Iterator[Server]:
    """Serve a root until the block ends; `home` takes the cache, temporary files and the log."""
    for name in ("cache", "tmp"):
        (home / name).mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "slimhub.hub", f"--root={root}", "--port=0", *flags]
    places = {"XDG_CACHE_HOME": str(home / "cache"), "TMPDIR": str(home / "tmp")}
    env = os.environ | KNOWING_STEMS | places
    with (home / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=env)
    try:
        said = process.stdout.readline()
        found = re.fullmatch(r"Serving \d+ modules of .* at (http://.*)/\n", said)
        assert found, (said, (home / "log").read_text())
        yield Server(url=found[1], process=process, log=home / "log")
    finally:
        process.terminate()
        process.communicate(timeout=30)
    # Nothing went wrong that nobody saw.
    assert "Traceback" not in (home / "log").read_text()


def put(record: Provenance, directory: Path, *, content: bytes) -> None:
    """Replace a directory by one that passes for a module until it is run: files and their provenance."""
    shutil.rmtree(directory, ignore_errors=True)
    for name in ("saved_model.pb", "variables/variables.data-00000-of-00001"):
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    path = directory / formats.PROVENANCE
    path.parent.mkdir(exist_ok=True)
    path.write_text(dataclasses.replace(record, files=files_in(directory)).to_json())


def record_of(module: Path) -> Provenance:
    """Return the provenance of a module."""
    return from_json((module / formats.PROVENANCE).read_text())
