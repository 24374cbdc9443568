"""Train a network of TF-Slim's on crops of photographs, and apply it to whole ones.

The class of a crop is the number of its photograph.
"""

import os
import resource
import time

import job
import numpy as np
import pkg_resources
import tensorflow.compat.v1 as tf
import tf_slim as slim
from tf_slim.nets import inception, resnet_v1, resnet_v2, vgg

tf.disable_eager_execution()
SLIM = pkg_resources.get_distribution("tf-slim").version
# With TF-Slim's own decays, the averages would hardly leave their initial values in so few steps.
DECAY = 0.9


def inception_scope(scope):
    """Return the scope with another decay, which TF-Slim's own functions have no argument for."""
    norm = {"decay": DECAY, "epsilon": 0.001}
    with slim.arg_scope(scope), slim.arg_scope([slim.conv2d], normalizer_params=norm) as changed:
        return changed


def inception_images(images):
    """Scale images in [0, 1] as `inception_preprocessing` does."""
    return 2 * images - 1


def vgg_images(images):
    """Scale images in [0, 1] as `vgg_preprocessing` does."""
    return 255 * images - np.array([123.68, 116.78, 103.94], np.float32)


def inception_v3(images, num_classes, is_training):
    """Build the network without its auxiliary head, which needs larger images."""
    return inception.inception_v3(images, num_classes, is_training, create_aux_logits=False)


NETWORKS = {
    "inception_v1": (inception.inception_v1, inception.inception_v1_arg_scope, inception_images),
    "inception_v2": (inception.inception_v2, inception.inception_v2_arg_scope, inception_images),
    "inception_v3": (inception_v3, inception.inception_v3_arg_scope, inception_images),
    "resnet_v1_50": (resnet_v1.resnet_v1_50, resnet_v1.resnet_arg_scope, vgg_images),
    "resnet_v2_50": (resnet_v2.resnet_v2_50, resnet_v2.resnet_arg_scope, inception_images),
    "vgg_16": (vgg.vgg_16, vgg.vgg_arg_scope, vgg_images),
}


class Network:
    """A network of TF-Slim's with its arg scope, and how images enter it."""

    def __init__(self, name, num_classes):
        self.function, scope, self.images = NETWORKS[name]
        if name.startswith("inception"):
            self.scope = inception_scope(scope())
        else:
            self.scope = scope(batch_norm_decay=DECAY) if name.startswith("resnet") else scope()
        self.num_classes = num_classes

    def logits(self, images, is_training):
        """Return logits `[batch, classes]` of images in [0, 1]."""
        with slim.arg_scope(self.scope):
            images = self.images(images)
            logits, _ = self.function(images, self.num_classes, is_training=is_training)
        return tf.reshape(logits, [-1, self.num_classes])


def crops(photographs, size, batch, seed):
    """Return random crops, about half of them mirrored, and the numbers of their photographs."""
    random = np.random.RandomState(seed)
    labels = random.randint(len(photographs), size=batch)
    images = []
    for label in labels:
        height, width = photographs[label].shape[:2]
        top, left = random.randint(height - size + 1), random.randint(width - size + 1)
        image = photographs[label][top : top + size, left : left + size]
        images.append(image[:, ::-1] if random.randint(2) else image)
    return np.stack(images), labels


def train(network, photographs, task):
    """Train with momentum, save the variables of the model, and return the loss of every step."""
    size, batch = task["size"], task["batch"]
    with tf.Graph().as_default(), session() as running:
        tf.set_random_seed(1)
        images = tf.placeholder(tf.float32, [batch, size, size, 3])
        labels = tf.placeholder(tf.int64, [batch])
        logits = network.logits(images, is_training=True)
        loss = tf.losses.sparse_softmax_cross_entropy(labels, logits)
        optimizer = tf.train.MomentumOptimizer(task["rate"], 0.9)
        step = slim.learning.create_train_op(tf.losses.get_total_loss(), optimizer)
        running.run(tf.global_variables_initializer())
        losses = []
        for index in range(task["steps"]):
            drawn = crops(photographs, size, batch, seed=index % task["batches"])
            losses.append(running.run((loss, step), dict(zip((images, labels), drawn)))[0])
        saver = tf.train.Saver(slim.get_model_variables())
        saver.save(running, task["checkpoint"], write_meta_graph=False)
    return losses


def apply(network, batches, checkpoint):
    """Return the logits of each batch, and the features that its last layer makes them of."""
    arrays = {}
    for name, batch in batches.items():
        with tf.Graph().as_default() as graph, session() as running:
            logits = network.logits(tf.constant(batch), is_training=False)
            convolutions = [op for op in graph.get_operations() if op.type == "Conv2D"]
            features = tf.layers.flatten(convolutions[-1].inputs[0])
            tf.train.Saver(slim.get_model_variables()).restore(running, checkpoint)
            values = running.run((logits, features))
        arrays.update(zip((name + " classification", name + " feature_vector"), values))
    return arrays


def resized(photographs, height, width):
    """Return whole photographs, resized."""
    with tf.Graph().as_default(), session() as running:
        return np.concatenate(
            [
                running.run(tf.image.resize_bilinear(photograph[np.newaxis], [height, width]))
                for photograph in photographs
            ]
        )


def session():
    """Return a session on all cores, whatever the environment says of threads."""
    threads = os.cpu_count()
    return tf.Session(
        config=tf.ConfigProto(
            intra_op_parallelism_threads=threads, inter_op_parallelism_threads=threads
        )
    )


def seconds():
    """Return the time and the CPU time used, in seconds."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return np.array([time.time(), used.ru_utime + used.ru_stime])


task, photographs = job.read()
shown = [photographs[name] for name in task["shown"]]
photographs = list(photographs.values())
network = Network(task["network"], len(photographs))
begin = seconds()
losses = train(network, photographs, task)
wall, cpu = seconds() - begin
batches = {f"{height}x{width}": resized(shown, height, width) for height, width in task["sizes"]}
arrays = apply(network, batches, task["checkpoint"])
arrays.update({name + " images": batch for name, batch in batches.items()})
job.write(
    dict(arrays, losses=losses),
    version=f"tf-slim {SLIM}, TensorFlow {tf.__version__}",
    wall_seconds=wall,
    cpu_seconds=cpu,
)
