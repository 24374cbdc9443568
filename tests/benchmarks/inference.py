"""Inference: one module in TensorFlow's ways, the frozen graph, and other runtimes, in float32.

All take NumPy images and give NumPy logits. None is timed before its logits are those of the others.
"""

import contextlib
import os
import statistics
from collections.abc import Iterator

import numpy as np

from benchmarks import partners, processes
from benchmarks.errors import BrokenProgramError, MissingPeerError, WrongResultError
from benchmarks.figures import Figure, Measured, Series, interleaved
from benchmarks.partners import Partner
from benchmarks.workshop import Workshop

_BATCHES = (1, 16)
_FROZEN = "frozen graph in TensorFlow"
# What other runtimes stand beside.
_PLAIN = "version 5, serving_default"
_OURS = {
    "version 3, KerasLayer": ("keras_layer", 3),
    "version 3, default": ("signature", 3),
    "version 5, KerasLayer": ("keras_layer", 5),
    _PLAIN: ("signature", 5),
}
# Environment and program by name.
_RUNTIMES = {
    "ONNX Runtime": ("onnx", "infer_onnx"),
    "OpenVINO": ("openvino", "infer_openvino"),
    "TFLite": ("tflite", "infer_tflite"),
}
ENVIRONMENTS = tuple(environment for environment, _ in _RUNTIMES.values())
_TOLERANCE = 1e-4
# Of each contender in a round, by batch size.
_CALLS = {1: 20, 16: 3}


def threads() -> int:
    """That every contender is given: one for each core it may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def measure(workshop: Workshop, *, quick: bool) -> Measured:
    """Each contender in a process of its own, all of which stay, and take turns."""
    with contextlib.ExitStack() as stack:
        found = dict(_partners(workshop, stack))
        versions = _check(found, workshop)
        samples = interleaved(
            {
                (name, batch): lambda partner=partner, batch=batch: statistics.median(
                    partner.ask("run", batch=batch, calls=_CALLS[batch])
                )
                for batch in _BATCHES
                for name, partner in found.items()
            },
            rounds=2 if quick else 12,
            seconds=100,
        )
    pairs = [(name, _FROZEN) for name in _OURS] + [(_PLAIN, name) for name in _RUNTIMES]
    figures = [
        Figure(
            group="inference",
            what=f"batch {batch}, {name}",
            ours=_series(name, batch, samples),
            peer=_series(peer, batch, samples),
            most_ratio=1.05 if peer == _FROZEN else None,
        )
        for batch in _BATCHES
        for name, peer in pairs
    ]
    return Measured(figures=figures, versions=versions)


def _series(name: str, batch: int, samples) -> Series:
    return Series(name=name, samples=tuple(samples.get((name, batch), ())))


def _partners(workshop: Workshop, stack: contextlib.ExitStack) -> Iterator[tuple[str, Partner]]:
    images = workshop.directory / "images.npy"
    uniform = np.random.RandomState(1).uniform(size=(max(_BATCHES), 224, 224, 3))
    np.save(images, uniform.astype(np.float32))
    frozen = workshop.directory / "frozen"
    frozen.mkdir(exist_ok=True)
    processes.run(*workshop.program("freeze"), workshop.module(5), frozen, *_BATCHES)
    graph = frozen / "frozen.pb"
    programs = {
        name: (None, "infer_tensorflow", kind, workshop.module(version))
        for name, (kind, version) in _OURS.items()
    }
    programs[_FROZEN] = (None, "infer_tensorflow", "frozen", graph)
    given = {
        "ONNX Runtime": (graph, frozen / "model.onnx"),
        "OpenVINO": (graph,),
        "TFLite": (frozen,),
    }
    programs |= {name: (*program, *given[name]) for name, program in _RUNTIMES.items()}
    for name, (environment, program, *arguments) in programs.items():
        with contextlib.suppress(MissingPeerError):
            command = workshop.program(program, environment)
            common = (images, _logits(workshop, name), threads())
            partner = partners.started(name, *command, *common, *arguments)
            yield name, stack.enter_context(partner)


def _logits(workshop: Workshop, name: str):
    return workshop.directory / f"{name}.npy"


def _check(found: dict[str, Partner], workshop: Workshop) -> dict[str, str]:
    """Their versions; leaves other runtimes out that don't work here.

    Raises:
      WrongResultError: they don't give the same logits.
    """
    versions = {}
    for name, partner in list(found.items()):
        try:
            versions[name] = partner.ask("check")
        except BrokenProgramError as error:
            if name not in _RUNTIMES:
                raise
            workshop.missing[name] = str(error)
            del found[name]
    logits = {name: np.load(_logits(workshop, name)) for name in found}
    expected = logits[_FROZEN]
    for name, actual in logits.items():
        largest = np.max(np.abs(actual - expected)) / np.max(np.abs(expected))
        if actual.shape != expected.shape or not largest <= _TOLERANCE:
            raise WrongResultError(f"{name} differs from the {_FROZEN} by {largest:.2g}")
    return versions
