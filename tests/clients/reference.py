"""The reference that consumers are compared with: the Slim graph, run straight from the checkpoint."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf

from slimhub.export.checkpoints import restore
from slimhub.export.writers import slim_graph
from slimhub.models import catalog
from slimhub.signatures.contract import contract, network
from slimhub.signatures.contract.network import MOVING_AVERAGES

Arrays = Mapping[str, np.ndarray]

# Batch norms, regularization losses, variables, and trainable ones, as stock Slim has them.
COUNTS = {
    ("inception_v1", "feature_vector"): (57, 57, 228, 114),
    ("inception_v2", "classification"): (68, 69, 277, 141),
}

# Its graph takes any image and any momentum; the weights are those of every version.
_VERSION = 3


class Slim:
    """A network, with the weights of a checkpoint, for one mode.

    Attributes:
      weights: all variables by name, as they are in the checkpoint.
      trainable: names of those that an optimizer moves.
    """

    def __init__(self, model: str, task: str, *, training: bool, checkpoint: Path):
        record, reader = catalog.get(model), restore.Reader(checkpoint)
        classes = restore.num_classes(reader, model=record) if task == "classification" else None
        built = slim_graph.build(record, version=_VERSION, num_classes=classes, training=training)
        self._task, self._training, self._built = task, training, built
        self._contract = network.get(model)
        self._images = contract.VERSIONS[_VERSION].images(record.image_size).name
        self._variables = {variable.op.name: variable for variable in built.network.variables}
        self._session = tf.compat.v1.Session(graph=built.graph)
        with built.graph.as_default():
            saver = tf.compat.v1.train.Saver(built.network.variables)
            saver.restore(self._session, str(checkpoint))
        self.weights: Arrays = self._session.run(self._variables)
        self.trainable = {name for name, found in self._variables.items() if found.trainable}

    def outputs(
        self, version: int, batches: Arrays, *, noise: Arrays | None = None
    ) -> dict[str, np.ndarray]:
        """Every output that a module of that version has in this mode, keyed `batch signature:output`, or by the call.

        Args:
          version: whose contract says which output is which tensor of Slim's.
          batches: float32 images `[batch, height, width, 3]`, by name.
          noise: of each batch what dropout draws, `[batch, 1, 1, features]`; in training, what is
            behind it is random without.
        """
        names, outputs = self._names(version), {}
        for batch, images in batches.items():
            feeds = self._feeds(images, None if noise is None else noise[batch])
            found = self._session.run(names, feeds)
            outputs |= {f"{batch} {key}": output for key, output in found.items()}
        return outputs

    def losses(self) -> np.ndarray:
        """The regularization losses, in Slim's order."""
        return np.array(self._session.run(self._built.network.regularization_losses))

    def statistics(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Return the statistics of the batch that moving averages move towards, by name of the average."""
        averages = {
            name: found for name, found in self._variables.items() if name.endswith(MOVING_AVERAGES)
        }
        feeds = {**self._feeds(images), contract.BATCH_NORM_MOMENTUM.name: 0.0}
        with self.holding({}):
            self._session.run(self._built.network.update_ops, feeds)
            return self._session.run(averages)

    def step(
        self,
        images: np.ndarray,
        *,
        rate: float,
        regularized: bool = True,
        noise: np.ndarray | None = None,
    ) -> dict[str, np.ndarray]:
        """Return the trainable variables after a step of gradient descent, by name.

        The loss is the mean square of the logits, else of the feature vector, plus the
        regularization losses, unless they are left out.
        """
        network = self._built.network
        with self._built.graph.as_default():
            outputs = network.feature_vector if network.logits is None else network.logits
            loss = tf.reduce_mean(outputs**2)
            if regularized:
                loss += tf.add_n(network.regularization_losses)
            names = sorted(self.trainable)
            gradients = tf.gradients(loss, [self._variables[name] for name in names])
        found = self._session.run(gradients, self._feeds(images, noise))
        return {
            name: self.weights[name] - np.float32(rate) * gradient
            for name, gradient in zip(names, found, strict=True)
        }

    @contextlib.contextmanager
    def holding(self, weights: Arrays) -> Iterator[None]:
        """With other weights, by name; those of the checkpoint come back."""
        self._assign(weights)
        try:
            yield
        finally:
            self._assign(self.weights)

    def _assign(self, weights: Arrays) -> None:
        initializers = {name: self._variables[name].initializer for name in weights}
        feeds = {initializers[name].inputs[1]: weight for name, weight in weights.items()}
        self._session.run(list(initializers.values()), feeds)

    def _feeds(self, images: np.ndarray, noise: np.ndarray | None = None) -> dict:
        feeds = {self._images: images}
        if noise is not None:
            operations = self._built.graph.get_operations()
            [draw] = [operation for operation in operations if operation.type == "RandomUniform"]
            feeds[draw.outputs[0]] = noise
        return feeds

    def _names(self, version: int) -> dict[str, str]:
        promise = contract.promise(version=version, task=self._task, network=self._contract)
        return {
            f"{signature.name}:{key}": spec.name
            for mode in promise.modes
            if mode.training == self._training
            for signature in mode.applied
            for key, spec in signature.outputs.items()
        }
