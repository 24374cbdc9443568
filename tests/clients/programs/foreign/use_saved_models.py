"""Use SavedModels in a trainable `hub.KerasLayer`: apply it, and take a step of training."""

import job
import numpy as np
import tensorflow as tf  # noqa: F401
import tensorflow_hub as hub
import tf_keras

task, batches = job.read()
images = batches["images"]
facts, arrays = {}, {}
for name, path in task["modules"].items():
    layer = hub.KerasLayer(path, trainable=True)
    model = tf_keras.Sequential([layer])
    model.compile(tf_keras.optimizers.SGD(0.01), "mse")
    arrays[name] = model.predict(images, verbose=0)
    before = layer.get_weights()
    model.fit(images, np.zeros_like(arrays[name]), verbose=0)
    moved = [not np.array_equal(*pair) for pair in zip(before, layer.get_weights())]
    facts[name] = [len(layer.weights), len(layer.trainable_weights), sum(moved)]
job.write(arrays, variables=facts)
