"""Runs a file of OpenVINO's on the CPU."""

import job
import openvino

task, images = job.read()
# Left to itself, OpenVINO computes in bfloat16 on processors that can.
settings = {"INFERENCE_PRECISION_HINT": "f32"}
model = openvino.Core().compile_model(task["file"], "CPU", settings)
# Which of several outputs has a name that they share changes from conversion to conversion.
[output] = [
    output
    for output in model.outputs
    if output.get_names() & set(task["names"]) and output.get_partial_shape()[1] == task["width"]
]
arrays = {name: model(batch)[output] for name, batch in images.items()}
job.write(
    arrays,
    version="OpenVINO {}".format(openvino.__version__.split("-")[0]),
    outputs=sorted(output.get_any_name() for output in model.outputs),
)
