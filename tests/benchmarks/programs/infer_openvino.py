"""Runs a frozen graph in OpenVINO, in float32.

Usage: python infer_openvino.py IMAGES LOGITS THREADS GRAPH
"""

import sys

import answering
import numpy as np
import openvino

images, logits, threads, graph = sys.argv[1:]
images = np.load(images)
core = openvino.Core()
settings = {
    # Left alone, it may choose bfloat16.
    "INFERENCE_PRECISION_HINT": "f32",
    "PERFORMANCE_HINT": "LATENCY",
    "INFERENCE_NUM_THREADS": threads,
}


def compiled(batch):
    model = openvino.convert_model(graph)
    model.reshape([batch, *images.shape[1:]])
    compiled_model = core.compile_model(model, "CPU", settings)
    used = compiled_model.get_property("INFERENCE_PRECISION_HINT")
    assert used == openvino.Type.f32, used
    request = compiled_model.create_infer_request()
    return lambda images: request.infer([images])[0]


batches = {batch: compiled(batch) for batch in (1, len(images))}
answering.infer(batches, images, logits, "OpenVINO " + openvino.__version__.split("-")[0])
