"""`ModuleLayer` in models that Keras trains: any optimizer, XLA, cloning, and replicas."""

import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from stem import KNOWING_STEMS

from slimhub.keras import ModuleLayer

LABELS = np.array([0, 1, 2, 0])
OPTIMIZERS = {
    "SGD": lambda: keras.optimizers.SGD(0.01),
    "momentum": lambda: keras.optimizers.SGD(0.01, momentum=0.9, nesterov=True),
    "Adam": lambda: keras.optimizers.Adam(1e-3),
    "AdamW": lambda: keras.optimizers.AdamW(1e-3, weight_decay=1e-2),
    "EMA": lambda: keras.optimizers.Adam(1e-3, use_ema=True, ema_momentum=0.9),
    "clipping": lambda: keras.optimizers.RMSprop(1e-3, global_clipnorm=1.0),
}


@pytest.mark.parametrize(
    ("name", "jit"),
    [*((name, False) for name in OPTIMIZERS), ("SGD", True), ("AdamW", True)],
)
def test_optimizers(path, classifier, fit, name, jit):
    """Any optimizer lowers the loss and moves all variables, with XLA and without."""
    layer = ModuleLayer(path, trainable=True, batch_norm_momentum=0.5)
    model = classifier(layer, OPTIMIZERS[name](), jit_compile=jit)
    before = [variable.numpy() for variable in layer.variables]
    losses = fit(model, steps=4)
    assert losses[-1] < losses[0]
    for variable, old in zip(layer.variables, before, strict=True):
        assert not np.array_equal(variable.numpy(), old), variable.path


def test_evaluate_and_predict(path, images, classifier):
    """`predict` gives what a call gives, and `evaluate` the loss of that and the L2 losses."""
    layer = ModuleLayer(path, trainable=True)
    model = classifier(layer)
    logits = model.predict(images(4, 32), verbose=0)
    np.testing.assert_allclose(logits, model(images(4, 32)), rtol=1e-5, atol=1e-6)
    loss = model.evaluate(images(4, 32), LABELS, verbose=0)
    entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)(LABELS, logits)
    assert loss == pytest.approx(float(entropy) + sum(map(float, layer.losses)), rel=1e-5)


def test_clone(path, images, classifier):
    """A clone has variables of its own, with the module's weights, and the same options."""
    layer = ModuleLayer(path, trainable=True, batch_norm_momentum=0.7, l2_losses=False)
    model = classifier(layer)
    clone = keras.models.clone_model(model)
    [copy] = [one for one in clone.layers if isinstance(one, ModuleLayer)]
    assert (copy.batch_norm_momentum, copy.l2_losses, copy.trainable) == (0.7, False, True)
    np.testing.assert_array_equal(copy(images(2, 32)), layer(images(2, 32)))
    copy(images(2, 32), training=True)
    for ours, others in zip(
        layer.non_trainable_variables, copy.non_trainable_variables, strict=True
    ):
        assert not np.array_equal(ours.numpy(), others.numpy())


def test_summary(path, classifier):
    """A summary counts all parameters, and shows what comes out."""
    layer, lines = ModuleLayer(path), []
    classifier(layer).summary(print_fn=lines.append)
    text = "\n".join(map(str, lines))
    assert f"{layer.count_params():,}" in text
    assert "192" in text


PROGRAM = """\
import json, sys
import numpy as np
import tensorflow as tf
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
import keras
from slimhub.keras import ModuleLayer

strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
with strategy.scope():
    layer = ModuleLayer(sys.argv[1], trainable=True, batch_norm_momentum=0.0)
    inputs = keras.Input((32, 32, 3))
    model = keras.Model(inputs, layer(inputs))
    model.compile(keras.optimizers.SGD(0.0), "mse")
images = np.random.RandomState(1).uniform(size=(8, 32, 32, 3)).astype(np.float32)
# The second half is darker, and so has other statistics.
images[4:] /= 2
model.fit(images, np.zeros([8, 192], np.float32), batch_size=8, verbose=0, shuffle=False)
found = [variable.numpy() for variable in layer.non_trainable_variables]
expected = []
for half in (images[:4], images[4:]):
    alone = ModuleLayer(sys.argv[1], trainable=True, batch_norm_momentum=0.0)
    alone(half, training=True)
    expected.append([variable.numpy() for variable in alone.non_trainable_variables])
means = [np.mean(pair, axis=0) for pair in zip(*expected)]
apart = [np.abs(a - b).max() / np.abs(b).max() for a, b in zip(expected[0], expected[1])]
print(json.dumps({
    "off": [float(np.abs(a - b).max() / np.abs(b).max()) for a, b in zip(found, means)],
    "apart": list(map(float, apart)),
}))
"""


def test_replicas(path):
    """Under `MirroredStrategy`, moving averages are the mean of those that each replica's batch gives."""
    command = [sys.executable, "-c", PROGRAM, path]
    env = os.environ | KNOWING_STEMS
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=env)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert max(found["off"]) <= 1e-4
    assert min(found["apart"]) > 1e-2
