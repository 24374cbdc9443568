"""Run a module: as a meta graph in a session, as TF1 does, or as an object to call, as TF2 does."""

import contextlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf

from slimhub.signatures.contract import contract, versions
from slimhub.signatures.contract.network import MOVING_AVERAGES
from slimhub.support import cpu

# The reason in the message of a session's error, which stands between two stack traces.
_REASON = re.compile(r"^Node: [^\n]*\n(.+?)(?=\n\t \[\[|\n\nOriginal stack trace|\Z)", re.M | re.S)


def same(left: np.ndarray, right: np.ndarray) -> bool:
    """Return whether two arrays have the same shape and values; NaN equals NaN."""
    # Nearly always the first is enough; the second copies both, which takes much memory.
    return np.array_equal(left, right) or np.array_equal(left, right, equal_nan=True)


class RunningGraph:
    """A meta graph in a session.

    Attributes:
      graph: the imported graph.
      session: a session of the graph.
      meta_graph: the `MetaGraphDef` that was loaded.
    """

    def __init__(
        self,
        session: tf.compat.v1.Session,
        meta_graph,
        signatures: tuple[contract.Signature, ...] = (),
    ):
        self.session = session
        self.graph = session.graph
        self.meta_graph = meta_graph
        found = meta_graph.signature_def
        self._signatures = {one.name: one for one in signatures if one.name in found}

    def feeds(self, images: np.ndarray, *, momentum: float | None = None) -> dict[str, np.ndarray]:
        """Return what feeds all signatures, by the names of the tensors; they may share these."""
        given = {"images": images}
        if momentum is not None:
            given["batch_norm_momentum"] = np.array(momentum, np.float32)
        return {
            info.name: given[key]
            for name in self._signatures
            for key, info in self.meta_graph.signature_def[name].inputs.items()
            if key in given
        }

    def run(
        self, images: np.ndarray, *, extra_feeds: Mapping[str, np.ndarray] | None = None
    ) -> dict[str, dict[str, np.ndarray]]:
        """Apply all signatures in one run, and return the promised outputs. They share one network.

        Args:
          images: float32 `[batch, height, width, 3]`, RGB in [0, 1].
          extra_feeds: arrays for further tensors, by tensor name.

        Returns:
          Output arrays by signature and output key.
        """
        fetches = {
            name: {
                key: info.name
                for key, info in self.meta_graph.signature_def[name].outputs.items()
                if key in promised.outputs
            }
            for name, promised in sorted(self._signatures.items())
        }
        return self.session.run(fetches, {**self.feeds(images), **(extra_feeds or {})})

    def updated(
        self, averages: Mapping[str, np.ndarray], feeds: Mapping[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        """Set moving averages, run all updates once, and return these moving averages by name."""
        every = {variable.op.name: variable for variable in self.collection("variables")}
        variables = {name: every[name] for name in averages}
        for name, variable in variables.items():
            given = {variable.initializer.inputs[1]: averages[name]}
            self.session.run(variable.initializer, given)
        self.session.run(self.collection("update_ops"), feeds)
        return self.session.run(variables)

    def differing(
        self, arrays: Mapping[str, np.ndarray], tensors: Mapping[str, tf.Tensor]
    ) -> list[str]:
        """Return the names of the tensors that differ from the arrays with the same names, sorted."""
        values = self.session.run({name: tensors[name] for name in arrays})
        return sorted(name for name, value in values.items() if not same(value, arrays[name]))

    def collection(self, name: str) -> list:
        """Return the graph's collection of that name, as imported; an empty one if there is none."""
        return self.graph.get_collection(name)


def session(graph: tf.Graph) -> tf.compat.v1.Session:
    """Return a session that runs the graph without Grappler: the checks are of this very graph.

    Rewriting the graph first, as TensorFlow does by default, would take most of the time of a check.
    """
    config = cpu.session_config()
    config.graph_options.rewrite_options.disable_meta_optimizer = True
    return tf.compat.v1.Session(graph=graph, config=config)


@contextlib.contextmanager
def without_grappler() -> Iterator[None]:
    """Make TensorFlow 2 run functions without Grappler in the block; see `session`."""
    options = tf.config.optimizer.get_experimental_options()
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    try:
        yield
    finally:
        tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": False, **options})


@contextlib.contextmanager
def load(
    directory: Path, *, tags: tuple[str, ...], signatures: tuple[contract.Signature, ...] = ()
) -> Iterator[RunningGraph]:
    """Load the meta graph with exactly these tags, and close its session when the block ends.

    Args:
      directory: of the module.
      tags: its tag set.
      signatures: those that are to be applied.

    Raises whatever TensorFlow raises for a module that it can't load.
    """
    # Not entered, because its graph must not become the default one.
    with contextlib.closing(session(tf.Graph())) as opened:
        meta_graph = tf.compat.v1.saved_model.loader.load(opened, list(tags), str(directory))
        yield RunningGraph(opened, meta_graph, signatures)


class RunningObject:
    """The object that TensorFlow 2 loads, in one mode.

    Attributes:
      averages: the moving averages by name, which training moves.
      weights: all other variables by name.
    """

    def __init__(self, loaded, *, mode: contract.Mode, level: str = contract.EXACT):
        found = getattr(loaded, "variables", ())
        variables = {variable.name.removesuffix(":0"): variable for variable in found}
        names = {name for name in variables if name.endswith(MOVING_AVERAGES)}
        if level == contract.COMMON:
            # Whose names may be any, and the same.
            variables = {f"{variable.name} ({i})": variable for i, variable in enumerate(found)}
            trained = {id(variable) for variable in getattr(loaded, "trainable_variables", ())}
            names = {name for name in variables if id(variables[name]) not in trained}
        self.averages = {name: variables[name] for name in sorted(names)}
        self.weights = {name: variables[name] for name in sorted(variables.keys() - names)}
        self._on_disk = self.read(self.averages)
        # An unknown network may move them at inference, too.
        self._may_move = mode.training or level == contract.COMMON
        ways: tuple[contract.Signature | contract.Call, ...] = (*mode.signatures, *mode.calls)
        self._functions = {one.name: _function(loaded, one) for one in ways}
        self._applied = {one.name: self._functions[one.name] for one in mode.applied}

    def function(self, name: str):
        """Return a signature or call as a function of images and momentum that returns tensors by key."""
        return self._functions[name]

    def run(self, images: np.ndarray) -> dict[str, dict[str, np.ndarray]]:
        """Run everything in `mode.applied`, without changing the moving averages.

        Args:
          images: float32 `[batch, height, width, 3]`, RGB in [0, 1].

        Returns:
          Output arrays by the name of the signature or call, and output key.
        """
        # With momentum 1, the moving averages don't change; not all take it.
        inputs = tf.constant(images), tf.constant(1.0)
        restored = self._on_disk if self._may_move else {}
        with self.with_moving_averages(restored), without_grappler():
            return {name: _arrays(apply(*inputs)) for name, apply in self._applied.items()}

    def step(self, images: np.ndarray, *, momentum: float):
        """Run everything in `mode.applied`, each on the module as it is on disk.

        Args:
          images: float32 `[batch, height, width, 3]`, RGB in [0, 1].
          momentum: batch norm's momentum, in [0, 1], for what takes it.

        Returns:
          The outputs, in the form of `run`, and the moving averages after each signature or call, by its
          name and theirs.
        """
        outputs, averages = {}, {}
        for name in self._applied:
            outputs[name], averages[name] = self.apply(name, images, momentum=momentum)
        return outputs, averages

    def apply(self, name: str, images: np.ndarray, *, momentum: float | None = None):
        """Apply a signature or a call of the mode to the module as it is on disk.

        Args:
          name: of the signature or call.
          images: as for `run`.
          momentum: where it is an input; None leaves it to the default of a call.

        Returns:
          Arrays by output key, and the moving averages afterwards, arrays by name.
        """
        given = None if momentum is None else tf.constant(momentum, tf.float32)
        with self.with_moving_averages(self._on_disk), without_grappler():
            outputs = self._functions[name](tf.constant(images), given)
            return _arrays(outputs), self.read(self.averages)

    def statistics(self, images: np.ndarray):
        """Train on a batch with momentum 0, which yields its statistics, then reset the moving averages.

        Args:
          images: float32 `[batch, height, width, 3]`, RGB in [0, 1].

        Returns:
          The outputs, in the form of `run`, and the batch's statistics by the names of the moving averages.
        """
        inputs = tf.constant(images), tf.constant(0.0)
        # The update `old - (old - statistic)` is exact if `old` is 0.
        zeros = {name: np.zeros_like(average) for name, average in self._on_disk.items()}
        with self.with_moving_averages(zeros), without_grappler():
            outputs = {name: _arrays(apply(*inputs)) for name, apply in self._applied.items()}
            return outputs, self.read(self.averages)

    @contextlib.contextmanager
    def with_moving_averages(self, averages: Mapping[str, np.ndarray]) -> Iterator[None]:
        """Set the moving averages for the block, then reset them to their values on disk."""
        try:
            self._assign(averages)
            yield
        finally:
            self._assign({name: self._on_disk[name] for name in averages})

    def _assign(self, averages: Mapping[str, np.ndarray]) -> None:
        for name, value in averages.items():
            self.averages[name].assign(value)

    @staticmethod
    def read(variables: Mapping[str, tf.Variable]) -> dict[str, np.ndarray]:
        """Return the variables' values, by name."""
        return {name: variable.numpy() for name, variable in variables.items()}


def _function(loaded, applied: contract.Signature | contract.Call):
    """Return a function of images and momentum that runs a signature or a call, and returns a dictionary."""

    if isinstance(applied, contract.Signature):

        def apply_signature(images, momentum):
            inputs = {
                key: momentum if spec == versions.BATCH_NORM_MOMENTUM else images
                for key, spec in applied.inputs.items()
            }
            return loaded.signatures[applied.name](**inputs)

        return apply_signature

    def call(images, momentum):
        given = applied.takes_momentum and momentum is not None
        arguments = {"batch_norm_momentum": momentum} if given else {}
        outputs = getattr(loaded, applied.function)(images, **applied.arguments, **arguments)
        return outputs if applied.gives_dictionary else {"default": outputs}

    return call


def _arrays(tensors: Mapping[str, tf.Tensor]) -> dict[str, np.ndarray]:
    # Unlike `numpy()`, this makes no copies.
    return {key: np.asarray(tensor) for key, tensor in tensors.items()}


def describe(error: Exception) -> str:
    """Return an error's type and message in one line, without TensorFlow's stack traces."""
    match = _REASON.search(str(error))
    reason = match[1] if match else str(error)
    return f"{type(error).__name__}: {' '.join(reason.split())}"
