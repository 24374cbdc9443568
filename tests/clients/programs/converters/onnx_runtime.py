"""Runs an ONNX file with ONNX Runtime."""

from importlib import metadata

import job
import onnxruntime

task, images = job.read()
session = onnxruntime.InferenceSession(task["file"], providers=["CPUExecutionProvider"])
[given] = session.get_inputs()
arrays = {}
for name, batch in images.items():
    [arrays[name]] = session.run([task["output"]], {given.name: batch})
job.write(
    arrays,
    version=f"tf2onnx {metadata.version('tf2onnx')}, ONNX Runtime {onnxruntime.__version__}",
    outputs=[output.name for output in session.get_outputs()],
)
