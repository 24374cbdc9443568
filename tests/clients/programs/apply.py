"""Apply modules by the default output of a signature: in TensorFlow 1 with `hub.Module`, else with `hub.load`.

Arrays are named `<version> <batch>`; version 1 is applied to the first batch only.
"""

import job
import tensorflow as tf
import tensorflow_hub as hub


def in_session(path, batches):
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        images = tf.compat.v1.placeholder(tf.float32, [None, None, None, 3])
        output = hub.Module(path)(images, signature=task["signature"])
        session.run(tf.compat.v1.global_variables_initializer())
        return {name: session.run(output, {images: batch}) for name, batch in batches.items()}


def by_hub_load(path, batches):
    signature = hub.load(path).signatures[task["signature"]]
    return {
        name: signature(images=tf.constant(batch))["default"].numpy()
        for name, batch in batches.items()
    }


task, images = job.read()
apply = in_session if tf.__version__.startswith("1.") else by_hub_load
arrays = {}
for version, path in task["modules"].items():
    batches = dict(list(images.items())[: 1 if version == "1" else None])
    for name, output in apply(path, batches).items():
        arrays[version + " " + name] = output
job.write(arrays)
