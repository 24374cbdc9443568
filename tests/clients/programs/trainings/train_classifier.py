"""Trains Slim's Inception V1 as its `train_image_classifier` does, and evaluates what it left."""

import os

import job
import numpy as np
import pkg_resources
import tensorflow.compat.v1 as tf
import tf_slim as slim
from tf_slim.nets import inception

tf.disable_eager_execution()
SLIM = pkg_resources.get_distribution("tf-slim").version
NUM_CLASSES, BATCH = 5, 4
# Slim's own but for the decay: with 0.9997, a few steps would leave the averages as they began.
BATCH_NORM = {"decay": 0.7, "epsilon": 0.001, "updates_collections": tf.GraphKeys.UPDATE_OPS}


def network(images, is_training):
    own = slim.arg_scope(inception.inception_v1_arg_scope())
    with own, slim.arg_scope([slim.conv2d], normalizer_params=BATCH_NORM):
        return inception.inception_v1(images, NUM_CLASSES, is_training)[0]


def train(directory, number_of_steps):
    """Train like `train_image_classifier` with its defaults: RMSProp, and averages of all model variables."""
    with tf.Graph().as_default():
        tf.set_random_seed(number_of_steps)
        labels = np.arange(BATCH) % NUM_CLASSES
        images = tf.random.uniform([BATCH, 224, 224, 3], -1, 1)
        # Each class is brighter than the one before, so that there is something to learn.
        images += np.reshape(labels / NUM_CLASSES, [-1, 1, 1, 1]).astype(np.float32)
        global_step = slim.get_or_create_global_step()
        logits = network(images, is_training=True)
        slim.losses.softmax_cross_entropy(logits, slim.one_hot_encoding(labels, NUM_CLASSES))
        optimizer = tf.train.RMSPropOptimizer(0.01, decay=0.9, momentum=0.9, epsilon=1.0)
        averages = tf.train.ExponentialMovingAverage(0.9999, global_step)
        updates = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
        updates.append(averages.apply(slim.get_model_variables()))
        train_op = slim.learning.create_train_op(
            slim.losses.get_total_loss(), optimizer, global_step=global_step, update_ops=updates
        )
        slim.learning.train(
            train_op, directory, number_of_steps=number_of_steps, save_summaries_secs=0
        )


def evaluate(directory, images, averaged):
    """Evaluate like `eval_image_classifier` with and without `moving_average_decay`."""
    with tf.Graph().as_default(), tf.Session() as session:
        global_step = slim.get_or_create_global_step()
        # Modules take images in [0, 1], Slim's preprocessing gives it those in [-1, 1].
        logits = network(tf.constant(2 * images - 1), is_training=False)
        restored = slim.get_variables_to_restore()
        if averaged:
            averages = tf.train.ExponentialMovingAverage(0.9999, global_step)
            restored = averages.variables_to_restore(slim.get_model_variables())
            restored[global_step.op.name] = global_step
        tf.train.Saver(restored).restore(session, tf.train.latest_checkpoint(directory))
        return session.run(logits)


task, batches = job.read()
# The second goes on from where the first ended; each saves when it begins and when it ends.
for steps in task["steps"]:
    train(task["training"], steps)
job.write(
    {
        name: evaluate(task["training"], batches["images"], averaged=name == "averaged")
        for name in ("raw", "averaged")
    },
    version=f"tf-slim {SLIM}, TensorFlow {tf.__version__}",
    variables=[name for name, _ in tf.train.list_variables(task["training"])],
    files=sorted(os.listdir(task["training"])),
    state=tf.train.latest_checkpoint(task["training"]),
)
