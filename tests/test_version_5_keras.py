"""Version 5 in Keras: `hub.KerasLayer` in models of tf_keras, and `TFSMLayer` of Keras 3."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_hub as hub
import tf_keras

from slimhub.export.parity import difference
from slimhub.signatures.interface import MOVING_AVERAGES

_LABELS = np.array([0, 1, 2, 0])


@pytest.fixture
def path(stem):
    return str(stem / "5")


def averages_of(layer):
    """By name, as Keras 3 has it or as it is; of the small module, there are six."""
    endings = tuple(ending.lstrip("/") for ending in MOVING_AVERAGES)
    found = {variable.name.removesuffix(":0"): variable.numpy() for variable in layer.weights}
    found = {name: value for name, value in found.items() if name.endswith(endings)}
    assert len(found) == 6
    return found


def distances(before, after):
    return [difference(after[name], old) for name, old in before.items()]


def classifier(layer):
    """A model with `layer` below a new classification layer, ready for training."""
    initializer = tf_keras.initializers.GlorotUniform(seed=1)
    model = tf_keras.Sequential([layer, tf_keras.layers.Dense(3, kernel_initializer=initializer)])
    model.compile(
        tf_keras.optimizers.SGD(0.01),
        tf_keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    return model


def fit(model, images, epochs=3):
    return model.fit(images(4, 32), _LABELS, epochs=epochs, shuffle=False, verbose=0).history[
        "loss"
    ]


# It needs what the worker of that group has exported.
@pytest.mark.xdist_group("inception_v1-5")
def test_counts_of_a_whole_network(module):
    """A layer finds all weights and losses of a network; those to train only if it is told to train."""
    directory = str(module("inception_v1", "feature_vector", 5))
    layer = hub.KerasLayer(directory, trainable=True)
    assert (len(layer.weights), len(layer.trainable_weights)) == (228, 114)
    losses = np.array([loss.numpy() for loss in layer.losses])
    expected = np.array([loss().numpy() for loss in layer.resolved_object.regularization_losses])
    assert losses.shape == (57,)
    assert difference(losses, expected) <= 1e-6


def test_counts(path):
    """By default, a layer is not trainable."""
    for trainable in (False, True):
        layer = hub.KerasLayer(path, trainable=trainable)
        assert len(layer.weights) == 12
        assert len(layer.trainable_weights) == (6 if trainable else 0)
        assert len(layer.losses) == 3
    assert not hub.KerasLayer(path).trainable


def test_output(path, images):
    """A layer gives what the object gives, also of other floats than float32."""
    expected = hub.load(path)(images(2, 32)).numpy()
    layer = hub.KerasLayer(path)
    assert difference(layer(images(2, 32)).numpy(), expected) <= 1e-6
    assert difference(layer(images(2, 32).astype(np.float64)).numpy(), expected) <= 1e-6


def test_output_shape(path):
    """A layer tells the shape of its output, of any images."""
    layer = hub.KerasLayer(path)
    assert tuple(layer.compute_output_shape((None, 32, 32, 3))) == (None, 192)
    assert tuple(layer.compute_output_shape((5, None, None, 3))) == (5, 192)


@pytest.mark.parametrize("momentum", [None, 0.997, 0.5])
def test_momentum(path, images, momentum):
    """The momentum of a layer is 0.99, or what it was made with."""
    statistics = hub.load(path)
    statistics(images(4, 32), True, False, 0.0)
    arguments = {} if momentum is None else {"batch_norm_momentum": momentum}
    layer = hub.KerasLayer(path, trainable=True, arguments=arguments)
    before = averages_of(layer)
    layer(images(4, 32), training=True)
    after = averages_of(layer)
    kept = 0.99 if momentum is None else momentum
    for variable in statistics.variables:
        name = variable.name.removesuffix(":0")
        if name in before:
            expected = before[name] + (1 - kept) * (variable.numpy() - before[name])
            assert difference(after[name], expected) <= 1e-6, name


def test_training_as_a_tensor(path, images):
    """A layer takes a tensor for `training`, also one that is only known when it runs."""
    layer = hub.KerasLayer(path, trainable=True)
    apply = tf.function(lambda batch, training: layer(batch, training=training))
    before = averages_of(layer)
    assert difference(apply(images(4, 32), tf.constant(False)), layer(images(4, 32))) <= 1e-5
    assert max(distances(before, averages_of(layer))) == 0
    apply(images(4, 32), tf.constant(True))
    assert min(distances(before, averages_of(layer))) > 0


def test_frozen_layer(path, images):
    """The averages of a layer that is not trainable stay, whoever says `training`."""
    layer = hub.KerasLayer(path, input_shape=(32, 32, 3))
    before = averages_of(layer)
    layer(images(4, 32), training=True)
    losses = fit(classifier(layer), images)
    assert losses[-1] < losses[0]
    assert max(distances(before, averages_of(layer))) == 0


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
    assert min(distances(averages, averages_of(layer))) > 0
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


def test_end_points_in_training(path, images):
    """In training, a layer that gives end points moves its averages; at inference, it doesn't."""
    layer = hub.KerasLayer(path, trainable=True, arguments={"return_endpoints": True})
    before = averages_of(layer)
    layer(images(4, 32))
    assert max(distances(before, averages_of(layer))) == 0
    layer(images(4, 32), training=True)
    assert min(distances(before, averages_of(layer))) > 0


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
@pytest.mark.parametrize("name", ["model", "model.h5", "model.keras"])
def test_saved_model_of_keras(path, images, tmp_path, name):
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


def test_saved_weights(path, images, tmp_path):
    """Weights of a fine-tuned model, averages among them, go into a new model of the same module."""
    tuned, fresh = (
        classifier(hub.KerasLayer(path, trainable=True, input_shape=(32, 32, 3))) for _ in range(2)
    )
    fit(tuned, images)
    expected = tuned.predict(images(4, 32), verbose=0)
    assert difference(fresh.predict(images(4, 32), verbose=0), expected) > 1e-3
    tuned.save_weights(tmp_path / "tuned.weights.h5")
    fresh.load_weights(tmp_path / "tuned.weights.h5")
    assert difference(fresh.predict(images(4, 32), verbose=0), expected) <= 1e-6


def test_keras_3(path, images):
    """In Keras 3, `TFSMLayer` finds all weights, and moves the averages in training only."""
    layer = keras.layers.TFSMLayer(path, call_endpoint="serve", call_training_endpoint="train")
    assert (len(layer.weights), len(layer.trainable_weights)) == (12, 6)
    before = averages_of(layer)
    expected = hub.load(path)(images(4, 32)).numpy()
    for outputs in (layer(images(4, 32)), layer(images(4, 32), training=False)):
        assert difference(outputs.numpy(), expected) <= 1e-6
    assert max(distances(before, averages_of(layer))) == 0
    layer(images(4, 32), training=True)
    assert min(distances(before, averages_of(layer))) > 0
