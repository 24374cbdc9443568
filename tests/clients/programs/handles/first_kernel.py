"""Begin a small network with the first convolution of a module, which is found by its name."""

import job
import tensorflow as tf  # noqa: F401
import tensorflow_hub as hub
import tf_keras

task, arrays = job.read()
[url] = task["urls"]
layer = hub.KerasLayer(url, input_shape=(224, 224, 3))
[kernel] = [weight for weight in layer.weights if "Conv2d_1a_7x7/weights" in weight.name]

convolution = tf_keras.layers.Conv2D(
    kernel.shape[-1], kernel.shape[:2], strides=2, padding="same", use_bias=False
)
model = tf_keras.Sequential([convolution, tf_keras.layers.ReLU()])
model.build((None, 224, 224, 3))
convolution.set_weights([kernel.numpy()])

job.write({"kernel": kernel.numpy(), "maps": model.predict(arrays["images"], verbose=0)})
