"""Version 5, used as people use it: `hub.load`, its signatures, and what version 3 gives."""

import contextlib

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_hub as hub

from slimhub.export import slim_graph
from slimhub.export.parity import difference
from slimhub.signatures import running
from slimhub.signatures.interface import MOVING_AVERAGES
from slimhub.signatures.module import Module


@pytest.fixture(scope="module")
def loaded(exported_5):
    return hub.load(str(exported_5.directory))


@pytest.fixture(scope="module")
def version_3(exported_5, module):
    """The directory of version 3, made of the same checkpoint."""
    return module(exported_5.model.name, exported_5.task, 3)


@pytest.fixture(scope="module")
def slim(exported_5, checkpoint):
    """The Slim graph in training mode, and a session on it that was restored from the checkpoint."""
    num_classes = exported_5.model.num_classes if exported_5.task == "classification" else None
    built = slim_graph.build(exported_5.model, version=5, num_classes=num_classes, training=True)
    with contextlib.closing(tf.compat.v1.Session(graph=built.graph)) as session:
        with built.graph.as_default():
            saver = tf.compat.v1.train.Saver(built.network.variables)
            saver.restore(session, str(checkpoint(exported_5.model.name)))
        yield built, session


@pytest.fixture(autouse=True)
def unmoved(loaded):
    """Puts the moving averages back, as all tests share one object."""
    averages = [v for v in loaded.variables if v.name.split(":")[0].endswith(MOVING_AVERAGES)]
    values = [variable.numpy() for variable in averages]
    yield
    for variable, value in zip(averages, values, strict=True):
        variable.assign(value)


def same(actual, expected, tolerance=1e-5):
    """Whether two dictionaries have the same keys and values."""
    assert set(actual) == set(expected)
    for key, value in expected.items():
        assert difference(np.asarray(actual[key]), np.asarray(value)) <= tolerance, key
    return True


def num_outputs(exported_5):
    return 1001 if exported_5.task == "classification" else exported_5.model.num_features


def test_object_itself(exported_5, loaded, images):
    """What `hub.load` gives is called with images, and gives logits or features that tell them apart."""
    outputs = loaded(images(2, 64)).numpy()
    assert outputs.shape == (2, num_outputs(exported_5))
    assert outputs.dtype == np.float32
    assert difference(outputs[0], outputs[1]) > 0.05


@pytest.mark.parametrize("size", [(1, 1, 1), (2, 33, 75), (1, 224, 224)], ids=str)
def test_image_sizes(exported_5, loaded, images, size):
    """Images have any size from one pixel on, and a batch any number of them."""
    outputs = loaded(images(*size), return_endpoints=True)
    assert outputs["default"].shape == (size[0], num_outputs(exported_5))
    positions = [-(-side // 32) for side in size[1:]]
    feature_map = outputs[f"{exported_5.model.scope}/Mixed_5c"]
    assert feature_map.shape == (size[0], *positions, 1024)
    assert np.isfinite(outputs["default"].numpy()).all()


def test_end_points(exported_5, loaded, version_3, images):
    """With `return_endpoints`, there is a dictionary with the keys of version 3's named signature."""
    [meta_graph, _] = Module(version_3).meta_graphs.values()
    keys = set(meta_graph.signature_def[f"image_{exported_5.task}"].outputs)
    for training in (False, True):
        outputs = loaded(images(1, 32), training, True)
        assert isinstance(outputs, dict)
        assert set(outputs) == keys


def test_ways_to_give_arguments(loaded, images):
    """Arguments can be given by their places or by their names, all in the documented order."""
    batch = images(2, 32)
    plain, training = loaded(batch).numpy(), loaded(batch, True, True, 1.0)
    for outputs in (loaded(batch, False), loaded(inputs=batch), loaded(batch, training=False)):
        assert (outputs.numpy() == plain).all()
    assert same(loaded(batch, False, True), loaded(batch, return_endpoints=True), 0)
    assert (loaded(batch, False, True, 0.5)["default"].numpy() == plain).all()
    [pool] = [key for key in training if key.endswith("/global_pool")]
    by_name = loaded(batch, batch_norm_momentum=1.0, return_endpoints=True, training=True)
    assert difference(by_name[pool].numpy(), training[pool].numpy()) <= 1e-5
    assert difference(training[pool].numpy(), loaded(batch, False, True)[pool].numpy()) > 1e-2


def test_serve_and_train(exported_5, loaded, images):
    """`serve` is the object at inference, and `train` the object in training."""
    batch = images(2, 32)
    assert (loaded.serve(batch).numpy() == loaded(batch).numpy()).all()
    trained = loaded.train(batch).numpy()
    assert trained.shape == (2, num_outputs(exported_5))
    if exported_5.task == "feature_vector":
        assert difference(trained, loaded(batch, training=True).numpy()) <= 1e-5
    else:
        assert difference(trained, loaded.train(batch).numpy()) > 1e-2, "dropout"


def test_signatures(exported_5, loaded):
    """There are the promised signatures, whose images are `inputs` in the main one only."""
    tasks = {"image_feature_vector", f"image_{exported_5.task}"}
    with_momentum = {f"{name}_with_bn_hparams" for name in tasks}
    assert set(loaded.signatures) == {"serving_default"} | tasks | with_momentum
    for name, signature in loaded.signatures.items():
        _, inputs = signature.structured_input_signature
        images = "inputs" if name == "serving_default" else "images"
        momentum = {"batch_norm_momentum"} if name in with_momentum else set()
        assert set(inputs) == {images} | momentum
        assert inputs[images].shape.as_list() == [None, None, None, 3]


def test_signatures_for_inference(exported_5, loaded, images):
    """The other signatures give what the object gives at inference."""
    batch = tf.constant(images(2, 32))
    expected = dict(loaded(batch, return_endpoints=True))
    main = loaded.signatures["serving_default"](inputs=batch)
    key = "logits" if exported_5.task == "classification" else "feature_vector"
    assert same(main, {key: expected["default"]})
    assert same(loaded.signatures[f"image_{exported_5.task}"](images=batch), expected)
    features = dict(loaded.signatures["image_feature_vector"](images=batch))
    pool = features[f"{exported_5.model.scope}/global_pool"]
    assert same({"default": features.pop("default")}, {"default": pool[:, 0, 0]})
    assert same(features, {key: expected[key] for key in features if key in expected})


def test_counts(exported_5, loaded):
    """There are all variables and losses of the network, and those of the head only where it is."""
    counts = {
        "inception_v1": {"variables": 228, "trainable_variables": 114, "regularization_losses": 57},
        "inception_v2": {"variables": 277, "trainable_variables": 141, "regularization_losses": 69},
    }
    found = counts[exported_5.model.name]
    assert {name: len(getattr(loaded, name)) for name in found} == found
    assert all(isinstance(variable, tf.Variable) for variable in loaded.variables)


def test_regularization_losses(loaded, slim):
    """The losses are functions without arguments, which give the scalars that Slim has."""
    built, session = slim
    losses = [loss() for loss in loaded.regularization_losses]
    assert {(loss.dtype, tuple(loss.shape)) for loss in losses} == {(tf.float32, ())}
    expected = np.array(session.run(built.network.regularization_losses))
    assert difference(np.array(losses), expected) <= 1e-5
    assert (expected > 0).all()


def test_version_3_at_inference(exported_5, loaded, version_3, images):
    """At inference, all outputs are those of version 3, made of the same checkpoint."""
    batch = images(3, 64)
    with running.load(version_3, tags=()) as graph:
        expected = graph.run(batch)
    with running.as_it_stands():
        outputs = loaded(batch, return_endpoints=True)
        features = loaded.signatures["image_feature_vector"](images=tf.constant(batch))
    assert same(outputs, expected[f"image_{exported_5.task}"])
    assert same(features, expected["image_feature_vector"])


def test_version_3_in_training(loaded, version_3, images):
    """In training, features and end points are those of version 3."""
    batch = images(3, 64)
    with running.load(version_3, tags=("train",)) as graph:
        expected = graph.run(batch)
    name = "image_feature_vector_with_bn_hparams"
    inputs = {"images": tf.constant(batch), "batch_norm_momentum": tf.constant(0.5)}
    assert same(loaded.signatures[name](**inputs), expected[name])


def test_gradients(exported_5, loaded, slim, images):
    """In training, gradients of all weights are those of the Slim graph."""
    batch = images(4, 64)
    pool = f"{exported_5.model.scope}/global_pool"
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(loaded(batch, True, True)[pool] ** 2)
    gradients = tape.gradient(loss, loaded.trainable_variables)
    actual = {v.name: g for v, g in zip(loaded.trainable_variables, gradients, strict=True)}
    built, session = slim
    with built.graph.as_default():
        weights = [v for v in built.network.variables if v.trainable and "/Logits/" not in v.name]
        slim_loss = tf.reduce_mean(built.network.feature_vector**2)
        fetches = dict(
            zip([v.name for v in weights], tf.gradients(slim_loss, weights), strict=True)
        )
    expected = session.run(fetches, {"hub_input/images:0": batch})
    behind = {name for name in actual if "/Logits/" in name}
    assert set(expected) == set(actual) - behind
    for name, gradient in expected.items():
        assert difference(actual[name].numpy(), gradient) <= 1e-4, name
        assert np.abs(gradient).max() > 0, name


def test_dropout(exported_5, loaded, images):
    """In training, features are dropped out before the classification layer, and the rest scaled up."""
    if exported_5.task == "feature_vector":
        assert not [v.name for v in loaded.variables if "/Logits/" in v.name]
        return
    [biases, weights] = [v for v in loaded.trainable_variables if "/Logits/" in v.name]
    with tf.GradientTape() as tape:
        outputs = loaded(images(2, 64), training=True, return_endpoints=True)
        logits = outputs["default"]
        # Of the first image's: a gradient with respect to weights is the sum over images.
        loss = tf.reduce_sum(logits[0])
    dropped = tape.gradient(loss, weights)[0, 0, :, 0].numpy()
    features = outputs[f"{exported_5.model.scope}/global_pool"][0, 0, 0].numpy()
    kept = dropped != 0
    assert 0.7 < kept[features > 0].mean() < 0.9
    assert difference(dropped, np.where(kept, features / np.float32(0.8), 0)) <= 1e-5
    expected = dropped @ weights[0, 0].numpy() + biases.numpy()
    assert difference(logits[0].numpy(), expected) <= 1e-5
