"""The networks up to their last feature map: one builder a family, by the name that the catalog has.

Each takes the model, its images (float32 `[batch, height, width, 3]`, rescaled), whether it is built
for training, and the entered variable scope of the network. It returns the last feature map, float32
`[batch, height', width', model.num_features]`, and Slim's end points up to there, by
`Scope/EndPoint`, in the order of their construction.
"""

import operator

import tensorflow as tf

from slimhub.models import slim
from slimhub.models.catalog import Model

EndPoints = dict[str, tf.Tensor]


def inception(
    model: Model, inputs: tf.Tensor, *, training: bool, scope
) -> tuple[tf.Tensor, EndPoints]:
    """The stock base, whose end points have no scope before them."""
    del training
    net, end_points = operator.attrgetter(model.layers)(slim.nets)(inputs, scope=scope)
    return net, {f"{model.scope}/{name}": tensor for name, tensor in end_points.items()}


def resnet_v1(
    model: Model, inputs: tf.Tensor, *, training: bool, scope
) -> tuple[tf.Tensor, EndPoints]:
    """The stock network, which ends here without classes and without a global pool."""
    stock = operator.attrgetter(model.layers)(slim.nets)
    with slim.arg_scope([slim.max_pool2d], padding="SAME"):
        return stock(inputs, num_classes=None, is_training=training, global_pool=False, scope=scope)


def vgg(model: Model, inputs: tf.Tensor, *, training: bool, scope) -> tuple[tf.Tensor, EndPoints]:
    """VGG up to `fc7`: the stock network always classifies."""
    outputs = f"{scope.name}_end_points"
    net = inputs
    with slim.arg_scope([slim.conv2d, slim.max_pool2d], outputs_collections=outputs):
        for block, convolutions in enumerate(model.layers, start=1):
            depth = min(64 << (block - 1), 512)
            net = slim.repeat(net, convolutions, slim.conv2d, depth, [3, 3], scope=f"conv{block}")
            net = slim.max_pool2d(net, [2, 2], scope=f"pool{block}")
        net = slim.conv2d(net, model.num_features, [7, 7], padding="VALID", scope="fc6")
        net = slim.dropout(net, model.dropout_keep_prob, training=training, name="dropout6")
        net = slim.conv2d(net, model.num_features, [1, 1], scope="fc7")
    return net, slim.convert_collection_to_dict(outputs)
