"""Build a network of the catalog in the current graph, with slimhub's head in place of the stock one.

The stock heads of tf_slim's Inceptions pool over a fixed window and always classify, and VGG's head
returns a map for larger images. The head here pools globally, so it accepts any image size, and its
classification layer is optional. Operations and variables have the names of stock Slim.

VGG's `fc7` is pooled before `fc8`, not after it. `fc8` is linear, so the logits are the same. In
training, dropout then acts on the pooled features.
"""

import dataclasses

import tensorflow as tf

from slimhub.models import slim
from slimhub.models.model import Model


@dataclasses.dataclass(frozen=True, kw_only=True)
class Network:
    """The tensors of a network in a graph. All of them are float32.

    Attributes:
      feature_vector: `[batch, num_features]`; the head's dropout never acts on it.
      end_points: Slim's end points up to the global pool, `[batch, height, width, channels]`,
        keyed `Scope/EndPoint`, in order of construction.
      logits: `[batch, num_classes]`; None without a classification layer.
      predictions: softmax of `logits`, `[batch, num_classes]`, in [0, 1]; None without a classification
        layer.
      update_ops: updates of the moving mean and the moving variance of each batch norm; empty unless
        training.
      regularization_losses: scalars, L2 losses times weight decay, one for each regularized kernel.
      variables: all variables, in order of construction; an optimizer changes those that are `trainable`.
    """

    feature_vector: tf.Tensor
    end_points: dict[str, tf.Tensor]
    logits: tf.Tensor | None
    predictions: tf.Tensor | None
    update_ops: list[tf.Operation]
    regularization_losses: list[tf.Tensor]
    variables: list[tf.Variable]

    @property
    def outputs(self) -> list[tf.Tensor]:
        """Return all tensors that a module may have as outputs."""
        head = [tensor for tensor in (self.logits, self.predictions) if tensor is not None]
        return [self.feature_vector, *self.end_points.values(), *head]


def build(
    model: Model,
    images: tf.Tensor,
    *,
    training: bool,
    batch_norm_momentum: float | tf.Tensor | None,
    num_classes: int | None,
) -> Network:
    """Build `model` in the current graph.

    Args:
      model: the network.
      images: float32 `[batch, height, width, 3]`, RGB in [0, 1], at least `model.min_image_size`.
      training: whether batch norm uses the batch's statistics and updates its moving averages, and
        dropout is active.
      batch_norm_momentum: decay of the moving averages, a scalar in [0, 1]. It is ignored unless training,
        and by networks without batch norm.
      num_classes: length of the logits; None leaves the classification layer out.

    Returns:
      The network's tensors. All variables are zero until they are restored.
    """
    with tf.name_scope("hub_input/"):
        scaled = tf.multiply(images, model.input_scale, name="Mul")
        offsets = tf.constant(model.input_offsets, tf.float32, name="Sub/y")
        inputs = tf.subtract(scaled, offsets, name="Sub")
    with (
        slim.network_scope(model, training=training, batch_norm_momentum=batch_norm_momentum),
        tf.compat.v1.variable_scope(model.scope) as scope,
    ):
        feature_map, end_points = model.build_base(model, inputs, training=training, scope=scope)
        pool = tf.reduce_mean(feature_map, [1, 2], keepdims=True, name=model.pool)
        logits = predictions = None
        if num_classes is not None:
            logits, predictions = _head(model, pool, num_classes=num_classes, training=training)
    with tf.name_scope("hub_output/feature_vector/"):
        feature_vector = tf.squeeze(pool, [1, 2], name="SpatialSqueeze")
    end_points[f"{model.scope}/global_pool"] = pool
    collection = tf.compat.v1.get_collection
    return Network(
        feature_vector=feature_vector,
        end_points=end_points,
        logits=logits,
        predictions=predictions,
        update_ops=[update.op for update in collection(slim.UPDATE_OPS)],
        regularization_losses=collection(tf.compat.v1.GraphKeys.REGULARIZATION_LOSSES),
        variables=collection(tf.compat.v1.GraphKeys.GLOBAL_VARIABLES),
    )


def _head(model: Model, pool: tf.Tensor, *, num_classes: int, training: bool):
    net = pool
    if model.dropout is not None:
        net = slim.dropout(net, model.dropout_keep_prob, training=training, name=model.dropout)
    net = slim.conv2d(
        net, num_classes, [1, 1], activation_fn=None, normalizer_fn=None, scope=model.head
    )
    logits = tf.squeeze(net, [1, 2], name=model.squeeze)
    return logits, slim.softmax(logits, scope=model.predictions)
