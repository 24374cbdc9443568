"""Converts the function for inference of a SavedModel without signatures to ONNX."""

import sys

import tensorflow as tf
import tf2onnx

module, file = sys.argv[1:]
loaded = tf.saved_model.load(module)
images = tf.TensorSpec([None, None, None, 3], tf.float32, name="inputs")
tf2onnx.convert.from_function(loaded.serve, [images], output_path=file)
