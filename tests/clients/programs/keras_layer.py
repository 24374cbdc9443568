"""Applies a module of the TF1 Hub format with `hub.KerasLayer`, in a model and by itself."""

import job
import tensorflow as tf
import tensorflow_hub as hub
import tf_keras

task, batches = job.read()
arrays = {}
for batch, images in batches.items():
    inputs = tf_keras.Input(images.shape[1:])
    model = tf_keras.Model(inputs, hub.KerasLayer(task["module"])(inputs))
    arrays[f"{batch} default:default"] = model.predict(images, verbose=0)
    for name in task["signatures"]:
        layer = hub.KerasLayer(task["module"], signature=name, signature_outputs_as_dict=True)
        for key, output in layer(images).items():
            arrays[f"{batch} {name}:{key}"] = output.numpy()

job.write(
    arrays,
    version=f"tensorflow-hub {hub.__version__}, TensorFlow {tf.__version__}, tf-keras {tf_keras.__version__}",
)
