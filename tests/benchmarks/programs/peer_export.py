"""Exports version 3 the original way: `hub.create_module_spec` on TensorFlow 1.15 and stock Slim.

Usage: python peer_export.py CHECKPOINTS OUTPUT MODEL/TASK ...

CHECKPOINTS is a directory with <model>.ckpt; all modules are exported by the one process. Prints
the seconds of imports and of each stage as JSON, as our export does. It neither reloads nor checks
what it wrote.
"""

import json
import os
import sys
import time

started = time.perf_counter()

import tensorflow as tf
import tensorflow_hub as hub
import tf_slim as slim
from tf_slim.nets import inception

imported = time.perf_counter()

SIZE = 224
CLASSES = 1001
KEEP_PROBABILITY = 0.8
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


def build(model, images, momentum, is_training, classify):
    """Builds a network; gives the outputs of each task, those of version 3."""
    scope, arg_scope, base, head = MODELS[model]
    batch_norm = {
        "decay": momentum,
        "epsilon": 0.001,
        "updates_collections": tf.compat.v1.GraphKeys.UPDATE_OPS,
        "is_training": is_training,
    }
    with slim.arg_scope(arg_scope()), slim.arg_scope(
        [slim.conv2d], normalizer_params=batch_norm
    ), tf.compat.v1.variable_scope(scope) as entered:
        net, end_points = base(images * 2.0 - 1.0, scope=entered)
        with tf.compat.v1.variable_scope("Logits"):
            net = tf.reduce_mean(net, [1, 2], keepdims=True, name="global_pool")
            end_points["global_pool"] = net
            end_points = {scope + "/" + key: value for key, value in end_points.items()}
            features = tf.squeeze(net, [1, 2])
            outputs = {"image_feature_vector": dict(end_points, default=features)}
            if classify:
                net = slim.dropout(net, KEEP_PROBABILITY, is_training=is_training)
                net = slim.conv2d(
                    net, CLASSES, [1, 1], activation_fn=None, normalizer_fn=None, scope=head
                )
                logits = tf.squeeze(net, [1, 2])
                end_points[scope + "/Logits"] = logits
                end_points[scope + "/Predictions"] = tf.nn.softmax(logits)
                outputs["image_classification"] = dict(end_points, default=logits)
    return outputs


def module_spec(model, classify):
    """The module with the signatures and tag sets of version 3."""

    def module_fn(is_training):
        with tf.name_scope("hub_input"):
            images = tf.compat.v1.placeholder(tf.float32, [None, None, None, 3], name="images")
        momentum = tf.compat.v1.placeholder_with_default(0.99, [], name="batch_norm_momentum")
        outputs = build(model, images, momentum, is_training, classify)
        given = {"images": images}
        with_momentum = {"images": images, "batch_norm_momentum": momentum}
        for name in outputs:
            hub.add_signature(name, given, outputs[name])
            hub.add_signature(name + "_with_bn_hparams", with_momentum, outputs[name])
        task = "image_classification" if classify else "image_feature_vector"
        hub.add_signature("default", given, {"default": outputs[task]["default"]})
        info = hub.ImageModuleInfo()
        info.default_image_size.height = info.default_image_size.width = SIZE
        hub.attach_image_module_info(info)

    return hub.create_module_spec(
        module_fn,
        tags_and_args=[(set(), {"is_training": False}), ({"train"}, {"is_training": True})],
        # Slim's own, which the library refuses.
        drop_collections=["moving_vars"],
    )


def export(checkpoints, output, module):
    """Exports a module; gives the seconds of each stage."""
    model, task = module.split("/")
    began = time.perf_counter()
    spec = module_spec(model, task == "classification")
    built = time.perf_counter()
    checkpoint = os.path.join(checkpoints, model + ".ckpt")
    spec.export(os.path.join(output, module, "3"), checkpoint_path=checkpoint)
    return {"building": built - began, "writing": time.perf_counter() - built}


checkpoints, output = sys.argv[1:3]
modules = [{"stages": export(checkpoints, output, module)} for module in sys.argv[3:]]
print(json.dumps({"importing": imported - started, "modules": modules}))
