"""models/network.py: the networks, beside the stock ones of tf-slim."""

import contextlib
import functools

import numpy as np
import pytest
import tensorflow as tf
import tf_slim
from tf_slim.nets import inception

from slimhub.export.parity import difference
from slimhub.models import catalog, network, slim

MOMENTUM = 0.9997

# With 1001 classes: variables, trainable ones, parameters, regularized kernels, batch norms.
COUNTS = {
    "inception_v1": (230, 116, 6_633_209, 58, 57),
    "inception_v2": (277, 141, 11_199_137, 69, 68),
}
STOCK = {
    "inception_v1": (inception.inception_v1, inception.inception_v1_arg_scope),
    "inception_v2": (inception.inception_v2, inception.inception_v2_arg_scope),
}


@pytest.fixture(params=catalog.MODELS, ids=catalog.names())
def model(request):
    return request.param


# Building one takes seconds; sessions on it leave it as it was, but for their savers.
@functools.cache
def build(model, *, training=False, num_classes=1001):
    with tf.Graph().as_default() as graph:
        images = tf.compat.v1.placeholder(tf.float32, [None, None, None, 3], name="images")
        built = network.build(
            model,
            images,
            training=training,
            batch_norm_momentum=MOMENTUM,
            num_classes=num_classes,
        )
    return graph, built


@functools.cache
def build_stock(model, *, training):
    """The network as tf-slim has it, with its own arg scope's parameters, fed with [0, 1]."""
    function, arg_scope = STOCK[model.name]
    parameters = arg_scope()
    normalizer = parameters[tf_slim.arg_scope_func_key(tf_slim.conv2d)]["normalizer_params"]
    assert normalizer["decay"] == MOMENTUM
    # The one parameter that no longer works, see models/slim.py.
    repaired = {**normalizer, "updates_collections": slim.UPDATE_OPS}
    with (
        tf.Graph().as_default() as graph,
        tf_slim.arg_scope(parameters),
        tf_slim.arg_scope([tf_slim.conv2d], normalizer_params=repaired),
    ):
        images = tf.compat.v1.placeholder(tf.float32, [None, 224, 224, 3], name="images")
        logits, end_points = function(2 * images - 1, num_classes=1001, is_training=training)
    return graph, logits, end_points


def updates(graph):
    return [update.op for update in graph.get_collection(slim.UPDATE_OPS)]


@contextlib.contextmanager
def restored(graph, path):
    with graph.as_default(), tf.compat.v1.Session() as session:
        tf.compat.v1.train.Saver().restore(session, str(path))
        yield session


def variables(graph):
    found = graph.get_collection("variables")
    return {variable.op.name: (tuple(variable.shape), variable.trainable) for variable in found}


def test_counts(model):
    """Variables, parameters and losses are as many as the checkpoints' documentation has."""
    _, built = build(model, training=True)
    parameters = sum(variable.shape.num_elements() for variable in built.variables)
    found = (
        len(built.variables),
        sum(variable.trainable for variable in built.variables),
        parameters,
        len(built.regularization_losses),
        len(built.update_ops) // 2,
    )
    assert found == COUNTS[model.name]
    assert (model.num_regularized, model.num_batch_norms) == COUNTS[model.name][3:]


def test_variables_of_stock_slim(model):
    """Names, shapes and trainable flags of all variables are stock tf-slim's."""
    graph, _ = build(model)
    stock, _, _ = build_stock(model, training=False)
    assert variables(graph) == variables(stock)


def test_logits_of_stock_slim(model, checkpoint, images):
    """At 224 x 224, logits, predictions and end points equal stock tf-slim's."""
    batch = images(2)
    graph, built = build(model)
    with restored(graph, checkpoint(model.name)) as session:
        ours = session.run(
            {"Logits": built.logits, "Predictions": built.predictions, **built.end_points},
            {"images:0": batch},
        )
    stock, logits, end_points = build_stock(model, training=False)
    with restored(stock, checkpoint(model.name)) as session:
        theirs = session.run({**end_points, "Logits": logits}, {"images:0": batch})
    assert difference(ours.pop("Logits"), theirs.pop("Logits")) <= 1e-5
    assert difference(ours.pop("Predictions"), theirs.pop("Predictions")) <= 1e-5
    pool = ours.pop(f"{model.scope}/global_pool")
    assert difference(pool, theirs["Mixed_5c"].mean(axis=(1, 2), keepdims=True)) <= 1e-5
    assert list(ours) == [f"{model.scope}/{name}" for name in theirs]
    for name, expected in theirs.items():
        assert difference(ours[f"{model.scope}/{name}"], expected) <= 1e-5, name


def test_training_of_stock_slim(model, checkpoint, images):
    """In training, the last feature map and the moved averages equal stock tf-slim's."""
    batch = images(4)
    results = []
    graph, built = build(model, training=True)
    stock, _, end_points = build_stock(model, training=True)
    maps = {graph: built.end_points[f"{model.scope}/Mixed_5c"], stock: end_points["Mixed_5c"]}
    for one, feature_map in maps.items():
        with restored(one, checkpoint(model.name)) as session:
            features, _ = session.run((feature_map, updates(one)), {"images:0": batch})
            averages = {v.op.name: v for v in one.get_collection("variables") if not v.trainable}
            results.append((features, session.run(averages)))
    (ours, our_averages), (theirs, their_averages) = results
    assert difference(ours, theirs) <= 1e-5
    assert our_averages.keys() == their_averages.keys()
    for name, expected in their_averages.items():
        assert difference(our_averages[name], expected) <= 1e-5, name


def test_shapes(model):
    """Outputs keep the batch size open, and have as many features and classes as they should."""
    _, built = build(model, num_classes=7)
    assert built.feature_vector.shape.as_list() == [None, 1024]
    assert built.logits.shape.as_list() == [None, 7]
    assert built.predictions.shape.as_list() == [None, 7]


def test_without_classes(model):
    """Without classes there is no head: no logits, no variables, no loss."""
    graph, built = build(model, num_classes=None)
    assert built.logits is None
    assert built.predictions is None
    assert not [v.name for v in built.variables if "/Logits/" in v.name]
    assert len(built.regularization_losses) == model.num_regularized - 1
    assert not [op.name for op in graph.get_operations() if model.head in op.name]


def test_operation_names(model):
    """Operations have the names that users' scripts know."""
    _, built = build(model)
    scope = model.scope
    assert built.feature_vector.name == "hub_output/feature_vector/SpatialSqueeze:0"
    assert built.logits.name == f"{scope}/Logits/SpatialSqueeze:0"
    assert built.end_points[f"{scope}/global_pool"].name == f"{scope}/Logits/global_pool:0"
    assert built.end_points[f"{scope}/Mixed_5c"].name == f"{scope}/{scope}/Mixed_5c/concat:0"


def test_quirk_of_inception_v1():
    """Inception V1 keeps the odd name of one of its convolutions."""
    _, built = build(catalog.get("inception_v1"))
    names = {variable.op.name for variable in built.variables}
    assert "InceptionV1/Mixed_5b/Branch_2/Conv2d_0a_3x3/weights" in names


def test_first_layer_of_inception_v2():
    """Inception V2 begins with a separable convolution: biases, no batch norm, no L2 loss."""
    graph, built = build(catalog.get("inception_v2"))
    prefix = "InceptionV2/Conv2d_1a_7x7/"
    found = {
        name.removeprefix(prefix): shape
        for name, (shape, _) in variables(graph).items()
        if name.startswith(prefix)
    }
    assert found == {
        "depthwise_weights": (7, 7, 3, 8),
        "pointwise_weights": (1, 1, 24, 64),
        "biases": (64,),
    }
    assert not [loss.name for loss in built.regularization_losses if prefix in loss.name]


@pytest.mark.parametrize("training", [False, True])
def test_dropout(model, checkpoint, images, training):
    """Dropout acts on the logits in training only, and never on the feature vector."""
    graph, built = build(model, training=training)
    with restored(graph, checkpoint(model.name)) as session:
        fetches = (built.feature_vector, built.logits)
        feeds = {"images:0": images(2, 64)}
        first, second = session.run(fetches, feeds), session.run(fetches, feeds)
    assert difference(first[0], second[0]) <= 1e-5
    assert (difference(first[1], second[1]) > 1e-2) == training


def test_rescaling(model, checkpoint):
    """The network sees 2 x - 1: grey images are zeros to it."""
    graph, _ = build(model)
    with restored(graph, checkpoint(model.name)) as session:
        pixels = np.array([0, 0.5, 1], np.float32).reshape(1, 1, 1, 3)
        [found] = session.run(["hub_input/Sub:0"], {"images:0": pixels})
    np.testing.assert_array_equal(found.ravel(), [-1, 0, 1])


def test_weight_decay(model, checkpoint):
    """A regularization loss is half the squared norm of its kernel times 4e-5."""
    graph, built = build(model)
    head = f"{model.scope}/{model.head}"
    [weights] = [v for v in built.variables if v.op.name == f"{head}/weights"]
    [loss] = [one for one in built.regularization_losses if head in one.name]
    with restored(graph, checkpoint(model.name)) as session:
        kernel, found = session.run((weights, loss))
    assert found == pytest.approx(4e-5 * np.square(kernel.astype(np.float64)).sum() / 2, rel=1e-5)
