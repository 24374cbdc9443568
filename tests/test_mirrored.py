"""Version 5 under `tf.distribute.MirroredStrategy`, on the small module and two CPUs.

As a program, it trains on the directory of a module, and prints figures of it as JSON: there must
be two CPUs before TensorFlow starts, and one in all other tests.
"""

import contextlib
import json
import subprocess
import sys
import tempfile

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_hub as hub
import tf_keras

from slimhub.export.parity import difference

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


def apart(variables):
    """How far the replicas of each variable are from each other."""
    replicas = [[one.numpy() for one in variable.values] for variable in variables]
    return [difference(first, second) for first, second in replicas]


def saved(variables):
    """The values that a checkpoint has of them."""
    with tempfile.TemporaryDirectory() as directory:
        path = tf.train.Checkpoint(variables=variables).write(f"{directory}/checkpoint")
        reader = tf.train.load_checkpoint(path)
        return [
            reader.get_tensor(f"variables/{index}/.ATTRIBUTES/VARIABLE_VALUE")
            for index in range(len(variables))
        ]


def figures(directory):
    """What is told of the training on one device, on two that get the same, and on two that don't."""
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
    _, loss_together = train(directory, images, labels)
    averages = layer.non_trainable_weights
    means = [np.mean([one.numpy() for one in v.values], axis=0) for v in averages]
    return {
        "devices": sorted({one.device[-5:] for v in layer.weights for one in v.values}),
        "counts": [len(layer.trainable_weights), len(averages), len(layer.losses)],
        "loss alone": loss_alone,
        "loss twice": loss_twice,
        "same as alone": [
            difference(ours.numpy(), theirs.numpy())
            for ours, theirs in zip(twice.weights, alone.weights, strict=True)
        ],
        "loss": loss,
        "loss together": loss_together,
        "weights apart": apart(layer.trainable_weights),
        "averages apart": apart(averages),
        "from the mean": [
            difference(variable.numpy(), mean)
            for variable, mean in zip(averages, means, strict=True)
        ],
        "saved": [
            difference(value, mean) for value, mean in zip(saved(averages), means, strict=True)
        ],
    }


@pytest.fixture(scope="module")
def found(stem):
    """What the program tells of the small module."""
    command = [sys.executable, __file__, str(stem / "5")]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr[-4000:]
    return json.loads(ran.stdout.splitlines()[-1])


def test_replicas(found):
    """A layer that is made in the scope of the strategy has all variables on each device, and its losses."""
    assert found["devices"] == ["CPU:0", "CPU:1"]
    assert found["counts"] == [6, 6, 3]


def test_same_images_for_all(found):
    """Replicas that get the same images train as one device does that gets them once."""
    assert found["loss twice"] == pytest.approx(found["loss alone"], rel=1e-4)
    assert len(found["same as alone"]) == 12
    assert max(found["same as alone"]) <= 1e-4


def test_loss(found):
    """Training on different images lowers the loss, about as far as one device with the whole batch."""
    ours, theirs = found["loss"], found["loss together"]
    assert ours == sorted(ours, reverse=True)
    assert ours[0] - ours[-1] == pytest.approx(theirs[0] - theirs[-1], rel=0.5)


def test_weights(found):
    """The weights of the replicas stay the same."""
    assert found["weights apart"] == [0] * 6


def test_averages(found):
    """Each replica has moving averages of its own images; what is read and saved is their mean."""
    assert min(found["averages apart"]) > 1e-5
    assert max(found["from the mean"]) <= 1e-6
    assert max(found["saved"]) <= 1e-6


if __name__ == "__main__":
    print(json.dumps(figures(sys.argv[1])))
