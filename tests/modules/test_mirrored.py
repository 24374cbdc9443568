"""Version 5 under `tf.distribute.MirroredStrategy`, on the small module and two CPUs.

As a program, it trains on the directory of a module, and prints figures of it as JSON: there must
be two CPUs before TensorFlow starts, and one in all other tests.
"""

import contextlib
import json
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_hub as hub
import tf_keras

from slimhub.signatures.checks.bounds import difference

# All look at one run of the program.
pytestmark = pytest.mark.xdist_group("mirrored")

_LABELS = np.array([0, 1, 2, 0])


def train(directory, images, labels, strategy=None):
    """Takes a few steps on one batch, and gives the layer and the loss before each."""
    with strategy.scope() if strategy else contextlib.nullcontext():
        layer = hub.KerasLayer(directory, trainable=True, input_shape=(32, 32, 3))
        initializer = tf_keras.initializers.GlorotUniform(seed=1)
        head = tf_keras.layers.Dense(3, kernel_initializer=initializer)
        model = tf_keras.Sequential([layer, head])
        model.compile(
            tf_keras.optimizers.SGD(0.01),
            tf_keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        )
    fitted = model.fit(images, labels, batch_size=len(images), epochs=4, shuffle=False, verbose=0)
    return layer, fitted.history["loss"]


def figures(directory):
    """Train on one device, on two that get the same, and on two that don't; return figures of it."""
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
    )
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    images = np.random.RandomState(1).uniform(size=(8, 32, 32, 3)).astype(np.float32)
    # The second half is darker, and so has other statistics.
    images[4:] /= 2
    labels, half = np.tile(_LABELS, 2), images[:4]
    alone, loss_alone = train(directory, half, _LABELS)
    twice, loss_twice = train(directory, np.tile(half, (2, 1, 1, 1)), labels, strategy)
    layer, loss = train(directory, images, labels, strategy)
    replicas = {v.name: [one.numpy() for one in v.values] for v in layer.weights}
    averages = layer.non_trainable_weights
    means = [np.mean(replicas[v.name], axis=0) for v in averages]
    return {
        "devices": sorted({one.device[-5:] for v in layer.weights for one in v.values}),
        "counts": [len(layer.trainable_weights), len(averages), len(layer.losses)],
        "loss alone": loss_alone,
        "loss twice": loss_twice,
        "same as alone": list(map(distance, twice.weights, alone.weights)),
        "loss": loss,
        "weights apart": [difference(*replicas[v.name]) for v in layer.trainable_weights],
        "averages apart": [difference(*replicas[v.name]) for v in averages],
        "from the mean": list(map(distance, averages, means)),
    }


def distance(found, expected):
    return difference(np.asarray(found), np.asarray(expected))


@pytest.fixture(scope="module")
def found(stem):
    """The figures of the small module."""
    command = [sys.executable, __file__, str(stem / "5")]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr[-4000:]
    return json.loads(ran.stdout.splitlines()[-1])


def test_same_images_for_all(found):
    """Replicas that get the same images train as one device does that gets them once."""
    assert found["devices"] == ["CPU:0", "CPU:1"]
    assert found["counts"] == [6, 6, 3]
    assert found["loss twice"] == pytest.approx(found["loss alone"], rel=1e-4)
    assert len(found["same as alone"]) == 12
    assert max(found["same as alone"]) <= 1e-4


def test_different_images(found):
    """Replicas share their weights, and have averages of their own; what is read is the mean."""
    assert found["loss"][-1] < found["loss"][0]
    assert found["weights apart"] == [0] * 6
    assert min(found["averages apart"]) > 1e-5
    assert max(found["from the mean"]) <= 1e-6


if __name__ == "__main__":
    print(json.dumps(figures(sys.argv[1])))
