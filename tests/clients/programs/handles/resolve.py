"""Tell where the library finds modules, and apply each: as a `hub.Module` where there is one, else with `hub.load`."""

import job
import tensorflow as tf
import tensorflow_hub as hub

task, arrays = job.read()


def in_session(url):
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        output = hub.Module(url)(arrays["images"])
        session.run(tf.compat.v1.global_variables_initializer())
        return session.run(output)


def by_load(url):
    module = hub.load(url)
    if callable(module):
        return module(arrays["images"]).numpy()
    return module.signatures["default"](tf.constant(arrays["images"]))["default"].numpy()


apply = by_load if task["load"] else in_session
outputs = {url: apply(url) for url in task["urls"]}
job.write(outputs, resolved={url: hub.resolve(url) for url in task["urls"]})
