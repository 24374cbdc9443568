"""Merely reads a checkpoint and writes it as the variables of a module.

Usage: python copy_weights.py CHECKPOINT PREFIX

Prints the bytes of the arrays, and the seconds without the import of TensorFlow, as JSON.
"""

import json
import sys
import time

import tensorflow as tf

checkpoint, prefix = sys.argv[1:]
started = time.perf_counter()
reader = tf.train.load_checkpoint(checkpoint)
names = sorted(reader.get_variable_to_shape_map())
arrays = [reader.get_tensor(name) for name in names]
tf.raw_ops.SaveV2(
    prefix=prefix, tensor_names=names, shape_and_slices=[""] * len(names), tensors=arrays
)
print(
    json.dumps(
        {
            "num_bytes": sum(array.nbytes for array in arrays),
            "seconds": time.perf_counter() - started,
        }
    )
)
