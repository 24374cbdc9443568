"""Answer requests for the vector of a picture, of whichever module the request names."""

import job
import tensorflow as tf
import tensorflow_hub as hub

MODULES = {
    "V1, with end points": "https://tfhub.dev/google/imagenet/inception_v1/feature_vector/5",
    "V1": "https://tfhub.dev/google/imagenet/inception_v1/feature_vector/4",
    "V1 of TensorFlow 1": "https://tfhub.dev/google/imagenet/inception_v1/feature_vector/3",
    "V3": "https://tfhub.dev/google/tf2-preview/inception_v3/feature_vector/4",
}


class Embedder:
    """Loads a module when it is first asked for, and keeps it."""

    def __init__(self):
        self.layers = {}

    def __call__(self, name, picture):
        if name not in self.layers:
            self.layers[name] = hub.KerasLayer(MODULES[name])
        [vector] = self.layers[name](tf.constant(picture)[tf.newaxis])
        return vector.numpy()


task, pictures = job.read()
embed = Embedder()
vectors = {}
for name, picture in task["requests"]:
    vectors[f"{name}: {picture}"] = embed(name, pictures[picture])

job.write(vectors, loaded=sorted(embed.layers))
