"""Unusual weights, which are not wrong: their modules are published and give the results of Slim."""

import numpy as np
import pytest
import tensorflow as tf
from clients.reference import Slim
from pictures import SHAPES, draw
from stem import RESNET_STEM, STEM, VGG_STEM, stem_in_catalog

from slimhub.export import pipeline
from slimhub.export.checkpoints import synthetic
from slimhub.export.request import ExportRequest
from slimhub.export.writers import slim_graph
from slimhub.signatures.checks.bounds import difference


@pytest.fixture(autouse=True)
def stems():
    """Put the small networks into the catalog."""
    with stem_in_catalog():
        yield


@pytest.fixture
def check(tmp_path):
    """Return a function that exports weights and checks that the modules give Slim's logits."""

    def check(model, weights, *versions):
        path = tmp_path / model.archive.member
        arrays = {name: np.asarray(value, np.float32) for name, value in weights.items()}
        synthetic.write_checkpoint(arrays, path)
        pictures, _ = draw(4, size=model.image_size[0], seed=1)
        slim = Slim(model.name, "classification", training=False, checkpoint=path)
        expected = slim.outputs(3, {"": pictures})[" image_classification:default"]
        for version in versions:
            request = ExportRequest(
                version=version,
                models=(model.name,),
                tasks=("classification",),
                checkpoint=str(path),
                handle_prefix="me/odd",
                output=tmp_path / "modules",
            )
            [outcome] = pipeline.export(request)
            assert (outcome.error, outcome.parity) == (None, 0.0)
            loaded = tf.saved_model.load(str(outcome.directory), None if version == 5 else [])
            logits = loaded.signatures["image_classification"](images=tf.constant(pictures))
            assert logits["default"].shape == (4, outcome.num_classes)
            assert difference(logits["default"].numpy(), expected) <= 1e-5

    return check


def head(change):
    """Return a change of the weights and biases of a classification layer."""

    def change_head(model, arrays):
        names = [f"{model.scope}/{model.head}/{kind}" for kind in ("weights", "biases")]
        arrays.update(zip(names, change(*(arrays[name] for name in names)), strict=True))

    return change_head


def zeros(model, arrays):
    arrays.update({name: 0 * value for name, value in arrays.items()})


def negative_variances(model, arrays):
    """Set variances to -1e-5, as old TensorFlow and Caffe left them."""
    for name, value in arrays.items():
        if name.endswith("/moving_variance"):
            value[value < 1e-10] = -1e-5 + 5e-9


one_class = head(lambda w, b: (w[..., :1], b[:1]))
CASES = {
    "one_class": (STEM, 5, one_class),
    "one_class_resnet": (RESNET_STEM, 3, one_class),
    "one_class_vgg": (VGG_STEM, 5, one_class),
    "five_classes": (STEM, 3, head(lambda w, b: (w[..., :5], b[:5]))),
    "far_apart": (STEM, 5, head(lambda w, b: (w[..., :2], np.array([-20.0, 20.0])))),
    "zeros_in_head": (STEM, 3, head(lambda w, b: (0 * w[..., :5], 0 * b[:5]))),
    "only_biases": (STEM, 5, head(lambda w, b: (0 * w[..., :3], np.array([20.0, 0.0, -20.0])))),
    "large_logits": (STEM, 3, head(lambda w, b: (1e4 * w[..., :5], 1e4 * b[:5]))),
    "cancelling": (
        STEM,
        5,
        head(lambda w, b: (w[..., :1] * np.array([1e6, 1e6 * (1 + 1e-4)]), np.zeros(2))),
    ),
    "zeros": (RESNET_STEM, 5, zeros),
    "negative_variances": (RESNET_STEM, 3, negative_variances),
}


@pytest.mark.parametrize(("model", "version", "change"), CASES.values(), ids=CASES)
def test_odd_weights(check, model, version, change):
    """Weights with any number of classes and any values are exported as they are."""
    weights = synthetic.weights(model)
    change(model, weights)
    check(model, weights, version)


def test_trained(check):
    """A network that was trained until its loss fell is exported in both formats."""
    before, after, weights = train(RESNET_STEM, steps=50)
    assert after < 0.9 * before
    check(RESNET_STEM, weights, 3, 5)


def train(model, *, steps):
    """Train a small network on shapes; return the mean losses of the first and last steps, and the weights."""
    weights = synthetic.weights(model)
    for kind in ("weights", "biases"):
        head = f"{model.scope}/{model.head}/{kind}"
        weights[head] = weights[head][..., : len(SHAPES)]
    built = slim_graph.build(model, version=3, num_classes=len(SHAPES), training=True)
    network = built.network
    with built.graph.as_default(), tf.compat.v1.Session() as session:
        labels = tf.compat.v1.placeholder(tf.int64, [None])
        loss = tf.reduce_mean(
            tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=network.logits)
        )
        step = tf.compat.v1.train.MomentumOptimizer(0.003, 0.9).minimize(loss)
        session.run(tf.compat.v1.global_variables_initializer())
        for variable in network.variables:
            variable.load(weights[variable.op.name], session)
        losses = []
        for number in range(steps):
            pictures, classes = draw(16, size=model.image_size[0], seed=number % 4)
            feeds = {built.images: pictures, labels: classes, built.momentum: 0.9}
            losses.append(session.run((loss, step, network.update_ops), feeds)[0])
        weights = session.run({one.op.name: one for one in network.variables})
    return np.mean(losses[:5]), np.mean(losses[-5:]), weights
