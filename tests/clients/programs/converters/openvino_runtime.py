"""Runs a file of OpenVINO's on the CPU."""

import job
import openvino

task, images = job.read()
# Left to itself, OpenVINO computes in bfloat16 on processors that can.
settings = {"INFERENCE_PRECISION_HINT": "f32"}
model = openvino.Core().compile_model(task["file"], "CPU", settings)
# Of the outputs of several signatures, one keeps the name that they share, any of them.
[output] = [
    output
    for output in model.outputs
    if output.get_names() & {task["output"], "InceptionV2/Logits"}
    and output.get_partial_shape()[1] == task["width"]
]
arrays = {name: model(batch)[output] for name, batch in images.items()}
job.write(
    arrays,
    version="OpenVINO {}".format(openvino.__version__.split("-")[0]),
    outputs=sorted(output.get_any_name() for output in model.outputs),
)
