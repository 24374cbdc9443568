"""Runs a network in TensorFlow.

Usage: python infer_tensorflow.py IMAGES LOGITS THREADS KIND PATH
"""

import sys

import answering
import numpy as np
import tensorflow as tf
import tensorflow_hub as hub

images, logits, threads, kind, path = sys.argv[1:]
tf.config.threading.set_intra_op_parallelism_threads(int(threads))
tf.config.threading.set_inter_op_parallelism_threads(int(threads))
images = np.load(images)


def keras_layer():
    layer = hub.KerasLayer(path)
    return lambda images: layer(images).numpy()


def signature():
    loaded = hub.load(path)
    name = "serving_default" if "serving_default" in loaded.signatures else "default"
    apply = loaded.signatures[name]
    [key] = apply.structured_input_signature[1]
    [output] = apply.structured_outputs
    return lambda images: apply(**{key: tf.constant(images)})[output].numpy()


def frozen():
    graph_def = tf.compat.v1.GraphDef()
    with open(path, "rb") as file:
        graph_def.ParseFromString(file.read())
    imported = tf.compat.v1.wrap_function(
        lambda: tf.graph_util.import_graph_def(graph_def, name=""), []
    )
    apply = imported.prune("images:0", "logits:0")
    return lambda images: apply(tf.constant(images)).numpy()


apply = {"keras_layer": keras_layer, "signature": signature, "frozen": frozen}[kind]()
batches = dict.fromkeys((1, len(images)), apply)
answering.infer(batches, images, logits, "TensorFlow " + tf.__version__)
