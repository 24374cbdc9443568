"""Exporting: wall time and peak memory of whole processes, and where the time goes.

Ours reloads, checks and compares what it writes, which the peer does not.
"""

import contextlib
import functools
import sys
from collections.abc import Mapping

from benchmarks import processes
from benchmarks.errors import MissingPeerError
from benchmarks.figures import Figure, Measured, Series, interleaved
from benchmarks.workshop import MODULE, MODULES, PEER, Workshop, answer

ENVIRONMENTS = (PEER,)
_GROUP = "exporting"
_PEER = "create_module_spec, TF 1.15"
_ONE = "one module"
_ALL = "all four modules"
# (all - one) / 3.
_FURTHER = "each further module"
_MOST_MEMORY = 1.5e9
# Of ours, in their order; what else a run of theirs or ours tells comes after them.
STAGES = ("importing", "building", "writing", "checking")


def measure(workshop: Workshop, *, quick: bool) -> Measured:
    """Processes of each contender, from their start to their end."""
    runs = interleaved(_contenders(workshop), rounds=1 if quick else 5, seconds=240)
    peers = runs.get((_PEER, _ONE))
    return Measured(
        figures=[*_figures(runs), *_memory(runs)],
        stages={name: _stages(found) for name, found in _stage_runs(runs).items() if found},
        versions={_PEER: answer(peers[0])["version"]} if peers else {},
    )


def _contenders(workshop: Workshop) -> dict:
    """Functions that run each contender; after a run of both, which warms the caches of the system."""
    workshop.module(3)
    contenders = {
        ("ours", _ONE): functools.partial(_run, workshop, workshop.export, MODULE),
        ("ours", _ALL): functools.partial(_run, workshop, workshop.export, *MODULES),
    }
    with contextlib.suppress(MissingPeerError):
        workshop.peer_module  # noqa: B018
        export = workshop.peer_export
        contenders |= {
            (_PEER, _ONE): functools.partial(_run, workshop, export, MODULE),
            (_PEER, _ALL): functools.partial(_run, workshop, export, *MODULES),
        }
    return contenders | {
        ("import tensorflow", ""): functools.partial(
            processes.run, sys.executable, "-c", "import tensorflow"
        ),
        ("copy", ""): functools.partial(_run, workshop, _copy(workshop)),
    }


def _run(workshop: Workshop, command, *modules: str) -> processes.Run:
    with workshop.scratch() as output:
        return processes.run(*command(output, *modules))


def _copy(workshop: Workshop):
    checkpoint = workshop.checkpoint(MODULE)
    return lambda output: [*workshop.program("copy_weights"), checkpoint, output / "variables"]


def _figures(runs: Mapping) -> list[Figure]:
    def seconds(key: tuple[str, str], name: str | None = None) -> Series:
        samples = tuple(run.seconds for run in runs.get(key, ()))
        return Series(name=name or key[0], samples=samples)

    ours, peer = seconds(("ours", _ONE), "slimhub"), seconds((_PEER, _ONE))
    all_ours, all_peers = seconds(("ours", _ALL), "slimhub"), seconds((_PEER, _ALL))
    copied = tuple(answer(run)["seconds"] for run in runs["copy", ""])
    further = Series(name="slimhub", samples=_further(ours, all_ours))
    each = Series(name="its each further module", samples=_further(peer, all_peers))
    whole_copy = seconds(("copy", ""), "reading and writing weights")
    alone = Series(name="the same without import", samples=copied)
    figure = functools.partial(Figure, group=_GROUP)
    return [
        figure(what=_ONE, ours=ours, peer=peer, most_ratio=1.0),
        figure(what=_ALL, ours=all_ours, peer=all_peers),
        figure(what=_FURTHER, ours=further, peer=peer, most_ratio=0.4),
        figure(what=_FURTHER, ours=further, peer=each),
        figure(what=_ONE, ours=ours, peer=seconds(("import tensorflow", ""))),
        figure(what=_ONE, ours=ours, peer=whole_copy),
        figure(what=_ONE, ours=ours, peer=alone),
    ]


def _further(one: Series, four: Series) -> tuple[float, ...]:
    pairs = zip(one.samples, four.samples, strict=True)
    return tuple((all_four - first) / (len(MODULES) - 1) for first, all_four in pairs)


def _memory(runs: Mapping) -> list[Figure]:
    def peak(key: tuple[str, str], name: str) -> Series:
        peaks = (run.peak_bytes for run in runs.get(key, ()))
        return Series(name=name, unit="B", samples=tuple(peak for peak in peaks if peak))

    return [
        Figure(
            group=_GROUP,
            what=f"{what}, peak memory",
            ours=peak(("ours", what), "slimhub"),
            peer=peak((_PEER, what), _PEER),
            most=_MOST_MEMORY,
        )
        for what in (_ONE, _ALL)
    ]


def _stage_runs(runs: Mapping) -> dict[str, list[tuple[float, dict]]]:
    """Of each contender, the wall time and the stages of each run with one module."""
    ours = [(run.seconds, _own_stages(answer(run))) for run in runs["ours", _ONE]]
    peers = [(run.seconds, answer(run)["stages"]) for run in runs.get((_PEER, _ONE), ())]
    return {"slimhub": ours, _PEER: peers}


def _own_stages(report: dict) -> dict[str, float]:
    [module] = report["modules"]
    return {"importing": report["importing"], **module["stages"]}


def _stages(found: list[tuple[float, dict]]) -> dict[str, float | None]:
    """Medians of the seconds of each stage, None where a run doesn't tell; and of what remains."""
    names = dict.fromkeys((*STAGES, *(name for _, stages in found for name in stages)))
    told = {name: [stages[name] for _, stages in found if name in stages] for name in names}
    told["the rest"] = [seconds - sum(stages.values()) for seconds, stages in found]
    return {
        name: Series(name=name, samples=tuple(seconds)).median for name, seconds in told.items()
    }
