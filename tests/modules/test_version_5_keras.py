"""Version 5 in Keras: `hub.KerasLayer` in models of tf_keras, and `TFSMLayer` of Keras 3."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_hub as hub
import tf_keras

from slimhub.signatures.checks.bounds import difference
from slimhub.signatures.contract.network import MOVING_AVERAGES

_LABELS = np.array([0, 1, 2, 0])


@pytest.fixture
def path(stem):
    return str(stem / "5")


def averages_of(layer):
    """Return the moving averages of the small module by name, as either Keras names them."""
    endings = tuple(ending.lstrip("/") for ending in MOVING_AVERAGES)
    found = {variable.name.removesuffix(":0"): variable.numpy() for variable in layer.weights}
    found = {name: value for name, value in found.items() if name.endswith(endings)}
    assert len(found) == 6
    return found


def moved(layer, before):
    """Return how far each average is from what it was."""
    after = averages_of(layer)
    return [difference(after[name], old) for name, old in before.items()]


def classifier(layer):
    """Return a model with `layer` below a new classification layer, ready for training."""
    initializer = tf_keras.initializers.GlorotUniform(seed=1)
    model = tf_keras.Sequential([layer, tf_keras.layers.Dense(3, kernel_initializer=initializer)])
    model.compile(
        tf_keras.optimizers.SGD(0.01),
        tf_keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    return model


def fit(model, images, epochs=3):
    fitted = model.fit(images(4, 32), _LABELS, epochs=epochs, shuffle=False, verbose=0)
    return fitted.history["loss"]


@pytest.mark.parametrize("arguments", [{}, {"trainable": False}, {"trainable": True}], ids=str)
def test_layer(path, images, arguments):
    """A layer gives what the object gives, also of other floats, and trains only if it is told to."""
    layer = hub.KerasLayer(path, **arguments)
    assert len(layer.weights) == 12
    assert len(layer.trainable_weights) == (6 if arguments.get("trainable") else 0)
    assert len(layer.losses) == 3
    expected = hub.load(path)(images(2, 32)).numpy()
    for dtype in (np.float32, np.float64):
        assert difference(layer(images(2, 32).astype(dtype)).numpy(), expected) <= 1e-6


@pytest.mark.parametrize("arguments", [{}, {"return_endpoints": True}], ids=str)
def test_training_as_a_tensor(path, images, arguments):
    """A layer takes a tensor for `training`, also one that is only known when it runs."""
    layer = hub.KerasLayer(path, trainable=True, arguments=arguments)
    apply = tf.function(lambda batch, training: layer(batch, training=training))
    before = averages_of(layer)
    apply(images(4, 32), tf.constant(False))
    assert max(moved(layer, before)) == 0
    apply(images(4, 32), tf.constant(True))
    assert min(moved(layer, before)) > 0


def test_frozen_layer(path, images):
    """The averages of a layer that is not trainable stay, whoever says `training`."""
    layer = hub.KerasLayer(path, input_shape=(32, 32, 3))
    before = averages_of(layer)
    layer(images(4, 32), training=True)
    losses = fit(classifier(layer), images)
    assert losses[-1] < losses[0]
    assert max(moved(layer, before)) == 0


def test_fit(path, images):
    """Fitting a model lowers its loss, and moves weights and averages of a trainable layer."""
    layer = hub.KerasLayer(path, trainable=True, input_shape=(32, 32, 3))
    model = classifier(layer)
    assert len(model.trainable_weights) == 8
    assert len(model.losses) == 3
    averages, weights = averages_of(layer), [weight.numpy() for weight in layer.trainable_weights]
    losses = fit(model, images)
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < losses[0]
    assert min(moved(layer, averages)) > 0
    for weight, before in zip(layer.trainable_weights, weights, strict=True):
        assert difference(weight.numpy(), before) > 0, weight.name


def test_end_points(path, images):
    """In a functional model, a layer gives end points of images of any size."""
    inputs = tf_keras.Input((None, None, 3))
    outputs = hub.KerasLayer(path, arguments={"return_endpoints": True})(inputs)
    feature_map = outputs["InceptionV1/Conv2d_2c_3x3"]
    assert outputs["default"].shape.as_list() == [None, 192]
    assert feature_map.shape.as_list() == [None, None, None, 192]
    model = tf_keras.Model(inputs, [outputs["default"], feature_map])
    features, maps = model.predict(images(2, 33, 64), verbose=0)
    assert maps.shape == (2, 9, 16, 192)
    assert difference(features, maps.mean(axis=(1, 2))) <= 1e-5


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
@pytest.mark.parametrize("name", ["model", "model.h5", "model.keras"])
def test_saved_model(path, images, tmp_path, name):
    """A fine-tuned model that is saved and loaded predicts the same, and can be tuned further."""
    model = classifier(hub.KerasLayer(path, trainable=True, input_shape=(32, 32, 3)))
    fit(model, images)
    model.save(tmp_path / name)
    known = {"KerasLayer": hub.KerasLayer}
    again = tf_keras.models.load_model(tmp_path / name, custom_objects=known)
    expected = model.predict(images(4, 32), verbose=0)
    assert difference(again.predict(images(4, 32), verbose=0), expected) <= 1e-6
    assert len(again.trainable_weights) == 8
    assert len(again.losses) == 3
    assert fit(again, images, epochs=1)[0] == pytest.approx(fit(model, images, epochs=1)[0], 1e-4)


def test_keras_3(path, images, tmp_path):
    """In Keras 3, `TFSMLayer` finds all weights, moves the averages in training only, and is exported."""
    layer = keras.layers.TFSMLayer(path, call_endpoint="serve", call_training_endpoint="train")
    assert (len(layer.weights), len(layer.trainable_weights)) == (12, 6)
    before = averages_of(layer)
    expected = hub.load(path)(images(4, 32)).numpy()
    for outputs in (layer(images(4, 32)), layer(images(4, 32), training=False)):
        assert difference(outputs.numpy(), expected) <= 1e-6
    assert max(moved(layer, before)) == 0
    layer(images(4, 32), training=True)
    assert min(moved(layer, before)) > 0
    inputs = keras.Input((32, 32, 3))
    keras.Model(inputs, layer(inputs)).export(tmp_path / "exported", verbose=False)
    exported = tf.saved_model.load(tmp_path / "exported")
    assert difference(exported.serve(images(4, 32)).numpy(), layer(images(4, 32)).numpy()) <= 1e-5
