"""Inference: one module in TensorFlow's ways, the frozen graph, and other runtimes, in float32.

All take NumPy images and give NumPy logits. None is timed before its logits are those of the others.
"""

import contextlib
import functools
import statistics

import numpy as np

from benchmarks import processes
from benchmarks.figures import Figure, interleaved
from benchmarks.processes import Program, ProgramError
from benchmarks.workshop import Workshop

# The number of calls of each contender in a round, by batch size.
_CALLS = {1: 20, 16: 3}
_FROZEN = "frozen graph in TensorFlow"
# What other runtimes stand beside.
_PLAIN = "version 5, serving_default"
_OURS = {
    "version 3, KerasLayer": ("keras_layer", 3),
    "version 3, default": ("signature", 3),
    "version 5, KerasLayer": ("keras_layer", 5),
    _PLAIN: ("signature", 5),
}
# Environments by name, which are kinds of runtimes, too.
_RUNTIMES = {"ONNX Runtime": "onnx", "OpenVINO": "openvino", "TFLite": "tflite"}
PEERS = tuple(_RUNTIMES.values())
_TOLERANCE = 1e-4


def measure(workshop: Workshop, *, quick: bool) -> list[Figure]:
    """Each contender in a process of its own, all of which stay, and take turns."""
    commands = _commands(workshop)
    with contextlib.ExitStack() as stack:
        programs = {
            name: stack.enter_context(Program(*command)) for name, command in commands.items()
        }
        _compare({name: program.ask("check") for name, program in programs.items()})
        seconds = interleaved(
            {
                (name, batch): functools.partial(_median, program, batch)
                for batch in _CALLS
                for name, program in programs.items()
            },
            rounds=2 if quick else 11,
        )
    pairs = [(name, _FROZEN) for name in _OURS] + [(_PLAIN, name) for name in _RUNTIMES]
    return [
        Figure(
            group="inference",
            what=f"batch {batch}, {name}",
            ours=seconds[name, batch],
            peer=peer,
            theirs=seconds.get((peer, batch), ()),
            most_ratio=1.05 if peer == _FROZEN else None,
        )
        for batch in _CALLS
        for name, peer in pairs
    ]


def _commands(workshop: Workshop) -> dict[str, list]:
    frozen = workshop.directory / "frozen"
    frozen.mkdir()
    processes.run(*workshop.program("freeze"), workshop.module(5), frozen, *_CALLS)
    ours = {name: (kind, workshop.module(version)) for name, (kind, version) in _OURS.items()}
    here = {**ours, _FROZEN: ("frozen", frozen)}
    peers = {name: kind for name, kind in _RUNTIMES.items() if kind in workshop.peers}
    program = "runtimes/infer"
    return {
        **{name: [*workshop.program(program), *arguments] for name, arguments in here.items()},
        **{name: [*workshop.program(program, kind), kind, frozen] for name, kind in peers.items()},
    }


def _compare(logits: dict[str, list]) -> None:
    expected = np.array(logits[_FROZEN])
    for name, actual in logits.items():
        largest = np.max(np.abs(np.array(actual) - expected)) / np.max(np.abs(expected))
        if np.shape(actual) != expected.shape or not largest <= _TOLERANCE:
            raise ProgramError(f"{name} differs from the {_FROZEN} by {largest:.2g}")


def _median(program: Program, batch: int) -> float:
    return statistics.median(program.ask("run", batch=batch, calls=_CALLS[batch]))
