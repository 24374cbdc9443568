"""Loads a module with `hub.load`, and calls it in every way."""

import job
import tensorflow as tf
import tensorflow_hub as hub

task, batches = job.read()
module = hub.load(task["module"])
variables = {variable.name.split(":")[0]: variable for variable in module.variables}
arrays = {}
for batch, images in batches.items():
    arrays[f"{batch} call"] = module(images).numpy()
    for key, output in module(images, return_endpoints=True).items():
        arrays[f"{batch} endpoints:{key}"] = output.numpy()

images = batches["first"]
arrays["losses"] = [loss().numpy() for loss in module.regularization_losses]
outputs = module(images, training=True, return_endpoints=True, batch_norm_momentum=task["momentum"])
arrays.update({f"training {key}": output.numpy() for key, output in outputs.items()})
arrays.update({f"once {name}": variable.numpy() for name, variable in variables.items()})
if module.signatures:
    signature = module.signatures[task["signature"]]
    signature(images=tf.constant(images), batch_norm_momentum=tf.constant(task["momentum"]))
else:
    module(images, True, batch_norm_momentum=task["momentum"])
arrays.update({f"twice {name}": variable.numpy() for name, variable in variables.items()})

with tf.GradientTape() as tape:
    loss = tf.reduce_mean(module(images) ** 2)
gradients = tape.gradient(loss, module.trainable_variables)

job.write(
    arrays,
    trainable=sum(gradient is not None for gradient in gradients),
)
