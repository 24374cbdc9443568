"""Converts a SavedModel to TFLite, with weights in half precision."""

import sys

import tensorflow as tf

module, file = sys.argv[1:]
converter = tf.lite.TFLiteConverter.from_saved_model(module)
converter.optimizations = [tf.lite.Optimize.DEFAULT]
converter.target_spec.supported_types = [tf.float16]
with open(file, "wb") as output:
    output.write(converter.convert())
