"""Compares a module on disk with the Slim graph, run straight from the checkpoint."""

import contextlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf
import tensorflow_hub as hub

from slimhub.export import tf1_hub
from slimhub.signatures import contract, running

# Same TensorFlow, same weights, same operations: what remains is the order of sums.
TOLERANCE = 1e-5

_SEED = 1
# Where any size is welcome: the default one, a small odd one, and one that is not square.
_SIZES = ((1, None), (3, (97, 65)), (2, (128, 288)))
_FIXED_SIZES = ((1, None), (3, None))

Arrays = Mapping[str, np.ndarray]


def difference(actual: np.ndarray, expected: np.ndarray) -> float:
    """Largest absolute difference over the largest magnitude; infinite if shapes differ or it is NaN."""
    if actual.shape != expected.shape:
        return np.inf
    largest = np.max(np.abs(actual - expected)) / (np.max(np.abs(expected)) or 1)
    return float(largest) if np.isfinite(largest) else np.inf


def compare(
    directory: Path,
    *,
    promise: contract.Promise,
    graphs: Mapping[tuple[str, ...], tf1_hub.BuiltGraph],
    checkpoint: Path,
) -> dict[str, float]:
    """Compares every output of every signature in every tag set, on several batches of images.

    The module for inference is loaded with `hub.load`. That of `{"train"}` runs in a session, as
    its consumers do: there, dropout's random numbers can be fed, the same to both sides.

    Args:
      directory: the module.
      promise: which signatures it has.
      graphs: the Slim graph of each tag set.
      checkpoint: what `tf.compat.v1.train.Saver` restores them from.

    Returns:
      The largest `difference` of each output, keyed `{tags} signature:output`, and under
      `{train}` that of the `regularization_losses`.
    """
    rng = np.random.RandomState(_SEED)
    sizes = _SIZES if promise.images.shape[1] is None else _FIXED_SIZES
    batches = [
        rng.uniform(size=(batch, *(size or promise.interface.image_size), 3)).astype(np.float32)
        for batch, size in sizes
    ]
    worst: dict[str, float] = {}

    def note(name: str, actual: np.ndarray, expected: np.ndarray) -> None:
        worst[name] = max(worst.get(name, 0.0), difference(actual, expected))

    for tag_set in promise.tag_sets:
        load = _in_session if tag_set.training else _with_hub_load
        with _slim(graphs[tag_set.tags], checkpoint) as reference, load(directory) as module:
            for images in batches:
                expected, losses, noise = reference(promise, images)
                actual, actual_losses = module(promise, images, noise)
                for signature in promise.signatures:
                    for key, spec in signature.outputs.items():
                        name = f"{tag_set.label} {signature.name}:{key}"
                        note(name, actual[signature.name][key], expected[spec.name])
                if actual_losses is not None:
                    note(f"{tag_set.label} regularization_losses", actual_losses, losses)
    return worst


@contextlib.contextmanager
def _slim(built: tf1_hub.BuiltGraph, checkpoint: Path):
    """The Slim graph with a plain restore: gives all tensors that are outputs, and dropout's noise."""
    noise = {
        op.outputs[0].name: op.outputs[0]
        for op in built.graph.get_operations()
        if op.type == "RandomUniform"
    }
    # Not as the default graph: the module beside it runs eagerly.
    with contextlib.closing(tf.compat.v1.Session(graph=built.graph)) as session:
        with built.graph.as_default():
            saver = tf.compat.v1.train.Saver(built.network.variables)
            saver.restore(session, str(checkpoint))

        def run(promise: contract.Promise, images: np.ndarray):
            specs = [spec for one in promise.signatures for spec in one.outputs.values()]
            outputs = {spec.name: spec.name for spec in specs}
            fetches = outputs, built.network.regularization_losses, noise
            outputs, losses, drawn = session.run(fetches, {promise.images.name: images})
            return outputs, np.array(losses), drawn

        yield run


@contextlib.contextmanager
def _with_hub_load(directory: Path):
    module = hub.load(str(directory))

    def run(promise: contract.Promise, images: np.ndarray, noise: Arrays):
        assert not noise, "nothing is random at inference"
        # Momentum only moves the moving averages, and only in training: no output may depend on it.
        inputs = {"images": tf.constant(images), "batch_norm_momentum": tf.constant(0.5)}
        outputs = {
            signature.name: {
                key: tensor.numpy()
                for key, tensor in module.signatures[signature.name](
                    **{key: inputs[key] for key in signature.inputs}
                ).items()
            }
            for signature in promise.signatures
        }
        # TF2 gives no access to the collections of this format.
        return outputs, None

    yield run


@contextlib.contextmanager
def _in_session(directory: Path):
    with running.load(directory, tags=("train",)) as module:

        def run(promise: contract.Promise, images: np.ndarray, noise: Arrays):
            losses = module.session.run(module.collection("regularization_losses"))
            return module.run(images, extra_feeds=noise), np.array(losses)

        yield run
