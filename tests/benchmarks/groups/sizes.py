"""Size: the bytes of all files of a module over those of its float32 weights."""

from pathlib import Path

from benchmarks import processes
from benchmarks.figures import Figure
from benchmarks.workshop import PEER, Workshop

PEERS = (PEER,)
# By version.
_GOALS = {3: 1.045, 5: 1.056}


def measure(workshop: Workshop, *, quick: bool) -> list[Figure]:
    """Nothing here varies, so nothing is repeated."""
    with workshop.scratch() as output:
        raw = processes.run(*workshop.copy_weights(output)).answer["num_bytes"]
    peer = [_size(workshop.peer_module)] if PEER in workshop.peers else []
    return [
        *(
            _figure(workshop, version, "raw weights", [raw], goal)
            for version, goal in _GOALS.items()
        ),
        _figure(workshop, 3, "create_module_spec's module", peer),
    ]


def _figure(workshop: Workshop, version: int, peer: str, theirs, goal=None) -> Figure:
    return Figure(
        group="size",
        what=f"version {version}",
        ours=[_size(workshop.module(version))],
        peer=peer,
        theirs=theirs,
        unit="B",
        most_ratio=goal,
    )


def _size(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())
