"""Fine-tune a network below a new head: a module in TensorFlow 2, or Slim's graph in a session.

Usage: python train.py module MODULE
       python train.py MODEL CHECKPOINT
"""

import sys

import answering
import numpy as np
import tensorflow as tf
import tensorflow_hub as hub

from slimhub.models import catalog, network

# Small: what is compared is the first steps' losses, of weights that are untrained.
LEARNING_RATE = 1e-3

BATCH, CLASSES = 16, 5

name, path = sys.argv[1:]
random = np.random.RandomState(2)
first_kernel = (random.normal(size=(1024, CLASSES)) / np.sqrt(1024)).astype(np.float32)
batch_images = random.uniform(size=(BATCH, 224, 224, 3)).astype(np.float32)
batch_labels = np.arange(BATCH) % CLASSES
# That of TensorFlow 1, for both.
optimizer = tf.compat.v1.train.GradientDescentOptimizer(LEARNING_RATE)


def head(features, kernel, labels, regularization):
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, features @ kernel)
    return tf.reduce_mean(losses) + tf.add_n(regularization)


def module_step():
    images, labels = tf.constant(batch_images), tf.constant(batch_labels)
    layer = hub.KerasLayer(path, trainable=True, arguments={"batch_norm_momentum": 0.99})
    kernel = tf.Variable(first_kernel)

    @tf.function
    def step(images, labels):
        with tf.GradientTape() as tape:
            loss = head(layer(images, training=True), kernel, labels, layer.losses)
        variables = [*layer.trainable_variables, kernel]
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return loss

    return lambda: float(step(images, labels))


def slim_step():
    with tf.Graph().as_default():
        images = tf.compat.v1.placeholder(tf.float32, [None, None, None, 3])
        labels = tf.compat.v1.placeholder(tf.int64, [None])
        built = network.build(
            catalog.get(name), images, training=True, batch_norm_momentum=0.99, num_classes=None
        )
        saver = tf.compat.v1.train.Saver(built.variables)
        kernel = tf.compat.v1.get_variable("kernel", initializer=first_kernel)
        loss = head(built.feature_vector, kernel, labels, built.regularization_losses)
        with tf.control_dependencies(built.update_ops):
            train = optimizer.minimize(loss)
        session = tf.compat.v1.Session()
        session.run(kernel.initializer)
        saver.restore(session, path)
        # Quicker than `session.run`, which looks through its arguments each time.
        step = session.make_callable([loss, train], [images, labels])
    return lambda: float(step(batch_images, batch_labels)[0])


def run(calls):
    losses = []
    seconds = answering.timed(lambda: losses.append(step()), calls)
    return {"losses": losses, "seconds": seconds}


step = module_step() if name == "module" else slim_step()
answering.answer(run=run)
