"""Takes one step of `fit` with a module in Keras 3's `TFSMLayer`."""

import job
import keras
import numpy as np
import tensorflow as tf  # noqa: F401


def name(weight):
    # Keras 3.0 shows TensorFlow's own variables.
    return getattr(weight, "path", weight.name).split(":")[0]


task, batches = job.read()
images = batches["first"]
layer = keras.layers.TFSMLayer(
    task["module"], call_endpoint="serve", call_training_endpoint="train"
)
inputs = keras.Input([None, None, 3])
model = keras.Model(inputs, layer(inputs))
model.compile(keras.optimizers.SGD(task["rate"]), "mse")

arrays = {f"{batch} before": model.predict(found, verbose=0) for batch, found in batches.items()}
if task["served"]:
    serving = keras.layers.TFSMLayer(task["module"], call_endpoint="serving_default")
    for batch, found in batches.items():
        [arrays[f"{batch} serving"]] = [output.numpy() for output in serving(found).values()]
arrays.update({f"old {name(weight)}": weight.numpy() for weight in layer.weights})
zeros = np.zeros(arrays["first before"].shape, np.float32)
model.fit(images, zeros, batch_size=len(images), verbose=0)
arrays.update({f"new {name(weight)}": weight.numpy() for weight in layer.weights})
arrays["after"] = model.predict(images, verbose=0)

job.write(
    arrays,
    trainable=len(layer.trainable_weights),
)
