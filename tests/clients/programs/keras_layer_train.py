"""Takes one step of `fit` with a module in a `hub.KerasLayer`."""

import job
import numpy as np
import tensorflow as tf  # noqa: F401
import tensorflow_hub as hub
import tf_keras

task, batches = job.read()
images = batches["first"]
arguments = {"batch_norm_momentum": task["momentum"]}
layer = hub.KerasLayer(task["handle"], trainable=True, arguments=arguments)
model = tf_keras.Sequential([layer])
model.compile(tf_keras.optimizers.SGD(task["rate"]), "mse")

arrays = {f"{batch} before": model.predict(found, verbose=0) for batch, found in batches.items()}
arrays["losses"] = [loss.numpy() for loss in layer.losses]
arrays.update({f"old {weight.name[:-2]}": weight.numpy() for weight in layer.weights})
zeros = np.zeros(arrays["first before"].shape, np.float32)
model.fit(images, zeros, batch_size=len(images), verbose=0)
arrays.update({f"new {weight.name[:-2]}": weight.numpy() for weight in layer.weights})
arrays["after"] = model.predict(images, verbose=0)
model.save(job.path("saved"))
arrays["saved"] = tf_keras.models.load_model(job.path("saved")).predict(images, verbose=0)

job.write(
    arrays,
    trainable=len(layer.trainable_weights),
)
