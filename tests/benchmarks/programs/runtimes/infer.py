"""Run a network in a runtime, in float32; answer with its logits, and with the seconds of calls.

Usage: python infer.py KIND PATH

PATH is a module for `keras_layer` and `signature`; for other kinds a directory that freeze.py wrote.
"""

import os
import subprocess
import sys

import answering
import numpy as np

kind, path = sys.argv[1:]
images = np.random.RandomState(1).uniform(size=(16, 224, 224, 3)).astype(np.float32)
# One for each core that a process may use, as TensorFlow has by itself.
threads = len(os.sched_getaffinity(0))
graph = os.path.join(path, "frozen.pb")


def keras_layer():
    import tensorflow_hub as hub

    layer = hub.KerasLayer(path)
    return lambda images: layer(images).numpy()


def signature():
    import tensorflow as tf
    import tensorflow_hub as hub

    loaded = hub.load(path)
    name = "serving_default" if "serving_default" in loaded.signatures else "default"
    apply = loaded.signatures[name]
    [key] = apply.structured_input_signature[1]
    [output] = apply.structured_outputs
    return lambda images: apply(**{key: tf.constant(images)})[output].numpy()


def frozen():
    import tensorflow as tf

    graph_def = tf.compat.v1.GraphDef()
    with open(graph, "rb") as file:
        graph_def.ParseFromString(file.read())
    imported = tf.compat.v1.wrap_function(
        lambda: tf.graph_util.import_graph_def(graph_def, name=""), []
    )
    apply = imported.prune("images:0", "logits:0")
    return lambda images: apply(tf.constant(images)).numpy()


def onnx():
    import onnxruntime

    model = os.path.join(path, "model.onnx")
    # In a process of its own: TensorFlow's threads and memory are none of ONNX Runtime's.
    command = [sys.executable, "-m", "tf2onnx.convert", "--graphdef", graph, "--output", model]
    subprocess.run([*command, "--inputs", "images:0", "--outputs", "logits:0"], check=True)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return lambda images: session.run(["logits:0"], {"images:0": images})[0]


def openvino(batch):
    import openvino

    model = openvino.convert_model(graph)
    model.reshape([batch, *images.shape[1:]])
    settings = {
        # Left alone, it may choose bfloat16.
        "INFERENCE_PRECISION_HINT": "f32",
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": threads,
    }
    compiled = openvino.Core().compile_model(model, "CPU", settings)
    used = compiled.get_property("INFERENCE_PRECISION_HINT")
    assert used == openvino.Type.f32, used
    request = compiled.create_infer_request()
    return lambda images: request.infer([images])[0]


def tflite(batch):
    """Load the file of that batch size, with XNNPACK, which LiteRT takes unless it is told otherwise."""
    from ai_edge_litert.interpreter import Interpreter

    file = os.path.join(path, f"{batch}.tflite")
    interpreter = Interpreter(model_path=file, num_threads=threads)
    interpreter.allocate_tensors()
    [given], [found] = interpreter.get_input_details(), interpreter.get_output_details()

    def apply(images):
        interpreter.set_tensor(given["index"], images)
        interpreter.invoke()
        return interpreter.get_tensor(found["index"])

    return apply


def check():
    return apply[len(images)](images).tolist()


def run(batch, calls):
    some = images[:batch]
    return answering.timed(lambda: apply[batch](some), calls)


load = {
    function.__name__: function
    for function in (keras_layer, signature, frozen, onnx, openvino, tflite)
}[kind]
sizes = (1, len(images))
if load in (openvino, tflite):
    apply = {size: load(size) for size in sizes}
else:
    apply = dict.fromkeys(sizes, load())
answering.answer(check=check, run=run)
