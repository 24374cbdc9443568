"""Compare a module on disk with what the Slim graph gives."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from slimhub.export.verification.reference import MOMENTUM, Arrays, Reference
from slimhub.signatures.checks import bounds
from slimhub.signatures.checks.module_under_test import ModuleUnderTest
from slimhub.signatures.contract import contract


def compare(
    subject: ModuleUnderTest, mode: contract.Mode, references: Iterable[Reference]
) -> list[bounds.Measurement]:
    """Compare every output of every signature in one mode, on several batches of images.

    The TF1 Hub format runs in a session, as its consumers do: there, dropout's random numbers can be
    fed, the same to both sides. What TensorFlow 2 calls draws its own, so outputs behind dropout are
    left out of it; on the other hand, its moving averages after an update are compared.

    Args:
      subject: the module, with what it promises.
      mode: which one.
      references: what the Slim graph of that mode gave.

    Returns:
      The largest difference of each output, named `mode signature:output`, and where the mode
      gives access to them, of `regularization_losses` and of the moving averages by name.
    """
    observe = _observe_object if subject.promise.format.callable else _observe_graph
    worst: dict[str, bounds.Measurement] = {}
    for expected in references:
        actual = observe(subject, mode, expected)
        for key, ours, theirs in _pairs(mode, actual, expected):
            found = bounds.PARITY.measure(f"{mode.label} {key}", bounds.difference(ours, theirs))
            if key not in worst or found.share > worst[key].share:
                worst[key] = found
    return list(worst.values())


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Observed:
    """The outputs of the module: arrays by signature and key; None is what it can't tell.

    Attributes:
      skipped: names of tensors that are not compared, behind dropout which drew numbers of its own.
    """

    outputs: Mapping[str, Arrays]
    losses: np.ndarray
    averages: Arrays | None = None
    skipped: tuple[str, ...] = ()


def _pairs(
    mode: contract.Mode, actual: _Observed, expected: Reference
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield what is compared: its name, what the module gives, and what the Slim graph gave."""
    with np.load(expected.tensors) as tensors:
        for one in mode.applied:
            for key, spec in one.outputs.items():
                if spec.name not in actual.skipped:
                    yield f"{one.name}:{key}", actual.outputs[one.name][key], tensors[spec.name]
    # Each for itself: beside the largest, the others would not count.
    for ours, theirs in zip(actual.losses, expected.losses.values(), strict=True):
        yield "regularization_losses", ours, theirs
    if actual.averages is not None:
        for name, average in expected.averages.items():
            yield name, actual.averages[name], average


def _observe_object(
    subject: ModuleUnderTest, mode: contract.Mode, reference: Reference
) -> _Observed:
    outputs, averages = subject.run_object(mode).step(reference.images, momentum=MOMENTUM)
    losses = [loss().numpy() for loss in subject.loaded.regularization_losses]
    return _Observed(
        outputs=outputs,
        losses=np.array(losses),
        averages=averages[mode.applied[0].name],
        skipped=subject.promise.network.random_in_training if mode.training else (),
    )


def _observe_graph(
    subject: ModuleUnderTest, mode: contract.Mode, reference: Reference
) -> _Observed:
    graph = subject.run_graph(mode)
    outputs = graph.run(reference.images, extra_feeds=reference.noise)
    losses = graph.session.run(graph.collection("regularization_losses"))
    return _Observed(outputs=outputs, losses=np.array(losses))
