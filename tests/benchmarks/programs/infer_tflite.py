"""Runs TFLite models with XNNPACK, which LiteRT takes unless it is told otherwise.

Usage: python infer_tflite.py IMAGES LOGITS THREADS FOLDER

FOLDER has <batch>.tflite for each batch size, as freeze.py writes them.
"""

import importlib.metadata
import os
import sys

import answering
import numpy as np
from ai_edge_litert.interpreter import Interpreter

images, logits, threads, folder = sys.argv[1:]
images = np.load(images)


def loaded(batch):
    path = os.path.join(folder, f"{batch}.tflite")
    interpreter = Interpreter(model_path=path, num_threads=int(threads))
    interpreter.allocate_tensors()
    [given], [found] = interpreter.get_input_details(), interpreter.get_output_details()

    def apply(images):
        interpreter.set_tensor(given["index"], images)
        interpreter.invoke()
        return interpreter.get_tensor(found["index"])

    return apply


batches = {batch: loaded(batch) for batch in (1, len(images))}
version = "LiteRT " + importlib.metadata.version("ai-edge-litert")
answering.infer(batches, images, logits, version)
