"""A module of slimhub as a layer of Keras 3."""

import contextlib
import difflib
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from slimhub.keras import network, sources
from slimhub.keras.network import Network
from slimhub.signatures.contract.network import MOVING_AVERAGES
from slimhub.signatures.module.directory import UnreadableError
from slimhub.signatures.module.module import Module
from slimhub.support import tf_checkpoint


@keras.saving.register_keras_serializable(package="slimhub")
class ModuleLayer(keras.layers.Layer):
    """A module of version 5 or 4 as a layer.

    It takes float32 images `[batch, height, width, 3]`, RGB in [0, 1], and returns float32 logits
    `[batch, classes]` or feature vectors `[batch, features]`, whichever the module is for.

    Its variables are Keras' own, with Slim's names, so any optimizer trains them. It computes in float32
    under any policy: images are cast to float32, and outputs to the policy's compute dtype.

    In training (`training=True`, as in `fit`), batch norm uses the statistics of the batch and moves its
    moving averages, and dropout is active. A layer that is not trainable is always at inference, as
    Keras' own BatchNormalization is: nothing in it changes.

    A model that has it is saved with the network and its weights, and is loaded without the module. A layer
    that is made from a configuration alone, as by `keras.models.clone_model`, has the weights of the module
    if that is still where it was; if not, it must be given others before it is used.

    Args:
      path: directory of the module, its archive (.tar.gz), or the http(s) URL of one or the other.
      trainable: whether the layer is trained.
      batch_norm_momentum: by which moving averages are multiplied in training, in [0, 1]. Networks
        without batch norm ignore it.
      endpoints: keys of end points, such as `InceptionV1/Mixed_4e`. With these, the layer returns a
        dictionary of them and of the output, `default`.
      l2_losses: whether `losses` has the L2 losses of the module's kernels, while the layer is trainable.
      **kwargs: arguments of `keras.layers.Layer`.

    Raises:
      UnreadableError: there is no such module, it was changed, or it is of version 1 or 3.
      ValueError: an end point or the momentum makes no sense.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        trainable: bool = False,
        batch_norm_momentum: float = 0.99,
        endpoints: Iterable[str] | None = None,
        l2_losses: bool = True,
        **kwargs,
    ):
        # Of a configuration, `network` stands for the module.
        saved = kwargs.pop("network", None)
        super().__init__(trainable=trainable, autocast=False, **kwargs)
        if not 0 <= batch_norm_momentum <= 1:
            raise ValueError(f"batch_norm_momentum: expected 0 to 1, got {batch_norm_momentum}")
        self._source = os.fspath(path)
        self.batch_norm_momentum, self.l2_losses = batch_norm_momentum, l2_losses
        self.endpoints = None if endpoints is None else tuple(endpoints)
        if saved is None:
            with sources.opened(self._source) as module:
                self._create(network.read(module), module.read_variable)
            self._missing = False
        else:
            found = Network.from_config(saved)
            values = _values(found, self._source)
            # ReLU would hide that they are NaN.
            self._missing = values is None
            shapes = {name: variable.shape for name, variable in found.contract.variables.items()}
            self._create(found, values or (lambda name: np.full(shapes[name], np.nan, np.float32)))

    def _create(self, found: Network, values: Callable[[str], np.ndarray]) -> None:
        """Make the variables, of the values that a function returns for their names."""
        for key in self.endpoints or ():
            if key not in found.outputs:
                nearest = difflib.get_close_matches(key, found.outputs, n=3)
                raise ValueError(
                    f"endpoints: {found.handle} has no {key}; the nearest are {', '.join(nearest)}"
                )
        self._network = found
        self._seeds = keras.random.SeedGenerator() if found.contract.random_in_training else None
        # Sorted, as in the module.
        names = sorted(found.contract.variables)
        self._by_name = {name: self._variable(name, values(name)) for name in names}
        if not self.trainable:
            # Only now: Keras has taken note of those that the layer trains while it is trainable.
            for variable in self._by_name.values():
                variable.trainable = False
        self.built = True

    def _variable(self, name: str, value: np.ndarray) -> keras.Variable:
        record = self._network.contract.variables[name]
        average = name.endswith(MOVING_AVERAGES)
        *scopes, last = name.split("/")
        with contextlib.ExitStack() as stack:
            for scope in (self.name, *scopes):
                stack.enter_context(keras.name_scope(scope))
            variable = keras.Variable(
                value,
                trainable=record.trainable,
                dtype="float32",
                autocast=False,
                name=last,
                # Under a distribution strategy, each replica moves averages by its own batch.
                **({"aggregation": "mean"} if average else {}),
            )
        if record.regularized and self.l2_losses:
            # Keras' L2 is without the half.
            variable.regularizer = keras.regularizers.L2(self._network.contract.weight_decay / 2)
        return variable

    def call(self, inputs, training: bool | None = None):
        """Apply the network; see the class."""
        found, training = self._network, bool(training) and self.trainable
        self._refuse_missing()
        outputs = found.outputs
        keys = ["default", *(self.endpoints or ())]
        arguments = {"images": tf.cast(inputs, tf.float32)}
        if found.takes_momentum:
            arguments["batch_norm_momentum"] = tf.constant(self.batch_norm_momentum, tf.float32)
        function = found.training if training else found.inference
        tensors = function.run(
            arguments,
            fetches=[outputs[key] for key in keys],
            read=lambda name: tf.convert_to_tensor(self._by_name[name].value),
            update=lambda name, delta: self._by_name[name].assign_sub(delta),
            draw=lambda shape: keras.random.uniform(shape, dtype="float32", seed=self._seeds),
        )
        results = {
            key: tf.cast(tensor, self.compute_dtype)
            for key, tensor in zip(keys, tensors, strict=True)
        }
        return results["default"] if self.endpoints is None else results

    def compute_output_spec(self, *args, **kwargs):
        """Return the shapes and dtypes of the outputs; it needs no weights."""
        missing, self._missing = self._missing, False
        try:
            return super().compute_output_spec(*args, **kwargs)
        finally:
            self._missing = missing

    def _refuse_missing(self) -> None:
        """Raise `ValueError` if the layer was made without weights, and has not been given any."""
        if self._missing:
            with tf.init_scope():
                variable = next(iter(self._by_name.values()))
                self._missing = bool(np.isnan(variable.numpy()).all())
        if self._missing:
            raise ValueError(
                f"{self.name} has no weights: {self._network.handle} is not at {self._source}, and no others "
                "were loaded"
            )

    def save_checkpoint(
        self, path: str | os.PathLike, head: keras.layers.Dense | None = None
    ) -> None:
        """Write the weights as a checkpoint of TensorFlow, with Slim's names, which `slimhub-export` takes.

        Args:
          path: prefix of the checkpoint's files, `--checkpoint`; its directory must exist.
          head: a Dense layer on the feature vectors, which becomes the classification layer of a module for
            classification; not for modules that have one.

        Raises:
          ValueError: the head doesn't fit.
          tf.errors.OpError: the files can't be written.
        """
        weights = {name: variable.numpy() for name, variable in self._by_name.items()}
        if head is not None:
            weights |= self._head(head)
        tf_checkpoint.write(path, weights)

    def _head(self, head: keras.layers.Dense) -> Mapping[str, np.ndarray]:
        [_, features] = self._network.contract.feature_vector.shape
        scope = self._network.head
        kernel = head.kernel.numpy()
        if scope is None or self._network.contract.logits is not None:
            raise ValueError(f"head: {self._network.handle} can't have another one")
        if kernel.shape[0] != features or head.bias is None:
            raise ValueError(
                f"head: expected a Dense layer with a bias on {features} features, got a kernel of {kernel.shape}"
            )
        return {f"{scope}/weights": kernel[None, None], f"{scope}/biases": head.bias.numpy()}

    def get_config(self) -> dict:
        """Return the arguments, and the network as text."""
        return {
            **super().get_config(),
            "path": self._source,
            "trainable": self.trainable,
            "batch_norm_momentum": self.batch_norm_momentum,
            "endpoints": None if self.endpoints is None else list(self.endpoints),
            "l2_losses": self.l2_losses,
            "network": self._network.to_config(),
        }


def _values(found: Network, path: str) -> Callable[[str], np.ndarray] | None:
    """Return a function that reads a variable of the module; None if it isn't in that directory."""
    module = Module(Path(path))
    try:
        same = os.path.isdir(path) and network.read(module).handle == found.handle
    except UnreadableError:
        return None
    return module.read_variable if same else None
