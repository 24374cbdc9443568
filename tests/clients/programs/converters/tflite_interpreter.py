"""Runs a TFLite file with TensorFlow's interpreter, or with LiteRT, which takes its place."""

from importlib import metadata

import job

task, images = job.read()
if task["litert"]:
    from ai_edge_litert.interpreter import Interpreter

    version = f"LiteRT {metadata.version('ai-edge-litert')}"
else:
    from tensorflow.lite.python.interpreter import Interpreter

    version = f"TensorFlow {metadata.version('tensorflow')}"
interpreter = Interpreter(model_path=task["file"])
[given], [output] = interpreter.get_input_details(), interpreter.get_output_details()
arrays = {}
for name, batch in images.items():
    interpreter.resize_tensor_input(given["index"], batch.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(given["index"], batch)
    interpreter.invoke()
    arrays[name] = interpreter.get_tensor(output["index"])
signatures = interpreter.get_signature_list().values()
outputs = [name for signature in signatures for name in signature["outputs"]]
job.write(arrays, version=version, outputs=outputs)
