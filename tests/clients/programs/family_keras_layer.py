"""Applies a module in `hub.KerasLayer`, and trains it there for a few steps."""

import job
import numpy as np
import tensorflow_hub as hub
import tf_keras

task, batches = job.read()
tf_keras.utils.set_random_seed(1)
arrays = {}
layer = hub.KerasLayer(task["module"], arguments=dict(return_endpoints=True))
for batch, images in batches.items():
    for key, output in layer(images).items():
        arrays[f"{batch} {key}"] = output.numpy()

loaded = hub.load(task["module"])
arguments = loaded.__call__.function_spec.fullargspec.args
# So few steps leave the averages behind, unless these forget at once.
momentum = {"batch_norm_momentum": 0.0} if "batch_norm_momentum" in arguments else {}
layer = hub.KerasLayer(task["module"], trainable=True, arguments=momentum)
model = tf_keras.Sequential([layer, tf_keras.layers.Dense(2)])
loss = tf_keras.losses.SparseCategoricalCrossentropy(from_logits=True)
model.compile(tf_keras.optimizers.SGD(1e-2, clipnorm=1.0), loss)
images = next(iter(batches.values()))
before = [weight.numpy() for weight in layer.weights]
labels = np.arange(len(images)) % 2
losses = [model.evaluate(images, labels, verbose=0)]
model.fit(images, labels, epochs=6, verbose=0)
losses.append(model.evaluate(images, labels, verbose=0))
changed = sum((one != two.numpy()).any() for one, two in zip(before, layer.weights, strict=True))

job.write(
    arrays,
    arguments=[name for name in arguments if name != "self"],
    losses=losses,
    num_losses=len(layer.losses),
    weights=[len(layer.weights), len(layer.trainable_weights), int(changed)],
)
