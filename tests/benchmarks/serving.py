"""Serving: an archive to many clients at once, and what it takes to pack it."""

import contextlib
import functools
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks import processes
from benchmarks.errors import BrokenProgramError
from benchmarks.figures import Figure, Measured, Series, interleaved
from benchmarks.workshop import Workshop, answer
from slimhub.export import module_archive

ENVIRONMENTS = ()
CLIENTS = 64
_PEER = "http.server, a file"
_TAR = "tar -cz"
# Of the server, whatever the number of clients and the size of archives.
_MOST_MEMORY = 256e6


def measure(workshop: Workshop, *, quick: bool) -> Measured:
    """The archive of one module, which Python's own server has as a file; and `tar`, which packs it."""
    module = workshop.module(3)
    with workshop.scratch() as scratch:
        archive = scratch / "3.tar.gz"
        packed = module_archive.pack(module, into=archive)
        servers = {
            "make serve": functools.partial(_ours, workshop, module),
            _PEER: functools.partial(_peer, archive),
        }
        served = interleaved(
            {
                name: functools.partial(_serve, server, workshop, packed.sha256)
                for name, server in servers.items()
            },
            rounds=1 if quick else 3,
            seconds=90,
        )
        packing = interleaved(
            {
                "archive": functools.partial(_pack, module, scratch / "ours"),
                _TAR: functools.partial(_tar, module, scratch / "theirs"),
            },
            rounds=1 if quick else 5,
            seconds=20,
        )
    figures = [
        _figure(f"{CLIENTS} clients, all served", served, 0, _PEER),
        _figure(f"{CLIENTS} clients, peak memory", served, 1, _PEER, unit="B", most=_MOST_MEMORY),
        _figure("packing an archive", packing, 0, _TAR),
        _figure("its bytes", packing, 1, _TAR, unit="B"),
    ]
    return Measured(figures=figures)


def _figure(what: str, runs, at: int, peer: str, *, unit: str = "s", **goal) -> Figure:
    [name] = runs.keys() - {peer}
    ours, theirs = (
        Series(name=one, unit=unit, samples=tuple(run[at] for run in runs[one]))
        for one in (name, peer)
    )
    return Figure(group="serving", what=what, ours=ours, peer=theirs, **goal)


def _serve(server, workshop: Workshop, sha256: str) -> tuple[float, float]:
    """Seconds until all clients have the archive, and the most memory that the server had."""
    with server() as (process, url):
        command = [*workshop.program("fetch"), url]
        # The first has it packed.
        for clients in (1, CLIENTS):
            found = answer(processes.run(*command, clients, sha256))
            if found["failed"]:
                raise BrokenProgramError(f"{url}: {found['failed']} of {clients} clients failed")
        return found["seconds"], processes.peak(process.pid)


@contextlib.contextmanager
def _ours(workshop: Workshop, module: Path) -> Iterator:
    root = workshop.directory / "modules"
    command = [sys.executable, "-m", "slimhub.export.hub", f"--root={root}", "--port=0"]
    with _started(command) as (process, said):
        [url] = re.findall("http://.*/", said)
        yield process, f"{url}{module.relative_to(root)}?tf-hub-format=compressed"


@contextlib.contextmanager
def _peer(archive: Path) -> Iterator:
    command = [sys.executable, "-u", "-m", "http.server", "0", "--bind=127.0.0.1"]
    with _started([*command, f"--directory={archive.parent}"]) as (process, said):
        [port] = re.findall(r"port (\d+)", said)
        yield process, f"http://127.0.0.1:{port}/{archive.name}"


@contextlib.contextmanager
def _started(command) -> Iterator:
    # Whoever logs must not wait for somebody to read it.
    with (
        Path("/dev/null").open("w") as nowhere,
        processes.start(*command, stderr=nowhere) as process,
    ):
        yield process, process.stdout.readline()


def _pack(module: Path, into: Path) -> tuple[float, float]:
    """Seconds, and bytes."""
    started = time.perf_counter()
    packed = module_archive.pack(module, into=into)
    seconds = time.perf_counter() - started
    into.unlink()
    return seconds, packed.num_bytes


def _tar(module: Path, into: Path) -> tuple[float, float]:
    run = processes.run("tar", "-czf", into, "-C", module, ".")
    num_bytes = into.stat().st_size
    into.unlink()
    return run.seconds, num_bytes
