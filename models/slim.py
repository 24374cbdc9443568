"""The only part of slimhub that imports tf_slim: it repairs what is broken there, and configures its layers.

tf-slim 1.1.0 is the last release and predates current TensorFlow (2.13 and later). Two parts of
it no longer work; `tests/models/test_slim.py` fails as soon as either changes:

1. `tf_slim.layers.utils` reads `tensorflow.python.framework.ops.Tensor` to build a batch norm.
   TensorFlow removed that name. This file restores it.
2. `batch_norm` calls Keras code that no longer exists, but only if `updates_collections` has
   its default. With any other collection it builds the fused batch norm itself, with the same
   names. So this file passes `UPDATE_OPS`.
"""

import contextlib
import warnings
from collections.abc import Iterator

import tensorflow as tf
import tf_slim as slim
import tf_slim.nets

from slimhub.models.model import Model
from slimhub.support.tf_private import ops

if not hasattr(ops, "Tensor"):
    ops.Tensor = tf.Tensor

# The collection of the moving averages' updates; see repair 2.
UPDATE_OPS = "slimhub_update_ops"

arg_scope = slim.arg_scope
conv2d = slim.conv2d
convert_collection_to_dict = slim.utils.convert_collection_to_dict
max_pool2d = slim.max_pool2d
nets = tf_slim.nets
repeat = slim.repeat
softmax = slim.softmax


def dropout(net: tf.Tensor, keep_prob: float | None, *, training: bool, name: str) -> tf.Tensor:
    """Apply dropout to `net` in training, if the network has any; return `net` otherwise.

    Stock Slim's dropout uses a Keras layer that is deprecated.
    """
    if keep_prob is None or not training:
        return net
    return tf.nn.dropout(net, rate=1 - keep_prob, name=name)


@contextlib.contextmanager
def network_scope(model: Model, *, training: bool, batch_norm_momentum) -> Iterator[None]:
    """Enter the arg scope of a network: Slim's settings, the repairs, and constant initializers.

    Args:
      model: the network.
      training: whether batch norm uses the batch's statistics, and adds its updates to `UPDATE_OPS`.
      batch_norm_momentum: decay of the moving averages, a float or a scalar float32 tensor. It is ignored
        unless training, and by networks without batch norm.
    """
    # Of the function itself, because some bases also call it without a convolution.
    norms = (
        {}
        if model.batch_norm is None
        else {
            "is_training": training,
            "decay": batch_norm_momentum,
            "epsilon": model.batch_norm.epsilon,
            "scale": model.batch_norm.gamma,
            "updates_collections": UPDATE_OPS,
        }
    )
    with (
        warnings.catch_warnings(),
        tf.compat.v1.variable_scope("", custom_getter=_zero_initialized, use_resource=True),
        arg_scope([slim.batch_norm], **norms),
        arg_scope(
            [conv2d],
            weights_regularizer=slim.l2_regularizer(model.weight_decay),
            normalizer_fn=slim.batch_norm if norms else None,
        ),
    ):
        # Every layer of tf_slim calls `layer.apply`.
        warnings.filterwarnings("ignore", message="`layer.apply` is deprecated")
        yield


def _zero_initialized(getter, name, *args, **kwargs):
    # Weights always come from a checkpoint: random initializers would only make the graph larger.
    kwargs["initializer"] = _zeros
    return getter(name, *args, **kwargs)


def _zeros(shape, dtype=tf.float32, partition_info=None) -> tf.Tensor:
    del partition_info
    # Unlike `tf.zeros`, this is one small node for any shape.
    return tf.constant(0, shape=shape, dtype=dtype)
