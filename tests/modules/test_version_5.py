"""Version 5, used as people use it: `hub.load`, its calls, and what version 3 and Slim give."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_hub as hub

from slimhub.export.writers import slim_graph
from slimhub.signatures.checks.bounds import difference
from slimhub.signatures.contract.network import MOVING_AVERAGES


@pytest.fixture(scope="module")
def loaded(exported_5):
    return hub.load(str(exported_5.directory))


def test_ways_to_call(exported_5, loaded, images):
    """Arguments are given by their places or by their names; `serve` and `train` take images alone."""
    batch = images(2, 32)
    plain, training = loaded(batch).numpy(), loaded(batch, True, True, 1.0)
    classes = 1001 if exported_5.task == "classification" else exported_5.model.num_features
    assert (plain.shape, plain.dtype) == ((2, classes), np.float32)
    assert difference(plain[0], plain[1]) > 0.05
    for outputs in (
        loaded(batch, False),
        loaded(inputs=batch),
        loaded(batch, training=False),
        loaded.serve(batch),
        loaded(batch, False, True, 0.5)["default"],
    ):
        assert (outputs.numpy() == plain).all()
    [pool] = [key for key in training if key.endswith("/global_pool")]
    by_name = loaded(batch, batch_norm_momentum=1.0, return_endpoints=True, training=True)
    assert difference(by_name[pool].numpy(), training[pool].numpy()) <= 1e-5
    assert difference(training[pool].numpy(), loaded(batch, False, True)[pool].numpy()) > 1e-2
    trained = loaded.train(batch).numpy()
    if exported_5.task == "feature_vector":
        assert difference(trained, training["default"].numpy()) <= 1e-5
    else:
        assert difference(trained, loaded.train(batch).numpy()) > 1e-2, "dropout"


def test_gradients(exported_5, loaded, checkpoint, images):
    """In training, gradients of all weights are those of the Slim graph."""
    batch = images(4, 64)
    pool = f"{exported_5.model.scope}/global_pool"
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(loaded(batch, True, True)[pool] ** 2)
    gradients = tape.gradient(loss, loaded.trainable_variables)
    actual = {v.name: g for v, g in zip(loaded.trainable_variables, gradients, strict=True)}
    built = slim_graph.build(exported_5.model, version=5, num_classes=None, training=True)
    with built.graph.as_default(), tf.compat.v1.Session() as session:
        saver = tf.compat.v1.train.Saver(built.network.variables)
        saver.restore(session, str(checkpoint(exported_5.model.name)))
        weights = [v for v in built.network.variables if v.trainable]
        of_slim = tf.gradients(tf.reduce_mean(built.network.feature_vector**2), weights)
        fetches = dict(zip([v.name for v in weights], of_slim, strict=True))
        expected = session.run(fetches, {built.images: batch})
    assert set(expected) == {name for name in actual if "/Logits/" not in name}
    for name, gradient in expected.items():
        assert difference(actual[name].numpy(), gradient) <= 1e-4, name
        assert np.abs(gradient).max() > 0, name


@pytest.fixture
def small(stem):
    return hub.load(str(stem / "5"))


def test_vectorized_map(small, images):
    """A loaded module maps over groups of images, without having been called before."""
    groups = np.stack([images(2, 32), images(2, 33)[:, :32, :32]])
    mapped = tf.vectorized_map(small, tf.constant(groups))
    assert difference(mapped[1].numpy(), small(groups[1]).numpy()) <= 1e-5


def test_gradients_at_inference(small, images):
    """At inference, there are gradients too, and averages take no part in them."""
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(small(images(4, 32)) ** 2)
    gradients = tape.gradient(loss, small.trainable_variables)
    assert len(gradients) == 6
    assert all(np.abs(gradient.numpy()).max() > 0 for gradient in gradients)
    watched = {variable.name for variable in tape.watched_variables()}
    assert watched == {variable.name for variable in small.trainable_variables}


def test_step_within_a_function(small, images):
    """A training step within a `tf.function` is that of eager mode, and moves the averages as far."""
    batch = tf.constant(images(4, 32))
    averages = [v for v in small.variables if v.name.split(":")[0].endswith(MOVING_AVERAGES)]
    assert len(averages) == 6

    def step():
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(small(batch, training=True, batch_norm_momentum=0.5) ** 2)
        return tape.gradient(loss, small.trainable_variables)

    values, gradients = [[average.numpy() for average in averages]], []
    for take in (step, tf.function(step)):
        gradients.append(take())
        values.append([average.numpy() for average in averages])
    for one, other in zip(*gradients, strict=True):
        assert difference(other.numpy(), one.numpy()) <= 1e-5
    for first, second, third in zip(*values, strict=True):
        assert difference(second, first) > 1e-4
        # Half of the way that was left.
        assert difference(third, second + (second - first) / 2) <= 1e-5
