"""Applies every signature of a module with `hub.load`."""

import job
import tensorflow as tf
import tensorflow_hub as hub

task, images = job.read()
module = hub.load(task["module"])
arrays = {}
for size, batch in images.items():
    for name, signature in module.signatures.items():
        inputs = signature.structured_input_signature[1]
        given = {"images": batch, "inputs": batch, "batch_norm_momentum": task["momentum"]}
        given = {key: tf.constant(given[key], spec.dtype) for key, spec in inputs.items()}
        for key, output in signature(**given).items():
            arrays[f"{size} {name}:{key}"] = output.numpy()
job.write(
    arrays,
    version=f"tensorflow-hub {hub.__version__}, TensorFlow {tf.__version__}",
    signatures=sorted(module.signatures),
)
