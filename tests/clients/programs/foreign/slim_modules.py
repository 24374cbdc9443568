"""Modules as they were first made: networks of stock TF-Slim, signed by `hub.create_module_spec`.

For TensorFlow 1.15. The keywords of `module_spec` are what versions differ in, and what can be wrong.
"""

import tensorflow as tf
import tensorflow_hub as hub
import tf_slim as slim
from tf_slim.nets import inception

SIZE = 224
CLASSES = 1001
KEEP_PROBABILITY = 0.8
UPDATE_OPS = tf.compat.v1.GraphKeys.UPDATE_OPS
# By model: scope, arg scope, network up to its last feature map, and the head's convolution.
MODELS = {
    "inception_v1": (
        "InceptionV1",
        inception.inception_v1_arg_scope,
        inception.inception_v1_base,
        "Conv2d_0c_1x1",
    ),
    "inception_v2": (
        "InceptionV2",
        inception.inception_v2_arg_scope,
        inception.inception_v2_base,
        "Conv2d_1c_1x1",
    ),
}


def build(model, images, momentum, is_training, classes, batch_statistics, fused):
    """Build a network on rescaled images; return the end points of each task, and its output as `default`."""
    scope, arg_scope, base, head = MODELS[model]
    batch_norm = {
        "decay": momentum,
        "epsilon": 0.001,
        "updates_collections": UPDATE_OPS,
        "is_training": batch_statistics,
        "fused": fused,
    }
    with slim.arg_scope(arg_scope()), slim.arg_scope(
        [slim.conv2d], normalizer_params=batch_norm
    ), tf.compat.v1.variable_scope(scope) as entered:
        net, end_points = base(images, scope=entered)
        with tf.compat.v1.variable_scope("Logits"):
            net = tf.reduce_mean(net, [1, 2], keepdims=True, name="global_pool")
            end_points["global_pool"] = pooled = net
            end_points = {scope + "/" + key: value for key, value in end_points.items()}
            outputs = {"image_feature_vector": dict(end_points)}
            if classes:
                net = slim.dropout(net, KEEP_PROBABILITY, is_training=is_training)
                net = slim.conv2d(
                    net, classes, [1, 1], activation_fn=None, normalizer_fn=None, scope=head
                )
                logits = tf.squeeze(net, [1, 2], name="SpatialSqueeze")
                end_points[scope + "/Logits"] = logits
                end_points[scope + "/Predictions"] = tf.nn.softmax(logits)
                outputs["image_classification"] = dict(end_points, default=logits)
    with tf.name_scope("hub_output/feature_vector"):
        features = tf.squeeze(pooled, [1, 2], name="SpatialSqueeze")
    outputs["image_feature_vector"]["default"] = features
    return outputs


def module_spec(
    model,
    classify,
    classes=CLASSES,
    any_size=True,
    momentum=0.99,
    settable_momentum=True,
    attached=True,
    class_names=None,
    name_scope="",
    use_resource=True,
    dtype="float32",
    fused=True,
    rescaled=True,
    bgr=False,
    missing=(),
    probabilities=False,
    batch_statistics=False,
    updates=False,
    train=True,
):
    """Return a module; by default, one with the signatures and tag sets of version 3.

    Args:
      model: a key of `MODELS`.
      classify: whether it classifies.
      classes: number of classes.
      any_size: whether images may have another size than `SIZE`.
      momentum: default of batch norm's momentum.
      settable_momentum: whether there are signatures that take the momentum.
      attached: whether the size of images is attached.
      class_names: path of a file that becomes an asset of the module.
      name_scope: of all operations.
      use_resource: whether variables are resources, as the library makes them by default.
      dtype: of everything.
      fused: whether batch norm is one operation, which is for float32 only.
      rescaled: whether images are rescaled from [0, 1] to [-1, 1].
      bgr: whether the network gets the channels in reverse order.
      missing: keys of end points that no signature has.
      probabilities: whether it returns probabilities in place of logits.
      batch_statistics: whether batch norm uses the statistics of the batch at inference, too.
      updates: whether there are updates of the moving averages at inference, too.
      train: whether there is the tag set for training.
    """

    def module_fn(is_training):
        with tf.name_scope(name_scope), tf.compat.v1.variable_scope("", use_resource=use_resource):
            define(is_training)

    def define(is_training):
        with tf.name_scope("hub_input"):
            size = None if any_size else SIZE
            images = tf.compat.v1.placeholder(dtype, [None, size, size, 3], name="images")
            decay = momentum
            if settable_momentum:
                decay = tf.compat.v1.placeholder_with_default(
                    momentum, [], name="batch_norm_momentum"
                )
            net = tf.reverse(images, [3]) if bgr else images
            if rescaled:
                net = tf.subtract(tf.multiply(net, 2.0, name="Mul"), 1.0, name="Sub")
        outputs = build(
            model,
            net,
            decay,
            is_training,
            classes if classify else None,
            batch_statistics or is_training,
            fused,
        )
        if not is_training:
            del tf.compat.v1.get_collection_ref(UPDATE_OPS)[:]
            if updates:
                averages = [v for v in slim.get_model_variables() if "/moving_" in v.op.name]
                for average in averages:
                    update = tf.compat.v1.assign(average, average * momentum)
                    tf.compat.v1.add_to_collection(UPDATE_OPS, update.op)
        for name, tensors in outputs.items():
            if probabilities and name == "image_classification":
                probable = tensors[MODELS[model][0] + "/Predictions"]
                tensors.update({"default": probable, MODELS[model][0] + "/Logits": probable})
            tensors = {key: tensor for key, tensor in tensors.items() if key not in missing}
            outputs[name] = tensors
            hub.add_signature(name, {"images": images}, tensors)
            if settable_momentum:
                given = {"images": images, "batch_norm_momentum": decay}
                hub.add_signature(name + "_with_bn_hparams", given, tensors)
        task = "image_classification" if classify else "image_feature_vector"
        hub.add_signature("default", {"images": images}, {"default": outputs[task]["default"]})
        if attached:
            info = hub.ImageModuleInfo()
            info.default_image_size.height = info.default_image_size.width = SIZE
            hub.attach_image_module_info(info)
        if class_names is not None:
            path = tf.constant(class_names)
            tf.compat.v1.add_to_collection(tf.compat.v1.GraphKeys.ASSET_FILEPATHS, path)

    tags_and_args = [(set(), {"is_training": False}), ({"train"}, {"is_training": True})]
    return hub.create_module_spec(
        module_fn, tags_and_args=tags_and_args if train else tags_and_args[:1]
    )
