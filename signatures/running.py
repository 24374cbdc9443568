"""Runs a module: as TF1 does, a meta graph of it in a session; or as TF2 does, an object to call."""

import contextlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf

from slimhub.signatures import contract

# Of an error in a session: what went wrong, between two stack traces.
_REASON = re.compile(r"^Node: [^\n]*\n(.+?)(?=\n\t \[\[|\n\nOriginal stack trace|\Z)", re.M | re.S)


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

    def collection(self, name: str) -> list:
        """The graph's collection of that name, as imported."""
        return self.graph.get_collection(name)


@contextlib.contextmanager
def load(directory: Path, *, tags: tuple[str, ...]) -> Iterator[RunningGraph]:
    """Loads the meta graph with exactly these tags."""
    # Closed, not entered: its graph must not become the default one.
    with contextlib.closing(tf.compat.v1.Session(graph=tf.Graph())) as session:
        meta_graph = tf.compat.v1.saved_model.loader.load(session, list(tags), str(directory))
        yield RunningGraph(session, meta_graph)


class RunningObject:
    """What TensorFlow 2 loads, in one mode.

    Attributes:
      averages: moving averages by name, which training moves.
      weights: all other variables by name.
    """

    def __init__(self, loaded, *, promise: contract.Promise, mode: contract.Mode):
        variables = {variable.name.removesuffix(":0"): variable for variable in loaded.variables}
        names = {name for name in variables if name.endswith(contract.MOVING_AVERAGES)}
        self.averages = {name: variables[name] for name in sorted(names)}
        self.weights = {name: variables[name] for name in sorted(variables.keys() - names)}
        self._on_disk = self.read(self.averages)
        self._functions = {
            **{one.name: _signature(loaded, one, promise) for one in mode.signatures},
            **{one.name: _call(loaded, one) for one in mode.calls},
        }

    def run(self, images: np.ndarray) -> dict[str, dict[str, np.ndarray]]:
        """Applies all signatures, and makes all calls, which leaves no trace.

        Args:
          images: float32 `[batch, height, width, 3]`, RGB in [0, 1].

        Returns:
          Arrays by signature or call, and output key.
        """
        outputs, _ = self.step(images, momentum=1)
        return outputs

    def step(self, images: np.ndarray, *, momentum: float):
        """Applies one after the other; then, the moving averages are again as they are on disk.

        Args:
          images: as for `run`.
          momentum: where it can be given.

        Returns:
          Outputs as of `run`, and after each the moving averages, by signature or call, and name.
        """
        outputs, averages = {}, {}
        inputs = tf.constant(images), tf.constant(momentum, tf.float32)
        try:
            for name, function in self._functions.items():
                outputs[name] = {key: value.numpy() for key, value in function(*inputs).items()}
                averages[name] = self.read(self.averages)
        finally:
            self.assign(self._on_disk)
        return outputs, averages

    def assign(self, averages: Mapping[str, np.ndarray]) -> None:
        for name, value in averages.items():
            self.averages[name].assign(value)

    @staticmethod
    def read(variables: Mapping[str, tf.Variable]) -> dict[str, np.ndarray]:
        return {name: variable.numpy() for name, variable in variables.items()}


def _signature(loaded, signature: contract.Signature, promise: contract.Promise):
    def apply(images, momentum):
        tensors = {promise.images: images, promise.momentum_input: momentum}
        inputs = {key: tensors[spec] for key, spec in signature.inputs.items()}
        return loaded.signatures[signature.name](**inputs)

    return apply


def _call(loaded, call: contract.Call):
    def apply(images, momentum):
        function = loaded if call.function == "__call__" else getattr(loaded, call.function)
        settable = {"batch_norm_momentum": momentum} if call.takes_momentum else {}
        outputs = function(images, **call.arguments, **settable)
        return outputs if isinstance(outputs, dict) else {"default": outputs}

    return apply


def describe(error: Exception) -> str:
    """An error in one line, without the stack traces that TensorFlow's messages carry."""
    found = _REASON.search(str(error))
    reason = found[1] if found else str(error)
    return f"{type(error).__name__}: {' '.join(reason.split())}"
