"""Write the modules that the task names, with random weights from a fixed seed, and moving averages to match.

All modules of a network have the same weights, as far as their variables have the same shapes.
"""

import os

import job
import numpy as np
import slim_modules
import tensorflow as tf
import tensorflow_hub as hub


def draw_weights(model, images):
    """Return weights by name, with the moving averages that these images give."""
    random = np.random.RandomState(1)
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        spec = slim_modules.module_spec(model, classify=True)
        module = hub.Module(spec, trainable=True, tags={"train"})
        # With a momentum of 0, an update takes the statistics of the batch as they are.
        inputs = {"images": images, "batch_norm_momentum": 0.0}
        module(inputs, signature="image_classification_with_bn_hparams")
        weights = {}
        for variable in tf.compat.v1.trainable_variables():
            *fan_in, _ = shape = variable.shape.as_list()
            scale = np.sqrt(2 / np.prod(fan_in)) if fan_in else 0.1
            weights[variable] = random.normal(scale=scale, size=shape)
        feeds = {variable.initializer.inputs[1]: value for variable, value in weights.items()}
        session.run(tf.compat.v1.global_variables_initializer(), feeds)
        session.run(tf.compat.v1.get_collection(slim_modules.UPDATE_OPS))
        return session.run(dict(module.variable_map))


def export(spec, weights, directory):
    """Export a module with as many of these weights as it has classes."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        module = hub.Module(spec)
        feeds = {}
        for name, variable in module.variable_map.items():
            value = weights[name][..., : int(variable.shape[-1])]
            feeds[variable.initializer.inputs[1]] = value
        session.run(tf.compat.v1.global_variables_initializer(), feeds)
        module.export(directory, session)


task, batches = job.read()
weights = {}
for name, keywords in task["modules"].items():
    model = keywords["model"]
    if model not in weights:
        weights[model] = draw_weights(model, batches["calibration"])
    if "class_names" in keywords:
        keywords["class_names"] = job.path(keywords["class_names"])
        with open(keywords["class_names"], "w") as file:
            file.writelines(f"class {index}\n" for index in range(keywords["classes"]))
    spec = slim_modules.module_spec(**keywords)
    export(spec, weights[model], os.path.join(task["output"], name))
job.write({})
