"""Load modules by their URLs, and call them."""

import job
import tensorflow as tf  # noqa: F401
import tensorflow_hub as hub

task, batches = job.read()
outputs = {}
for url in task["urls"]:
    module = hub.load(url)
    for name, images in batches.items():
        outputs[f"{name} {url}"] = module(images, training=False).numpy()

job.write(outputs)
