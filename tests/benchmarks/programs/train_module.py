"""Fine-tunes a module of version 5 below a new head, as TensorFlow 2 does.

Usage: python train_module.py BATCH MODULE

BATCH is an .npz with `images`, `labels`, and the head's `kernel`.
"""

import sys

import answering
import numpy as np
import tensorflow as tf
import tensorflow_hub as hub

path, directory = sys.argv[1:]
batch = np.load(path)
images, labels = tf.constant(batch["images"]), tf.constant(batch["labels"])
layer = hub.KerasLayer(directory, trainable=True, arguments={"batch_norm_momentum": 0.99})
kernel = tf.Variable(batch["kernel"])
# That of TensorFlow 1, as the peer's.
optimizer = tf.compat.v1.train.GradientDescentOptimizer(answering.LEARNING_RATE)


@tf.function
def step(images, labels):
    with tf.GradientTape() as tape:
        logits = layer(images, training=True) @ kernel
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
        loss = tf.reduce_mean(losses) + tf.add_n(layer.losses)
    variables = [*layer.trainable_variables, kernel]
    optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
    return loss


answering.train(lambda: float(step(images, labels)))
