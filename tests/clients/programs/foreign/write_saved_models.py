"""Write SavedModels of TensorFlow 2: applications of `tf_keras`, and small networks by hand.

Those by hand follow TF Hub's common SavedModel API for images.
"""

import os

import job
import tensorflow as tf
import tf_keras

MOMENTUM = 0.99
WEIGHT_DECAY = 4e-5


def application(images, **head):
    """Return a small MobileNet with a head."""
    size = images.shape[1:]
    model = tf_keras.applications.MobileNet(size, alpha=0.25, weights=None, **head)
    norms = [layer for layer in model.layers if hasattr(layer, "moving_mean")]
    momentum = norms[0].momentum
    # With a momentum of 0, an update takes the statistics of the batch as they are.
    for layer in norms:
        layer.momentum = 0
    model(images, training=True)
    for layer in norms:
        layer.momentum = momentum
    return model


def hand_written(images, batch_statistics=False, updates=False, tf_module=False):
    """Return the root of a SavedModel: a convolution and its batch norm, as features.

    Args:
      images: what the moving averages are those of.
      batch_statistics: whether batch norm uses the statistics of the batch at inference, too.
      updates: whether the moving averages move at inference, too.
      tf_module: whether the root is a `tf.Module`, whose lists of variables are not saved.
    """
    root = tf.Module() if tf_module else tf.train.Checkpoint()
    filters = tf.random.stateless_normal([7, 7, 3, 16], seed=[1, 1], stddev=0.1)
    root.weights = [tf.Variable(filters, name="weights"), tf.Variable(tf.zeros(16), name="beta")]
    root.averages = [
        tf.Variable(tf.zeros(16), trainable=False, name="moving_mean"),
        tf.Variable(tf.ones(16), trainable=False, name="moving_variance"),
    ]

    @tf.function
    def call(inputs, training=False, batch_norm_momentum=MOMENTUM):
        kernel, beta = root.weights
        net = tf.nn.conv2d(2 * inputs - 1, kernel, strides=4, padding="SAME")
        statistics = tf.nn.moments(net, [0, 1, 2])
        if training or updates:
            for average, statistic in zip(root.averages, statistics):
                average.assign_sub((1 - batch_norm_momentum) * (average - statistic))
        mean, variance = statistics if training or batch_statistics else root.averages
        net = tf.nn.batch_normalization(net, mean, variance, beta, None, 1e-3)
        return tf.reduce_mean(tf.nn.relu(net), [1, 2])

    @tf.function(input_signature=[])
    def loss():
        return WEIGHT_DECAY * tf.nn.l2_loss(root.weights[0])

    root.__call__, root.regularization_losses = call, [loss]
    if not tf_module:
        root.trainable_variables = root.weights
        root.variables = root.weights + root.averages
    # As above.
    call(images, training=True, batch_norm_momentum=tf.constant(0.0))
    for training in (False, True):
        momentum = tf.TensorSpec([])
        call.get_concrete_function(tf.TensorSpec([None, None, None, 3]), training, momentum)
    return root


task, batches = job.read()
images = batches["calibration"]
for name, head in task["applications"].items():
    application(images, **head).save(os.path.join(task["output"], name))
for name, keywords in task["hand_written"].items():
    tf.saved_model.save(hand_written(images, **keywords), os.path.join(task["output"], name))
job.write({})
