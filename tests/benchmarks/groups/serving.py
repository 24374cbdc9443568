"""Serving: an archive to many clients at once, and what it takes to pack it."""

import functools
import re
import sys
import time
from pathlib import Path

from benchmarks import processes
from benchmarks.figures import Figure, interleaved
from benchmarks.processes import Program, ProgramError
from benchmarks.workshop import Workshop
from slimhub.signatures.module import module_archive

PEERS = ()
_CLIENTS = 64
# Of the server, whatever the number of clients and the size of archives.
_MOST_MEMORY = 256e6


def measure(workshop: Workshop, *, quick: bool) -> list[Figure]:
    """The archive of one module, which Python's own server has as a file; and `tar`, which packs it."""
    module = workshop.module(3)
    root = workshop.directory / "modules"
    with workshop.scratch() as scratch:
        sha256 = module_archive.pack(module, into=scratch / "3.tar.gz").sha256
        hub = [sys.executable, "-m", "slimhub.hub", f"--root={root}", "--port=0"]
        path = f"{module.relative_to(root)}?tf-hub-format=compressed"
        server = [sys.executable, "-u", "-m", "http.server", "0", "--bind=127.0.0.1"]
        server.append(f"--directory={scratch}")
        serve = functools.partial(_serve, workshop, sha256=sha256)
        servers = {
            "ours": lambda: serve(hub, path),
            "theirs": lambda: serve(server, "3.tar.gz"),
        }
        packers = {
            "ours": lambda: _pack(module, scratch / "ours"),
            "theirs": lambda: _tar(module, scratch / "theirs"),
        }
        served = interleaved(servers, rounds=1 if quick else 3)
        packed = interleaved(packers, rounds=1 if quick else 5)
    http = functools.partial(_figure, served, peer="http.server, a file")
    tar = functools.partial(_figure, packed, peer="tar -cz")
    return [
        http(0, what=f"{_CLIENTS} clients, all served"),
        http(1, what=f"{_CLIENTS} clients, peak memory", unit="B", most=_MOST_MEMORY),
        tar(0, what="packing an archive"),
        tar(1, what="its bytes", unit="B"),
    ]


def _figure(runs: dict[str, list], at: int, **facts) -> Figure:
    samples = {name: [run[at] for run in of_one] for name, of_one in runs.items()}
    return Figure(group="serving", **samples, **facts)


def _serve(workshop: Workshop, command, path: str, *, sha256: str) -> tuple[float, int]:
    """Return the seconds until all clients have the archive, and the most memory that the server had."""
    with Program(*command) as server:
        [port] = re.findall(r"127.0.0.1:(\d+)", server.stdout.readline())
        fetch = [*workshop.program("fetch"), f"http://127.0.0.1:{port}/{path}", sha256]
        # The first has it packed.
        for clients in (1, _CLIENTS):
            answer = processes.run(*fetch, clients).answer
            if answer["failed"]:
                raise ProgramError(f"{path}: {answer['failed']} of {clients} clients failed")
        return answer["seconds"], processes.peak(server.pid)


def _pack(module: Path, into: Path) -> tuple[float, int]:
    """Return seconds, and bytes."""
    started = time.perf_counter()
    packed = module_archive.pack(module, into=into)
    seconds = time.perf_counter() - started
    into.unlink()
    return seconds, packed.num_bytes


def _tar(module: Path, into: Path) -> tuple[float, int]:
    """Return the same."""
    seconds = processes.run("tar", "-czf", into, "-C", module, ".").seconds
    num_bytes = into.stat().st_size
    into.unlink()
    return seconds, num_bytes
