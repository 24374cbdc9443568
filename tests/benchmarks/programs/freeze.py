"""Freezes `serving_default` of a module of version 5, for other runtimes.

Usage: python freeze.py MODULE OUTPUT BATCH ...

Writes into OUTPUT, an existing directory, frozen.pb, a graph from `images:0` of any batch size to
`logits:0`; and for each batch size <batch>.tflite, as that format's runtime is slow with others.
"""

import sys
from pathlib import Path

import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

_SIZE = 224


def freeze(signature, batch):
    """The signature as a function without variables, from `images` to `logits`."""

    images = tf.TensorSpec([batch, _SIZE, _SIZE, 3], tf.float32, name="images")
    apply = tf.function(
        lambda images: tf.identity(signature(inputs=images)["logits"], name="logits"),
        input_signature=[images],
        autograph=False,
    )
    return convert_variables_to_constants_v2(apply.get_concrete_function())


def graph_def(frozen):
    """The graph without control edges, as pure operations need no order, and without identities.

    tf2onnx fails on what freezing leaves of both.
    """
    definition = frozen.graph.as_graph_def()
    for node in definition.node:
        node.input[:] = [name for name in node.input if not name.startswith("^")]
    definition = tf.compat.v1.graph_util.remove_training_nodes(definition, ["logits"])
    return tf.compat.v1.graph_util.extract_sub_graph(definition, ["logits"])


directory, output, *batches = sys.argv[1:]
# Its signatures keep no variables alive.
module = tf.saved_model.load(directory)
signature = module.signatures["serving_default"]
frozen = graph_def(freeze(signature, None))
Path(output, "frozen.pb").write_bytes(frozen.SerializeToString(deterministic=True))
for batch in batches:
    converter = tf.lite.TFLiteConverter.from_concrete_functions([freeze(signature, int(batch))])
    Path(output, f"{batch}.tflite").write_bytes(converter.convert())
