"""Runs a frozen graph in ONNX Runtime.

Usage: python infer_onnx.py IMAGES LOGITS THREADS GRAPH MODEL

GRAPH is what freeze.py wrote; MODEL, a path, takes what tf2onnx makes of it.
"""

import subprocess
import sys

import answering
import numpy as np
import onnxruntime

images, logits, threads, graph, model = sys.argv[1:]
images = np.load(images)
command = [sys.executable, "-m", "tf2onnx.convert", "--graphdef", graph, "--output", model]
# Of a process of its own: TensorFlow's threads and memory are none of ONNX Runtime's.
subprocess.run([*command, "--inputs", "images:0", "--outputs", "logits:0"], check=True)
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = int(threads)
session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def apply(images):
    [found] = session.run(["logits:0"], {"images:0": images})
    return found


batches = dict.fromkeys((1, len(images)), apply)
answering.infer(batches, images, logits, "ONNX Runtime " + onnxruntime.__version__)
