"""Compares a module on disk with the Slim graph, run straight from the checkpoint."""

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf
import tensorflow_hub as hub

from slimhub.export.slim_graph import SlimGraph
from slimhub.signatures import contract, running
from slimhub.signatures.interface import MOVING_AVERAGES
from slimhub.signatures.module import ancestors
from slimhub.signatures.subject import Subject

# Same TensorFlow, same weights, same operations: what remains is the order of sums.
TOLERANCE = 1e-5

_SEED = 1
# Where any size is welcome: the default one, a small odd one, and one that is not square.
_SIZES = ((1, None), (3, (97, 65)), (2, (128, 288)))
_FIXED_SIZES = ((1, None), (3, None))

# It moves the moving averages, and only in training: no output may depend on it.
_MOMENTUM = 0.5

Arrays = Mapping[str, np.ndarray]


def difference(actual: np.ndarray, expected: np.ndarray) -> float:
    """Largest absolute difference over the largest magnitude; infinite if shapes differ or it is NaN."""
    if actual.shape != expected.shape:
        return np.inf
    largest = np.max(np.abs(actual - expected)) / (np.max(np.abs(expected)) or 1)
    return float(largest) if np.isfinite(largest) else np.inf


def compare(
    subject: Subject, *, graphs: Mapping[bool, SlimGraph], checkpoint: Path
) -> dict[str, float]:
    """Compares every output of every signature in every mode, on several batches of images.

    For inference, the TF1 Hub format is loaded with `hub.load`. Its `{train}` runs in a session, as
    its consumers do: there, dropout's random numbers can be fed, the same to both sides. What
    TensorFlow 2 calls draws its own, so outputs behind dropout are left out of it; on the other
    hand, its moving averages after an update are compared.

    Args:
      subject: the module, with what it promises.
      graphs: the Slim graph for inference and, by `True`, that for training.
      checkpoint: what `tf.compat.v1.train.Saver` restores them from.

    Returns:
      The largest `difference` of each output, keyed `mode signature:output`, and where the mode
      gives access to them, of `regularization_losses` and of the moving averages by name.
    """
    promise = subject.promise
    rng = np.random.RandomState(_SEED)
    sizes = _SIZES if promise.images.shape[1] is None else _FIXED_SIZES
    batches = [
        rng.uniform(size=(batch, *(size or promise.interface.image_size), 3)).astype(np.float32)
        for batch, size in sizes
    ]
    worst: dict[str, float] = {}
    for mode in promise.modes:
        with _slim(graphs[mode.training], checkpoint) as slim, _open(subject, mode) as module:
            for images in batches:
                expected = slim(promise, images)
                actual = module(images, expected.noise)
                for key, ours, theirs in _pairs(mode, actual, expected):
                    name = f"{mode.label} {key}"
                    worst[name] = max(worst.get(name, 0.0), difference(ours, theirs))
    return worst


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Reference:
    """What the Slim graph gives: values by tensor name, losses, averages after an update, and the
    random numbers that it drew, with the names of the tensors behind them."""

    tensors: Arrays
    losses: np.ndarray
    averages: Arrays
    noise: Arrays
    behind_noise: frozenset[str]


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Observed:
    """What the module gives: arrays by signature and key; None is what it can't tell."""

    outputs: Mapping[str, Arrays]
    losses: np.ndarray | None = None
    averages: Arrays | None = None
    draws_own_noise: bool = False


def _pairs(
    mode: contract.Mode, actual: _Observed, expected: _Reference
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    skipped = expected.behind_noise if actual.draws_own_noise else ()
    for one in mode.signatures:
        for key, spec in one.outputs.items():
            if spec.name not in skipped:
                yield (
                    f"{one.name}:{key}",
                    actual.outputs[one.name][key],
                    expected.tensors[spec.name],
                )
    if actual.losses is not None:
        yield "regularization_losses", actual.losses, expected.losses
    if actual.averages is not None:
        for name, average in expected.averages.items():
            yield name, actual.averages[name], average


@contextlib.contextmanager
def _slim(built: SlimGraph, checkpoint: Path):
    """The Slim graph with a plain restore, as a function of a promise and of images."""
    draws = [op.outputs[0] for op in built.graph.get_operations() if op.type == "RandomUniform"]
    nodes = {node.name: node for node in built.graph.as_graph_def().node}
    averages = {
        variable.op.name: variable
        for variable in built.network.variables
        if variable.op.name.endswith(MOVING_AVERAGES)
    }
    # Not as the default graph: the module beside it runs eagerly.
    with contextlib.closing(tf.compat.v1.Session(graph=built.graph)) as session:
        with built.graph.as_default():
            saver = tf.compat.v1.train.Saver(built.network.variables)

        def run(promise: contract.Promise, images: np.ndarray) -> _Reference:
            with built.graph.as_default():
                saver.restore(session, str(checkpoint))
            names = {
                spec.name
                for mode in promise.modes
                for signature in mode.signatures
                for spec in signature.outputs.values()
            }
            feeds = {promise.images.name: images}
            if promise.momentum_input is not None:
                feeds[promise.momentum_input.name] = _MOMENTUM
            fetches = (
                {name: name for name in names},
                built.network.regularization_losses,
                {tensor.name: tensor for tensor in draws},
                built.network.update_ops,
            )
            tensors, losses, noise, _ = session.run(fetches, feeds)
            return _Reference(
                tensors=tensors,
                losses=np.array(losses),
                averages=session.run(averages),
                noise=noise,
                behind_noise=frozenset(
                    name
                    for name in names
                    if not ancestors(nodes, name).isdisjoint(tensor.op.name for tensor in draws)
                ),
            )

        yield run


@contextlib.contextmanager
def _open(subject: Subject, mode: contract.Mode):
    """The module in that mode, as a function of images and of the noise to be used."""
    directory = str(subject.module.directory)
    if subject.promise.format.callable:
        yield lambda images, noise: _observe_object(subject, mode, images)
    elif not mode.training:
        loaded = hub.load(directory)
        yield lambda images, noise: _observe_signatures(loaded, mode, images)
    else:
        with running.load(subject.module.directory, tags=mode.tags) as graph:
            yield lambda images, noise: _observe_graph(graph, images, noise)


def _observe_object(subject: Subject, mode: contract.Mode, images: np.ndarray) -> _Observed:
    outputs, averages = subject.run(mode).step(images, momentum=_MOMENTUM)
    losses = [loss().numpy() for loss in subject.loaded.regularization_losses]
    return _Observed(
        outputs=outputs,
        losses=np.array(losses),
        averages=averages[mode.signatures[0].name],
        draws_own_noise=True,
    )


def _observe_signatures(loaded, mode: contract.Mode, images: np.ndarray) -> _Observed:
    inputs = {"images": tf.constant(images), "batch_norm_momentum": tf.constant(_MOMENTUM)}
    outputs = {
        signature.name: loaded.signatures[signature.name](
            **{key: inputs[key] for key in signature.inputs}
        )
        for signature in mode.signatures
    }
    # TF2 gives no access to the collections of this format.
    return _Observed(outputs=tf.nest.map_structure(lambda tensor: tensor.numpy(), outputs))


def _observe_graph(graph: running.RunningGraph, images: np.ndarray, noise: Arrays) -> _Observed:
    losses = graph.session.run(graph.collection("regularization_losses"))
    return _Observed(outputs=graph.run(images, extra_feeds=noise), losses=np.array(losses))
