"""Loads a module with `hub.load` and calls it once, for the first time.

Usage: python load.py MODULE SIGNATURE

Prints the seconds of both as JSON; imports are not in them.
"""

import json
import sys
import time

import numpy as np
import tensorflow as tf
import tensorflow_hub as hub

directory, name = sys.argv[1:]
images = np.random.RandomState(1).uniform(size=(1, 224, 224, 3)).astype(np.float32)
# What the first operation of any process waits for.
images = tf.constant(images)

started = time.perf_counter()
signature = hub.load(directory).signatures[name]
loaded = time.perf_counter()
[key] = signature.structured_input_signature[1].keys() - {"batch_norm_momentum"}
for output in signature(**{key: images}).values():
    output.numpy()
called = time.perf_counter()
print(json.dumps({"load": loaded - started, "first_call": called - loaded}))
