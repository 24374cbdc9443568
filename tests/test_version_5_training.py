"""Version 5 in training, on the small module: what moves its moving averages, and what doesn't."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_hub as hub

from slimhub.export.parity import difference
from slimhub.signatures.interface import MOVING_AVERAGES


@pytest.fixture(scope="module")
def loaded(stem):
    return hub.load(str(stem / "5"))


@pytest.fixture(autouse=True)
def unmoved(loaded):
    """Puts the moving averages back, as all tests share one object."""
    averages = [variable for variable in loaded.variables if not variable.trainable]
    values = [variable.numpy() for variable in averages]
    yield
    for variable, value in zip(averages, values, strict=True):
        variable.assign(value)


def averages_of(variables):
    found = {variable.name.removesuffix(":0"): variable.numpy() for variable in variables}
    return {name: value for name, value in found.items() if name.endswith(MOVING_AVERAGES)}


def moved(before, after):
    """How far each moving average is from what it was."""
    assert len(before) == len(after) == 6
    return [difference(after[name], before[name]) for name in before]


@pytest.fixture(scope="module")
def statistics(stem, images):
    """What the moving averages become without a memory: the statistics of the batch."""
    loaded = hub.load(str(stem / "5"))
    loaded(images(4, 32), training=True, batch_norm_momentum=0.0)
    return averages_of(loaded.variables)


_TRAINING = {
    "call": lambda loaded, batch, m: loaded(batch, training=True, batch_norm_momentum=m),
    "end points": lambda loaded, batch, m: loaded(batch, True, True, m),
    "tensor": lambda loaded, batch, m: loaded(batch, True, False, tf.constant(m)),
    "signature": lambda loaded, batch, m: loaded.signatures["image_feature_vector_with_bn_hparams"](
        images=tf.constant(batch), batch_norm_momentum=tf.constant(m)
    ),
}
_DEFAULT = {
    "call": lambda loaded, batch: loaded(batch, training=True),
    "end points": lambda loaded, batch: loaded(batch, True, True),
    "train": lambda loaded, batch: loaded.train(batch),
}
_INFERENCE = {
    "call": lambda loaded, batch: loaded(batch),
    "momentum": lambda loaded, batch: loaded(batch, False, False, 0.0),
    "end points": lambda loaded, batch: loaded(batch, False, True, 0.0),
    "serve": lambda loaded, batch: loaded.serve(batch),
    "serving_default": lambda loaded, batch: loaded.signatures["serving_default"](inputs=batch),
    "signature": lambda loaded, batch: loaded.signatures["image_feature_vector"](images=batch),
}


def assert_updated(loaded, before, statistics, momentum):
    """Every moving average moved once by exactly `(1 - momentum) * (statistic - old)`."""
    after = averages_of(loaded.variables)
    assert min(moved(before, after)) > 1e-4
    for name, old in before.items():
        expected = old + (1 - momentum) * (statistics[name] - old)
        assert difference(after[name], expected) <= 1e-6, name


@pytest.mark.parametrize("momentum", [0.5, 0.997])
@pytest.mark.parametrize("apply", _TRAINING.values(), ids=_TRAINING)
def test_given_momentum(loaded, images, statistics, apply, momentum):
    """In training, each moving average moves once, by the given momentum, however it is given."""
    before = averages_of(loaded.variables)
    apply(loaded, images(4, 32), momentum)
    assert_updated(loaded, before, statistics, momentum)


@pytest.mark.parametrize("apply", _DEFAULT.values(), ids=_DEFAULT)
def test_default_momentum(loaded, images, statistics, apply):
    """In training, the momentum is 0.99 unless it is given."""
    before = averages_of(loaded.variables)
    apply(loaded, images(4, 32))
    assert_updated(loaded, before, statistics, 0.99)


def test_statistics(loaded, images, statistics):
    """The averages are those of a batch norm's input, with the unbiased variance."""
    layer = "InceptionV1/Conv2d_1a_7x7"
    kernel = next(v for v in loaded.variables if v.name == f"{layer}/weights:0")
    inputs = tf.nn.conv2d(2 * images(4, 32) - 1, kernel, 2, "SAME").numpy().astype(np.float64)
    mean, variance = inputs.mean((0, 1, 2)), inputs.var((0, 1, 2), ddof=1)
    assert difference(statistics[f"{layer}/BatchNorm/moving_mean"], mean) <= 1e-5
    assert difference(statistics[f"{layer}/BatchNorm/moving_variance"], variance) <= 1e-5


@pytest.mark.parametrize("apply", _INFERENCE.values(), ids=_INFERENCE)
def test_inference_moves_nothing(loaded, images, apply):
    """At inference, no variable changes, whatever the momentum."""
    before = [variable.numpy() for variable in loaded.variables]
    apply(loaded, tf.constant(images(4, 32)))
    after = [variable.numpy() for variable in loaded.variables]
    assert all((old == new).all() for old, new in zip(before, after, strict=True))


def test_training_moves_no_weights(loaded, images):
    """Training mode by itself changes no weight: that is up to the optimizer."""
    before = [variable.numpy() for variable in loaded.trainable_variables]
    loaded(images(4, 32), training=True)
    after = [variable.numpy() for variable in loaded.trainable_variables]
    assert all((old == new).all() for old, new in zip(before, after, strict=True))


def test_gradients_at_inference(loaded, images):
    """At inference, there are gradients too, and averages take no part in them."""
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(loaded(images(4, 32)) ** 2)
    gradients = tape.gradient(loss, loaded.trainable_variables)
    assert len(gradients) == 6
    assert all(np.abs(gradient.numpy()).max() > 0 for gradient in gradients)
    assert {variable.name for variable in tape.watched_variables()} == {
        variable.name for variable in loaded.trainable_variables
    }


def test_gradients_of_losses(loaded):
    """Each regularization loss pulls its kernel towards zero, by the weight decay."""
    kernels = {v.name: v for v in loaded.trainable_variables if v.name.endswith("/weights:0")}
    with tf.GradientTape() as tape:
        loss = tf.add_n([loss() for loss in loaded.regularization_losses])
    gradients = tape.gradient(loss, kernels)
    assert len(kernels) == 3
    for name, kernel in kernels.items():
        assert difference(gradients[name].numpy(), 0.00004 * kernel.numpy()) <= 1e-6


def test_persistent_tape(loaded, images):
    """A persistent tape gives several gradients of one call, and those of two calls their sum."""
    weights = loaded.trainable_variables
    with tf.GradientTape(persistent=True) as tape:
        features = loaded(images(4, 32), training=True)
        first, second = tf.reduce_sum(features[0] ** 2), tf.reduce_sum(features[1:] ** 2)
        both = first + second
    gradients = [tape.gradient(loss, weights) for loss in (first, second, both)]
    for one, other, total in zip(*gradients, strict=True):
        assert difference((one + other).numpy(), total.numpy()) <= 1e-4
        assert difference(one.numpy(), other.numpy()) > 1e-2


def test_gradients_within_a_function(loaded, images):
    """A training step within a `tf.function` is that of eager mode."""
    batch = tf.constant(images(4, 32))

    def step():
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(loaded(batch, training=True) ** 2)
        return tape.gradient(loss, loaded.trainable_variables)

    before = averages_of(loaded.variables)
    eager = step()
    between = averages_of(loaded.variables)
    traced = tf.function(step)()
    after = averages_of(loaded.variables)
    for one, other in zip(eager, traced, strict=True):
        assert difference(other.numpy(), one.numpy()) <= 1e-5
    for name, old in before.items():
        # Both moved by a hundredth of the way to the same statistics: 1 and 0.99 parts of it.
        assert difference(after[name] - between[name], 0.99 * (between[name] - old)) <= 1e-2
