"""Extract features with a signature of modules in a frozen layer of Keras."""

import job
import tensorflow as tf  # noqa: F401
import tensorflow_hub as hub
import tf_keras

task, arrays = job.read()
features, trainable = {}, 0
for url in task["urls"]:
    layer = hub.KerasLayer(
        url,
        signature="image_feature_vector",
        output_key="default",
        trainable=False,
        input_shape=(224, 224, 3),
    )
    model = tf_keras.Sequential([layer])
    features[url] = model.predict(arrays["images"], verbose=0)
    trainable += len(model.trainable_weights)

job.write(features, trainable=trainable)
