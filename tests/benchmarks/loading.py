"""Loading: `hub.load` and the first call, each time in a new process, without its imports."""

import contextlib
import functools

from benchmarks import processes
from benchmarks.errors import MissingPeerError
from benchmarks.figures import Figure, Measured, Series, interleaved
from benchmarks.workshop import PEER, Workshop, answer

ENVIRONMENTS = (PEER,)
_PEER = "create_module_spec's module"
_KINDS = {"load": "hub.load", "first_call": "first call"}


def measure(workshop: Workshop, *, quick: bool) -> Measured:
    """The same library loads our modules and the peer's."""
    modules = {
        "version 3": (workshop.module(3), "default"),
        "version 5": (workshop.module(5), "serving_default"),
    }
    with contextlib.suppress(MissingPeerError):
        modules[_PEER] = (workshop.peer_module, "default")
    contenders = {
        name: functools.partial(processes.run, *workshop.program("load"), *arguments)
        for name, arguments in modules.items()
    }
    runs = interleaved(contenders, rounds=1 if quick else 6, seconds=60)
    figures = [
        Figure(
            group="loading",
            what=f"{name}, {' and '.join(_KINDS[kind] for kind in kinds)}",
            ours=_series(name, runs, kinds),
            peer=_series(_PEER, runs, kinds),
            most_ratio=1.0 if name == "version 3" and len(kinds) == len(_KINDS) else None,
        )
        for name in ("version 3", "version 5")
        for kinds in (tuple(_KINDS), *((kind,) for kind in _KINDS))
    ]
    return Measured(figures=figures)


def _series(name: str, runs, kinds) -> Series:
    samples = (sum(answer(run)[kind] for kind in kinds) for run in runs.get(name, ()))
    return Series(name=name, samples=tuple(samples))
