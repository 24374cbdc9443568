"""Loading: `hub.load` and the first call, each time in a new process, without its imports."""

import functools

from benchmarks import processes
from benchmarks.figures import Figure, interleaved
from benchmarks.workshop import PEER, Workshop

PEERS = (PEER,)
_PEER = "create_module_spec's module"
_OURS = ("version 3", "version 5")
_KINDS = {
    "hub.load and first call": ("load", "first_call"),
    "hub.load": ("load",),
    "first call": ("first_call",),
}
# By what was measured.
_GOALS = {"version 3, hub.load and first call": 1.0}


def measure(workshop: Workshop, *, quick: bool) -> list[Figure]:
    """The same library loads our modules and the peer's."""
    modules = {
        "version 3": (workshop.module(3), "default"),
        "version 5": (workshop.module(5), "serving_default"),
    }
    if PEER in workshop.peers:
        modules[_PEER] = (workshop.peer_module, "default")
    contenders = {
        name: functools.partial(processes.run, *workshop.program("load"), *arguments)
        for name, arguments in modules.items()
    }
    runs = interleaved(contenders, rounds=1 if quick else 3)
    return [
        Figure(
            group="loading",
            what=f"{name}, {kind}",
            ours=_samples(runs[name], keys),
            peer=_PEER,
            theirs=_samples(runs.get(_PEER, ()), keys),
            most_ratio=_GOALS.get(f"{name}, {kind}"),
        )
        for name in _OURS
        for kind, keys in _KINDS.items()
    ]


def _samples(runs, keys) -> list[float]:
    return [sum(run.answer[key] for key in keys) for run in runs]
