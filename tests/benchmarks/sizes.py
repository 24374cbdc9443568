"""Size: the bytes of all files of a module over those of its float32 weights."""

from pathlib import Path

from benchmarks import processes
from benchmarks.errors import MissingPeerError
from benchmarks.figures import Figure, Measured, Series
from benchmarks.workshop import MODULE, PEER, Workshop, answer

ENVIRONMENTS = (PEER,)
# By version.
_GOALS = {3: 1.045, 5: 1.056}


def measure(workshop: Workshop, *, quick: bool) -> Measured:
    """Nothing here varies, so nothing is repeated."""
    with workshop.scratch() as output:
        copied = processes.run(
            *workshop.program("copy_weights"), workshop.checkpoint(MODULE), output / "variables"
        )
    raw = _bytes("raw weights", answer(copied)["num_bytes"])
    sizes = {version: _size(workshop.module(version)) for version in _GOALS}
    figures = [
        Figure(
            group="size",
            what=f"version {version}",
            ours=_bytes("slimhub", sizes[version]),
            peer=raw,
            most_ratio=goal,
        )
        for version, goal in _GOALS.items()
    ]
    try:
        peer = _bytes("create_module_spec's module", _size(workshop.peer_module))
    except MissingPeerError:
        return Measured(figures=figures)
    ours = _bytes("slimhub", sizes[3])
    beside = Figure(group="size", what="version 3", ours=ours, peer=peer)
    return Measured(figures=[*figures, beside])


def _size(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())


def _bytes(name: str, number: int) -> Series:
    return Series(name=name, unit="B", samples=(number,))
