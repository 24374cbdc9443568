"""The one seam to tf_slim: what is broken in it, and how it is set up here.

tf-slim 1.1.0 is its last release and predates current TensorFlow (2.13 and later).
Two things of it no longer work; `tests/test_slim.py` says so as soon as either changes:

1. `tf_slim.layers.utils` reads `tensorflow.python.framework.ops.Tensor` whenever it builds
   a batch norm, a name that TensorFlow removed. It is put back.
2. `batch_norm` delegates to Keras code that no longer exists, if and only if its
   `updates_collections` is the default. With any other collection it builds the
   fused batch norm itself, with the same names: hence `UPDATE_OPS` below.
"""

import contextlib
import warnings
from collections.abc import Iterator

import tensorflow as tf
import tf_slim as slim
import tf_slim.nets
from tensorflow.python.framework import ops

from slimhub.models.catalog import Model

if not hasattr(ops, "Tensor"):
    ops.Tensor = tf.Tensor

# Collects the updates of the moving averages; see repair 2.
UPDATE_OPS = "slimhub_update_ops"

arg_scope = slim.arg_scope
conv2d = slim.conv2d
convert_collection_to_dict = slim.utils.convert_collection_to_dict
max_pool2d = slim.max_pool2d
nets = tf_slim.nets
repeat = slim.repeat
softmax = slim.softmax


def dropout(net: tf.Tensor, keep_prob: float, *, training: bool, name: str) -> tf.Tensor:
    """Dropout in training, else nothing: without the Keras layer, since deprecated, of stock Slim's."""
    return tf.nn.dropout(net, rate=1 - keep_prob, name=name) if training else net


@contextlib.contextmanager
def network_scope(model: Model, *, training: bool, batch_norm_momentum) -> Iterator[None]:
    """Slim's own arg scope of the network, with the repairs and with constant initializers.

    Args:
      model: which network.
      training: whether batch norm uses the statistics of the batch, and adds its updates to `UPDATE_OPS`.
      batch_norm_momentum: decay of the moving averages; a float or a scalar float32 tensor. Unused unless
        training, and without batch norm.
    """
    norms = (
        {}
        if model.batch_norm is None
        else {
            "normalizer_fn": slim.batch_norm,
            "normalizer_params": {
                "is_training": training,
                "decay": batch_norm_momentum,
                "epsilon": model.batch_norm.epsilon,
                "scale": model.batch_norm.gamma,
                "updates_collections": UPDATE_OPS,
            },
        }
    )
    with (
        warnings.catch_warnings(),
        tf.compat.v1.variable_scope("", custom_getter=_zero_initialized, use_resource=True),
        arg_scope([conv2d], weights_regularizer=slim.l2_regularizer(model.weight_decay), **norms),
    ):
        # tf_slim's layers call it, at every layer.
        warnings.filterwarnings("ignore", message="`layer.apply` is deprecated")
        yield


def _zero_initialized(getter, name, *args, **kwargs):
    # Weights always come from a checkpoint: random initializers would only weigh the graph down.
    kwargs["initializer"] = _zeros
    return getter(name, *args, **kwargs)


def _zeros(shape, dtype=tf.float32, partition_info=None) -> tf.Tensor:
    del partition_info
    # Unlike tf.zeros, one small node whatever the shape.
    return tf.constant(0, shape=shape, dtype=dtype)
