"""Exporting: wall time and peak memory of whole processes, and where the time goes.

Ours reloads, checks and compares what it writes, which the peer does not.
"""

import sys
from collections.abc import Callable, Sequence

from benchmarks import processes
from benchmarks.figures import Figure, interleaved
from benchmarks.processes import Run
from benchmarks.workshop import MODELS, PEER, TASKS, Workshop

PEERS = (PEER,)
_PEER = "create_module_spec, TF 1.15"
_ALL = {"models": MODELS, "tasks": TASKS}
_MOST_MEMORY = 1.5e9


def measure(workshop: Workshop, *, quick: bool) -> list[Figure]:
    """Processes of each contender, from their start to their end."""
    runs = interleaved(_contenders(workshop), rounds=1 if quick else 4)
    one, all_four, copies = runs["one"], runs["all"], runs["copy"]
    peers_one, peers_all = runs.get("peer's one", []), runs.get("peer's all", [])
    without_import = [run.answer["seconds"] for run in copies]
    further, peers_further = _further(one, all_four), _further(peers_one, peers_all)
    return [
        _figure("one module", _seconds(one), _PEER, _seconds(peers_one), most_ratio=1.0),
        _figure("all four modules", _seconds(all_four), _PEER, _seconds(peers_all)),
        _figure("each further module", further, _PEER, _seconds(peers_one), most_ratio=0.4),
        _figure("each further module", further, "its each further module", peers_further),
        _figure("one module", _seconds(one), "import tensorflow", _seconds(runs["import"])),
        _figure("one module", _seconds(one), "reading and writing weights", _seconds(copies)),
        _figure("one module", _seconds(one), "the same without import", without_import),
        _memory("one module", one, peers_one),
        _memory("all four modules", all_four, peers_all),
        *_stages(one, peers_one),
    ]


def _contenders(workshop: Workshop) -> dict[str, Callable[[], Run]]:
    # A run of ours and of the peer warms the caches of the system.
    workshop.module(3)
    contenders = {
        "one": lambda: _run(workshop, workshop.export),
        "all": lambda: _run(workshop, workshop.export, **_ALL),
        "import": lambda: processes.run(sys.executable, "-c", "import tensorflow"),
        "copy": lambda: _run(workshop, workshop.copy_weights),
    }
    if PEER in workshop.peers:
        workshop.peer_module  # noqa: B018
        contenders["peer's one"] = lambda: _run(workshop, workshop.peer_export)
        contenders["peer's all"] = lambda: _run(workshop, workshop.peer_export, **_ALL)
    return contenders


def _run(workshop: Workshop, command, **modules) -> Run:
    with workshop.scratch() as output:
        return processes.run(*command(output, **modules))


def _seconds(runs: Sequence[Run]) -> list[float]:
    return [run.seconds for run in runs]


def _further(one: Sequence[Run], all_four: Sequence[Run]) -> list[float]:
    pairs = zip(_seconds(one), _seconds(all_four), strict=True)
    return [(four - first) / 3 for first, four in pairs]


def _figure(what: str, ours, peer: str, theirs, **rest) -> Figure:
    return Figure(group="exporting", what=what, ours=ours, peer=peer, theirs=theirs, **rest)


def _memory(what: str, ours: Sequence[Run], theirs: Sequence[Run]) -> Figure:
    ours, theirs = ([run.peak_bytes for run in runs] for runs in (ours, theirs))
    return _figure(f"{what}, peak memory", ours, _PEER, theirs, unit="B", most=_MOST_MEMORY)


def _stages(ours: Sequence[Run], theirs: Sequence[Run]) -> list[Figure]:
    """Return the seconds of each stage of the export of one module; the peer doesn't have all of them."""
    ours, theirs = (list(map(_seconds_by_stage, runs)) for runs in (ours, theirs))
    return [
        Figure(
            group="stages",
            what=name,
            ours=[stages[name] for stages in ours],
            peer=_PEER,
            theirs=[stages[name] for stages in theirs if name in stages],
        )
        for name in ours[0]
    ]


def _seconds_by_stage(run: Run) -> dict[str, float]:
    [module] = run.answer["modules"]
    stages = {"importing": run.answer["importing"], **module["stages"]}
    return {**stages, "the rest": run.seconds - sum(stages.values())}
