"""Runs a file of OpenVINO's on the CPU."""

import job
import openvino

task, images = job.read()
# Left to itself, OpenVINO computes in bfloat16 on processors that can.
settings = {"INFERENCE_PRECISION_HINT": "f32"}
model = openvino.Core().compile_model(task["file"], "CPU", settings)
arrays = {name: model(batch)[task["output"]] for name, batch in images.items()}
job.write(
    arrays,
    version="OpenVINO {}".format(openvino.__version__.split("-")[0]),
    outputs=sorted(output.get_any_name() for output in model.outputs),
)
