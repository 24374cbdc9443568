"""Compares a module on disk with what the Slim graph gives."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from slimhub.export.reference import MOMENTUM, Arrays, Reference
from slimhub.signatures import contract
from slimhub.signatures.subject import Subject

# Same TensorFlow, same weights, same operations: what remains is the order of sums.
TOLERANCE = 1e-5


def difference(actual: np.ndarray, expected: np.ndarray) -> float:
    """Largest absolute difference over the largest magnitude; infinite if shapes differ or it is NaN."""
    if actual.shape != expected.shape:
        return np.inf
    largest = np.max(np.abs(actual - expected)) / (np.max(np.abs(expected)) or 1)
    return float(largest) if np.isfinite(largest) else np.inf


def compare(
    subject: Subject, mode: contract.Mode, references: Iterable[Reference]
) -> dict[str, float]:
    """Compares every output of every signature in one mode, on several batches of images.

    The TF1 Hub format runs in a session, as its consumers do: there, dropout's random numbers can be
    fed, the same to both sides. What TensorFlow 2 calls draws its own, so outputs behind dropout are
    left out of it; on the other hand, its moving averages after an update are compared.

    Args:
      subject: the module, with what it promises.
      mode: which one.
      references: what the Slim graph of that mode gave.

    Returns:
      The largest `difference` of each output, keyed `mode signature:output`, and where the mode
      gives access to them, of `regularization_losses` and of the moving averages by name.
    """
    observe = _observe_object if subject.promise.format.callable else _observe_graph
    worst: dict[str, float] = {}
    for expected in references:
        actual = observe(subject, mode, expected)
        for key, ours, theirs in _pairs(mode, actual, expected):
            name = f"{mode.label} {key}"
            worst[name] = max(worst.get(name, 0.0), difference(ours, theirs))
    return worst


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Observed:
    """What the module gives: arrays by signature and key; None is what it can't tell.

    Tensors are skipped, by their names, that are behind dropout which drew numbers of its own.
    """

    outputs: Mapping[str, Arrays]
    losses: np.ndarray
    averages: Arrays | None = None
    skipped: tuple[str, ...] = ()


def _pairs(
    mode: contract.Mode, actual: _Observed, expected: Reference
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    for one in mode.applied:
        for key, spec in one.outputs.items():
            if spec.name not in actual.skipped:
                yield (
                    f"{one.name}:{key}",
                    actual.outputs[one.name][key],
                    expected.tensors[spec.name],
                )
    yield "regularization_losses", actual.losses, np.array(list(expected.losses.values()))
    if actual.averages is not None:
        for name, average in expected.averages.items():
            yield name, actual.averages[name], average


def _observe_object(subject: Subject, mode: contract.Mode, reference: Reference) -> _Observed:
    outputs, averages = subject.run(mode).step(reference.images, momentum=MOMENTUM)
    losses = [loss().numpy() for loss in subject.loaded.regularization_losses]
    return _Observed(
        outputs=outputs,
        losses=np.array(losses),
        averages=averages[mode.applied[0].name],
        skipped=subject.promise.interface.behind_dropout if mode.training else (),
    )


def _observe_graph(subject: Subject, mode: contract.Mode, reference: Reference) -> _Observed:
    graph = subject.run(mode)
    outputs = graph.run(reference.images, extra_feeds=reference.noise)
    losses = graph.session.run(graph.collection("regularization_losses"))
    return _Observed(outputs=outputs, losses=np.array(losses))
