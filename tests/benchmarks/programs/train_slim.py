"""Fine-tunes Slim's own graph below a new head, as TensorFlow 1 does: in a session.

Usage: python train_slim.py BATCH MODEL CHECKPOINT

BATCH is an .npz with `images`, `labels`, and the head's `kernel`.
"""

import sys

import answering
import numpy as np
import tensorflow.compat.v1 as tf

from slimhub.models import catalog, network

path, name, checkpoint = sys.argv[1:]
batch = np.load(path)
with tf.Graph().as_default():
    images = tf.placeholder(tf.float32, [None, None, None, 3])
    labels = tf.placeholder(tf.int64, [None])
    built = network.build(
        catalog.get(name), images, training=True, batch_norm_momentum=0.99, num_classes=None
    )
    saver = tf.train.Saver(built.variables)
    kernel = tf.get_variable("kernel", initializer=batch["kernel"])
    logits = built.feature_vector @ kernel
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
    loss = tf.reduce_mean(losses) + tf.add_n(built.regularization_losses)
    optimizer = tf.train.GradientDescentOptimizer(answering.LEARNING_RATE)
    with tf.control_dependencies(built.update_ops):
        train = optimizer.minimize(loss)
    session = tf.Session()
    session.run(kernel.initializer)
    saver.restore(session, checkpoint)
    # Quicker than `session.run`, which looks through its arguments each time.
    step = session.make_callable([loss, train], [images, labels])

answering.train(lambda: float(step(batch["images"], batch["labels"])[0]))
