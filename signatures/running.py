"""Runs a module: as TF1 does, a meta graph of it in a session; or as TF2 does, an object to call."""

import contextlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf

from slimhub.signatures import contract
from slimhub.signatures.interface import MOVING_AVERAGES

# Of an error in a session: what went wrong, between two stack traces.
_REASON = re.compile(r"^Node: [^\n]*\n(.+?)(?=\n\t \[\[|\n\nOriginal stack trace|\Z)", re.M | re.S)


# Bytes of a tensor from which on it is fetched in pieces.
_LARGE = 128 << 20
# Numbers that are compared at a time.
_PIECE = 1 << 22


def same(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two arrays are equal, NaN to NaN."""
    if one.shape != other.shape:
        return False
    one, other = one.ravel(), other.ravel()
    # Piece by piece: NumPy makes several copies of what it compares.
    pieces = (slice(first, first + _PIECE) for first in range(0, one.size, _PIECE))
    return all(np.array_equal(one[piece], other[piece], equal_nan=True) for piece in pieces)


class RunningGraph:
    """A meta graph in a session.

    Attributes:
      graph: the graph.
      session: a session on it.
      meta_graph: what was loaded.
    """

    def __init__(self, session: tf.compat.v1.Session, meta_graph):
        self.session = session
        self.graph = session.graph
        self.meta_graph = meta_graph

    def run(
        self, images: np.ndarray, *, extra_feeds: Mapping[str, np.ndarray] | None = None
    ) -> dict[str, dict[str, np.ndarray]]:
        """Applies all signatures at once, which share one network.

        Args:
          images: float32 `[batch, height, width, 3]`, RGB in [0, 1].
          extra_feeds: arrays by tensor name.

        Returns:
          Arrays by signature and output key.
        """
        signatures = self.meta_graph.signature_def
        feeds = {signatures[name].inputs["images"].name: images for name in signatures}
        fetches = {
            name: {key: info.name for key, info in signatures[name].outputs.items()}
            for name in sorted(signatures)
        }
        return self.session.run(fetches, {**feeds, **(extra_feeds or {})})

    def unlike(
        self, arrays: Mapping[str, np.ndarray], tensors: Mapping[str, tf.Tensor]
    ) -> Iterator[str]:
        """Names of the tensors that are not equal to the arrays of the same names."""
        large = {name for name, array in arrays.items() if array.nbytes > _LARGE}
        found = self.session.run({name: tensors[name] for name in arrays.keys() - large})
        yield from sorted(name for name, value in found.items() if not same(value, arrays[name]))
        for name in sorted(large):
            # Piece by piece: what a session gives is a copy.
            flat = arrays[name].ravel()
            with self.graph.as_default():
                shape = tf.shape(tensors[name])
                first = tf.compat.v1.placeholder(tf.int64, [])
                piece = tf.reshape(tensors[name], [-1])[first : first + _PIECE]
            if tuple(self.session.run(shape)) != arrays[name].shape or not all(
                same(self.session.run(piece, {first: start}), flat[start : start + _PIECE])
                for start in range(0, flat.size, _PIECE)
            ):
                yield name

    def collection(self, name: str) -> list:
        """The graph's collection of that name, as imported."""
        return self.graph.get_collection(name)


def session(graph: tf.Graph) -> tf.compat.v1.Session:
    """A session that runs the graph as it stands: what is checked is that graph.

    Rewriting it first, as TensorFlow does otherwise, would take most of the time of a check.
    """
    config = tf.compat.v1.ConfigProto()
    config.graph_options.rewrite_options.disable_meta_optimizer = True
    return tf.compat.v1.Session(graph=graph, config=config)


@contextlib.contextmanager
def as_it_stands() -> Iterator[None]:
    """In the block, TensorFlow 2 runs functions as they stand; see `session`."""
    options = tf.config.optimizer.get_experimental_options()
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    try:
        yield
    finally:
        tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": False, **options})


@contextlib.contextmanager
def load(directory: Path, *, tags: tuple[str, ...]) -> Iterator[RunningGraph]:
    """Loads the meta graph with exactly these tags."""
    # Closed, not entered: its graph must not become the default one.
    with contextlib.closing(session(tf.Graph())) as opened:
        meta_graph = tf.compat.v1.saved_model.loader.load(opened, list(tags), str(directory))
        yield RunningGraph(opened, meta_graph)


class RunningObject:
    """What TensorFlow 2 loads, in one mode.

    Attributes:
      averages: moving averages by name, which training moves.
      weights: all other variables by name.
    """

    def __init__(self, loaded, *, promise: contract.Promise, mode: contract.Mode):
        variables = {variable.name.removesuffix(":0"): variable for variable in loaded.variables}
        names = {name for name in variables if name.endswith(MOVING_AVERAGES)}
        self.averages = {name: variables[name] for name in sorted(names)}
        self.weights = {name: variables[name] for name in sorted(variables.keys() - names)}
        self._on_disk = self.read(self.averages)
        self._applied = {one.name: _function(loaded, one, promise) for one in mode.applied}

    def run(self, images: np.ndarray) -> dict[str, dict[str, np.ndarray]]:
        """Applies all that `mode.applied` names, and leaves the moving averages as they were.

        Args:
          images: float32 `[batch, height, width, 3]`, RGB in [0, 1].

        Returns:
          Arrays by the name of what was applied, and output key.
        """
        # With this momentum, nothing moves.
        inputs = tf.constant(images), tf.constant(1.0)
        with as_it_stands():
            return {name: _arrays(apply(*inputs)) for name, apply in self._applied.items()}

    def step(self, images: np.ndarray, *, momentum: float):
        """Applies all that `mode.applied` names, one after the other.

        Afterwards, the moving averages are again as they are on disk.

        Args:
          images: as for `run`.
          momentum: where it is an input.

        Returns:
          Outputs as of `run`, and after each the moving averages, by its name and theirs.
        """
        outputs, averages = {}, {}
        inputs = tf.constant(images), tf.constant(momentum, tf.float32)
        with self.having(self._on_disk), as_it_stands():
            for name, apply in self._applied.items():
                outputs[name] = _arrays(apply(*inputs))
                averages[name] = self.read(self.averages)
        return outputs, averages

    @contextlib.contextmanager
    def having(self, averages: Mapping[str, np.ndarray]) -> Iterator[None]:
        """With these moving averages; afterwards, they are again as they are on disk."""
        try:
            self._assign(averages)
            yield
        finally:
            self._assign(self._on_disk)

    def _assign(self, averages: Mapping[str, np.ndarray]) -> None:
        for name, value in averages.items():
            self.averages[name].assign(value)

    @staticmethod
    def read(variables: Mapping[str, tf.Variable]) -> dict[str, np.ndarray]:
        return {name: variable.numpy() for name, variable in variables.items()}


def _function(loaded, one: contract.Signature | contract.Call, promise: contract.Promise):
    """A function of images and momentum, of a signature or of a call that gives a dictionary."""

    def apply_signature(images, momentum):
        tensors = {promise.images: images, promise.momentum_input: momentum}
        inputs = {key: tensors[spec] for key, spec in one.inputs.items()}
        return loaded.signatures[one.name](**inputs)

    def call(images, momentum):
        arguments = {"batch_norm_momentum": momentum} if one.takes_momentum else {}
        return getattr(loaded, one.function)(images, **one.arguments, **arguments)

    return call if isinstance(one, contract.Call) else apply_signature


def _arrays(tensors: Mapping[str, tf.Tensor]) -> dict[str, np.ndarray]:
    # Unlike `numpy()`, no copies.
    return {key: np.asarray(tensor) for key, tensor in tensors.items()}


def describe(error: Exception) -> str:
    """An error in one line, without the stack traces that TensorFlow's messages carry."""
    found = _REASON.search(str(error))
    reason = found[1] if found else str(error)
    return f"{type(error).__name__}: {' '.join(reason.split())}"
