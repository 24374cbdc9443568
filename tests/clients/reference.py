"""What consumers are compared with: the Slim graph, run straight from the checkpoint."""

import functools
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf

from slimhub.export import restore, slim_graph
from slimhub.models import catalog
from slimhub.signatures import contract
from slimhub.signatures.interface import MOVING_AVERAGES

Arrays = Mapping[str, np.ndarray]

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
        build = functools.partial(slim_graph.build, record, version=_VERSION, num_classes=classes)
        built = build(training=training)
        self._task, self._training = task, training
        self._interface = slim_graph.interface(record, built.network)
        self._network, self._draws = (
            built.network,
            [op.outputs[0] for op in built.graph.get_operations() if op.type == "RandomUniform"],
        )
        self._session = tf.compat.v1.Session(graph=built.graph)
        with built.graph.as_default():
            tf.compat.v1.train.Saver(built.network.variables).restore(
                self._session, str(checkpoint)
            )
        variables = {variable.op.name: variable for variable in built.network.variables}
        self._averages = {
            name: variable for name, variable in variables.items() if is_average(name)
        }
        self.weights: Arrays = self._session.run(variables)
        self.trainable = {name for name, variable in variables.items() if variable.trainable}

    def outputs(
        self, version: int, batches: Arrays, *, noise: Arrays | None = None
    ) -> dict[str, np.ndarray]:
        """Every output that a module of that version has in this mode, keyed `batch signature:output`.

        Args:
          version: whose contract says which output is which tensor of Slim's.
          batches: float32 images `[batch, height, width, 3]`, by name.
          noise: of each batch what dropout draws, `[batch, 1, 1, features]`; in training, what is
            behind it is random without.
        """
        names, outputs = self._names(version), {}
        for batch, images in batches.items():
            feeds = {self._images: images}
            if noise is not None:
                [draw] = self._draws
                feeds[draw] = noise[batch]
            found = self._session.run(names, feeds)
            outputs |= {f"{batch} {key}": output for key, output in found.items()}
        return outputs

    def statistics(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Of the batch, what each moving average moves to, by name of the average."""
        assert self._training
        feeds = {self._images: images, contract.BATCH_NORM_MOMENTUM.name: 0.0}
        self._session.run(self._network.update_ops, feeds)
        return self._session.run(self._averages)

    def losses(self) -> np.ndarray:
        """The regularization losses, in Slim's order."""
        return np.array(self._session.run(self._network.regularization_losses))

    def _names(self, version: int) -> dict[str, str]:
        promise = contract.promise(version=version, task=self._task, interface=self._interface)
        return {
            f"{signature.name}:{key}": spec.name
            for mode in promise.modes
            if mode.training == self._training
            for signature in mode.signatures
            for key, spec in signature.outputs.items()
        }

    @property
    def _images(self) -> str:
        return contract.VERSIONS[_VERSION].images(self._interface.image_size).name


def is_average(name: str) -> bool:
    """Whether a variable is a moving average of batch norm."""
    return name.endswith(MOVING_AVERAGES)


def moved(before: Arrays, statistics: Arrays, *, momentum: float) -> dict[str, np.ndarray]:
    """What the moving averages are after one update, in float64."""
    return {
        name: before[name].astype(np.float64) * momentum
        + (1 - momentum) * statistics[name].astype(np.float64)
        for name in statistics
    }
