"""Converts the function for inference of a SavedModel without signatures to TFLite."""

import sys

import tensorflow as tf

module, file = sys.argv[1:]
loaded = tf.saved_model.load(module)
converter = tf.lite.TFLiteConverter.from_concrete_functions(loaded.serve.concrete_functions, loaded)
with open(file, "wb") as output:
    output.write(converter.convert())
