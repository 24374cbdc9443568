"""Fine-tuning a whole network of version 5, untrained, in `tf_keras` and in Keras 3.

It learns to tell drawn shapes apart, which its features do not show while it is frozen.
"""

import dataclasses
from typing import Any

import keras
import numpy as np
import pictures
import pytest
import tensorflow as tf
import tensorflow_hub as hub
import tf_keras

from slimhub.export.parity import difference

# Its worker has what that group exports.
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("inception_v1-5")]

_SIZE = 48
_BATCH = 16
_SEED = 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class Drawn:
    """Pictures and labels: of the training set, and held out."""

    train: tuple[np.ndarray, np.ndarray]
    held_out: tuple[np.ndarray, np.ndarray]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tuned:
    """A model after its fine-tuning, and the weights of its module before, in their order."""

    model: Any
    layer: Any
    before: list[np.ndarray]


@pytest.fixture(scope="module")
def path(module):
    return str(module("inception_v1", "feature_vector", 5))


@pytest.fixture(scope="module")
def drawn():
    return Drawn(
        train=pictures.draw(800, size=_SIZE, seed=2 * _SEED),
        held_out=pictures.draw(240, size=_SIZE, seed=2 * _SEED + 1),
    )


def classifier(library, inputs, outputs, optimizer):
    """A model of either Keras, with a new classification layer above `outputs`."""
    logits = library.layers.Dense(len(pictures.SHAPES))(outputs)
    model = library.Model(inputs, logits)
    loss = library.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss, metrics=["accuracy"])
    return model


def tune(library, layer, drawn, passes):
    library.utils.set_random_seed(_SEED)
    before = [weight.numpy() for weight in layer.weights]
    inputs = library.Input((_SIZE, _SIZE, 3))
    # No momentum: Keras 3.15 can't name the slots of variables from a SavedModel, of which this
    # has none.
    model = classifier(library, inputs, layer(inputs), library.optimizers.SGD(0.05))
    model.fit(*drawn.train, batch_size=_BATCH, verbose=0)
    settle(model, drawn.train[0], passes)
    return Tuned(model=model, layer=layer, before=before)


def settle(model, images, passes):
    """Moves the averages alone, which are still those of weights of before."""
    apply = tf.function(lambda batch: model(batch, training=True))
    random = np.random.RandomState(_SEED)
    for _ in range(passes):
        apply(images[random.choice(len(images), _BATCH, replace=False)])


def tuned_in_tf_keras(path, drawn):
    layer = hub.KerasLayer(path, trainable=True, arguments={"batch_norm_momentum": 0.9})
    return tune(tf_keras, layer, drawn, passes=25)


def tuned_in_keras_3(path, drawn):
    # Its momentum is 0.99, which forgets ten times as slowly.
    layer = keras.layers.TFSMLayer(path, call_endpoint="serve", call_training_endpoint="train")
    return tune(keras, layer, drawn, passes=250)


def batches(images):
    return np.array_split(images, len(images) // 40)


def judge(logits, labels):
    """Cross entropy and accuracy."""
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
    return losses.numpy().mean(), (np.argmax(logits, axis=1) == labels).mean()


@pytest.fixture(scope="module")
def frozen(path, drawn):
    """The lowest loss and the best accuracy that the same head ever has above the frozen features."""
    layer = hub.KerasLayer(path)
    train, held_out = (
        (np.concatenate([layer(batch) for batch in batches(images)]), labels)
        for images, labels in (drawn.train, drawn.held_out)
    )
    tf_keras.utils.set_random_seed(_SEED)
    inputs = tf_keras.Input(train[0].shape[1:])
    model = classifier(tf_keras, inputs, inputs, tf_keras.optimizers.Adam(0.01))
    fitted = model.fit(*train, batch_size=200, epochs=100, validation_data=held_out, verbose=0)
    # The head has learned all that it can: it is the features that fall short.
    assert fitted.history["accuracy"][-1] > 0.95
    return min(fitted.history["val_loss"]), max(fitted.history["val_accuracy"])


@pytest.fixture(scope="module", params=[tuned_in_tf_keras, tuned_in_keras_3])
def tuned(request, path, drawn):
    return request.param(path, drawn)


def test_better_than_frozen(tuned, frozen, drawn):
    """A fine-tuned network is far better on new pictures than any head above its frozen features."""
    images, labels = drawn.held_out
    loss, accuracy = judge(tuned.model.predict(images, verbose=0), labels)
    frozen_loss, frozen_accuracy = frozen
    assert loss < 0.6 * frozen_loss
    assert accuracy > frozen_accuracy + 0.15


def test_everything_moved(tuned):
    """Fine-tuning moves every weight and every moving average of the module."""
    assert len(tuned.layer.trainable_weights) == 114
    assert len(tuned.model.trainable_variables) == 114 + 2
    assert len(tuned.layer.weights) == len(tuned.before) == 228
    for weight, before in zip(tuned.layer.weights, tuned.before, strict=True):
        assert difference(weight.numpy(), before) > 1e-3, weight.name


def test_saved(tuned, drawn, tmp_path):
    """A fine-tuned network that is exported by its Keras predicts the same when it is loaded."""
    images = drawn.held_out[0][:40]
    expected = tuned.model.predict(images, verbose=0)
    tuned.model.export(tmp_path / "exported")
    loaded = tf.saved_model.load(tmp_path / "exported")
    assert difference(loaded.serve(images).numpy(), expected) <= 1e-5


# The last test: training mode moves the averages.
def test_inference_agrees_with_training(tuned, drawn):
    """With the averages of fine-tuning, inference is about as good as the statistics of batches."""
    images, labels = drawn.held_out
    _, at_inference = judge(tuned.model.predict(images, verbose=0), labels)
    logits = [tuned.model(batch, training=True) for batch in batches(images)]
    _, in_training = judge(np.concatenate(logits), labels)
    assert abs(at_inference - in_training) < 0.1
