"""Loads every tag set of a module with `tf.saved_model.load`, and applies every signature."""

import job
import tensorflow as tf

task, batches = job.read()
arrays, signatures, variables = {}, {}, {}
for tags in task["tag_sets"]:
    mode = "training" if "train" in tags else "inference"
    module = tf.saved_model.load(task["module"], tags=tags)
    signatures[mode], variables[mode] = sorted(module.signatures), len(module.variables)
    for batch, images in batches.items():
        for name, signature in module.signatures.items():
            # In a SavedModel of TensorFlow 2, these train.
            if tags == ["serve"] and name.endswith("_with_bn_hparams"):
                continue
            inputs = signature.structured_input_signature[1]
            given = {key: task["momentum"] if "momentum" in key else images for key in inputs}
            for key, output in signature(**{k: tf.constant(v) for k, v in given.items()}).items():
                arrays[f"{mode} {batch} {name}:{key}"] = output.numpy()

job.write(
    arrays, version=f"TensorFlow {tf.__version__}", signatures=signatures, variables=variables
)
