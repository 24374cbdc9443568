"""The networks, beside the stock ones of tf-slim."""

import contextlib
import functools

import numpy as np
import pytest
import tensorflow as tf
import tf_slim
from tf_slim.nets import inception, resnet_v1, resnet_v2, vgg

from slimhub.models import catalog, network, slim
from slimhub.signatures.checks.bounds import difference
from slimhub.signatures.module.module import ancestors


def of(name, *values, quick=True):
    """Return parameters of a model. One worker has all tests of it, and builds its graphs once."""
    slow = () if quick else (pytest.mark.slow,)
    return pytest.param(name, *values, marks=[pytest.mark.xdist_group(name), *slow])


# Graphs of all, but only those that are quick to build without `make test-slow`;
GRAPHS = [of(name, quick=name in ("inception_v1", "vgg_16")) for name in catalog.names()]
# and of each family, those with the smallest weights.
SMALL = ("inception_v1", "inception_v2", "inception_v3", "resnet_v1_50", "resnet_v2_50", "vgg_16")
RUN = [of(name, quick=name == "inception_v1") for name in SMALL]

# Variables, trainable ones, parameters, regularized kernels, batch norms: measured on stock tf-slim
# with TF 1.15, without the auxiliary head of Inception V3.
COUNTS = {
    "inception_v1": (230, 116, 6_633_209, 58, 57),
    "inception_v2": (277, 141, 11_199_137, 69, 68),
    "inception_v3": (378, 190, 23_853_833, 95, 94),
    "resnet_v1_50": (267, 161, 25_610_152, 54, 53),
    "resnet_v1_101": (522, 314, 44_654_504, 105, 104),
    "resnet_v1_152": (777, 467, 60_344_232, 156, 155),
    "resnet_v2_50": (272, 174, 25_615_849, 54, 49),
    "resnet_v2_101": (544, 344, 44_677_609, 105, 100),
    "resnet_v2_152": (816, 514, 60_382_697, 156, 151),
    "vgg_16": (32, 32, 138_357_544, 16, 0),
    "vgg_19": (38, 38, 143_667_240, 19, 0),
}
WITHOUT_AUXILIARY = functools.partial(inception.inception_v3, create_aux_logits=False)
STOCK = {
    "inception_v1": (inception.inception_v1, inception.inception_v1_arg_scope),
    "inception_v2": (inception.inception_v2, inception.inception_v2_arg_scope),
    "inception_v3": (WITHOUT_AUXILIARY, inception.inception_v3_arg_scope),
    "resnet_v1_50": (resnet_v1.resnet_v1_50, resnet_v1.resnet_arg_scope),
    "resnet_v1_101": (resnet_v1.resnet_v1_101, resnet_v1.resnet_arg_scope),
    "resnet_v1_152": (resnet_v1.resnet_v1_152, resnet_v1.resnet_arg_scope),
    "resnet_v2_50": (resnet_v2.resnet_v2_50, resnet_v2.resnet_arg_scope),
    "resnet_v2_101": (resnet_v2.resnet_v2_101, resnet_v2.resnet_arg_scope),
    "resnet_v2_152": (resnet_v2.resnet_v2_152, resnet_v2.resnet_arg_scope),
    "vgg_16": (functools.partial(vgg.vgg_16, spatial_squeeze=False), vgg.vgg_arg_scope),
    "vgg_19": (functools.partial(vgg.vgg_19, spatial_squeeze=False), vgg.vgg_arg_scope),
}
# What stock Slim calls its outputs behind the base, and the last map that dropout does not act on.
HEADS = ("Logits", "PreLogits", "Predictions", "logits", "predictions", "fc8")
LAST = {
    "inception_v1": "Mixed_5c",
    "inception_v2": "Mixed_5c",
    "inception_v3": "Mixed_7c",
    "resnet_v1_50": "block4",
    "resnet_v2_50": "block4",
    "vgg_16": "fc6",
}


@pytest.fixture
def model(request):
    return catalog.get(request.param)


every_graph = pytest.mark.parametrize("model", GRAPHS, indirect=True)
every_family = pytest.mark.parametrize("model", RUN, indirect=True)


# Building one takes seconds; sessions on it leave it as it was, but for their savers.
@functools.cache
def build(model, *, training=False, head=True):
    with tf.Graph().as_default() as graph:
        images = tf.compat.v1.placeholder(tf.float32, [None, None, None, 3], name="images")
        built = network.build(
            model,
            images,
            training=training,
            batch_norm_momentum=model.batch_norm and model.batch_norm.decay,
            num_classes=model.num_classes if head else None,
        )
    return graph, built


@functools.cache
def build_stock(model, *, training, any_size=False):
    """Return the network as tf-slim has it, with its own arg scope's parameters, fed with [0, 1]."""
    function, arg_scope = STOCK[model.name]
    parameters = arg_scope()
    normalizer = parameters[tf_slim.arg_scope_func_key(tf_slim.conv2d)].get("normalizer_params")
    repaired: dict = {}
    if normalizer:
        assert normalizer["decay"] == model.batch_norm.decay
        # The one parameter that no longer works, see models/slim.py; and what TensorFlow 1 made of a
        # small epsilon, see models/resnet_v1.py.
        epsilon = max(normalizer["epsilon"], 1.001e-5)
        assert epsilon == model.batch_norm.epsilon
        repaired = {**normalizer, "epsilon": epsilon, "updates_collections": slim.UPDATE_OPS}
    size = (None, None) if any_size else model.image_size
    with (
        tf.Graph().as_default() as graph,
        tf_slim.arg_scope(parameters),
        tf_slim.arg_scope([tf_slim.conv2d], normalizer_params=repaired),
        tf_slim.arg_scope([tf_slim.batch_norm], **repaired),
    ):
        images = tf.compat.v1.placeholder(tf.float32, [None, *size, 3], name="images")
        inputs = model.input_scale * images - model.input_offsets
        logits, end_points = function(
            inputs, num_classes=model.num_classes, is_training=training, scope=model.scope
        )
    prefix = f"{model.scope}/"
    named = {prefix + name.removeprefix(prefix): tensor for name, tensor in end_points.items()}
    return graph, logits, named


def before_head(model, stock):
    """Return what the classification layer of a stock graph takes, `[batch, height, width, features]`."""
    return stock.get_operation_by_name(f"{model.scope}/{model.head}/Conv2D").inputs[0]


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


@every_graph
def test_variables(model):
    """Variables are named and shaped as stock tf-slim's; all counts are those of the checkpoints."""
    graph, built = build(model, training=True)
    parameters = sum(variable.shape.num_elements() for variable in built.variables)
    found = (
        len(built.variables),
        sum(variable.trainable for variable in built.variables),
        parameters,
        len(built.regularization_losses),
        len(built.update_ops) // 2,
    )
    assert found == COUNTS[model.name]
    recorded = model.num_regularized, model.batch_norm.count if model.batch_norm else 0
    assert recorded == COUNTS[model.name][3:]
    assert built.feature_vector.shape.as_list() == [None, model.num_features]
    assert built.logits.shape.as_list() == [None, model.num_classes]
    stock, _, _ = build_stock(model, training=True)
    assert variables(graph) == variables(stock)


def losses_of(graph):
    """Return the regularization losses of a graph, in the order of their kernels, the head's last."""
    return graph.get_collection(tf.compat.v1.GraphKeys.REGULARIZATION_LOSSES)


@every_family
def test_inference_of_stock_slim(model, checkpoint, images):
    """At the size of the training, outputs and regularization losses equal stock tf-slim's."""
    batch = {"images:0": images(2, *model.image_size)}
    graph, built = build(model)
    with restored(graph, checkpoint(model.name)) as session:
        fetches = built.end_points, built.logits, built.predictions, losses_of(graph)
        ours, *results = session.run(fetches, batch)
    stock, logits, end_points = build_stock(model, training=False)
    with restored(stock, checkpoint(model.name)) as session:
        flat = tf.reshape(logits, [-1, model.num_classes])
        fetches = end_points, before_head(model, stock), flat, tf.nn.softmax(flat), losses_of(stock)
        theirs, last, *expected = session.run(fetches, batch)
    for found, other in zip(results, expected, strict=True):
        assert difference(np.array(found), np.array(other)) <= 1e-5
    heads = {f"{model.scope}/{name}" for name in HEADS}
    theirs = {name: array for name, array in theirs.items() if name not in heads}
    pool = ours.pop(f"{model.scope}/global_pool")
    assert list(ours) == list(theirs)
    for name, array in theirs.items():
        assert difference(ours[name], array) <= 1e-5, name
    assert difference(pool, last.mean(axis=(1, 2), keepdims=True)) <= 1e-5


@every_family
def test_training_of_stock_slim(model, checkpoint, images):
    """In training, the last feature map and the moved averages equal stock tf-slim's."""
    batch = images(4, *model.image_size)
    results = []
    graph, built = build(model, training=True)
    stock, _, end_points = build_stock(model, training=True)
    last = f"{model.scope}/{LAST[model.name]}"
    maps = {graph: built.end_points[last], stock: end_points[last]}
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


@pytest.mark.parametrize(
    ("model", "size", "map_size"),
    [
        of("resnet_v1_50", (97, 260), (1, 1), quick=False),
        of("resnet_v2_50", (97, 260), (1, 1), quick=False),
        of("resnet_v2_50", (33, 1), (1, 1), quick=False),
        of("vgg_16", (300, 260), (3, 2), quick=False),
    ],
    indirect=["model"],
)
def test_another_image_size(model, size, map_size, checkpoint, images):
    """On images of other sizes, features and logits are the means of stock tf-slim's, maps if it is VGG."""
    batch = images(1, *size)
    graph, built = build(model)
    with restored(graph, checkpoint(model.name)) as session:
        fetches = built.feature_vector, built.logits
        features, logits = session.run(fetches, {"images:0": batch})
    stock, map_of_logits, _ = build_stock(model, training=False, any_size=True)
    with restored(stock, checkpoint(model.name)) as session:
        fetches = before_head(model, stock), map_of_logits
        maps = session.run(fetches, {"images:0": batch})
    assert [array.shape[1:3] for array in maps] == [map_size, map_size]
    for ours, theirs in zip((features, logits), maps, strict=True):
        assert difference(ours, theirs.mean(axis=(1, 2))) <= 1e-5


@every_graph
def test_without_classes(model):
    """Without classes there is no head: no logits, no variables, no loss."""
    graph, built = build(model, head=False)
    assert built.logits is None
    assert built.predictions is None
    head = f"{model.scope}/{model.head}/"
    assert not [variable.name for variable in built.variables if variable.name.startswith(head)]
    assert len(built.regularization_losses) == model.num_regularized - 1
    assert not [op.name for op in graph.get_operations() if op.name.startswith(head)]


@pytest.mark.parametrize(
    ("model", "pool", "feature_map"),
    [
        of("inception_v1", "global_pool", "Mixed_5c"),
        of("inception_v2", "global_pool", "Mixed_5c", quick=False),
        of("inception_v3", "GlobalPool", "Mixed_7c", quick=False),
    ],
    indirect=["model"],
)
def test_operation_names(model, pool, feature_map):
    """Operations have the names that users' scripts know."""
    _, built = build(model)
    scope = model.scope
    assert built.feature_vector.name == "hub_output/feature_vector/SpatialSqueeze:0"
    assert built.logits.name == f"{scope}/Logits/SpatialSqueeze:0"
    assert built.end_points[f"{scope}/global_pool"].name == f"{scope}/Logits/{pool}:0"
    last = built.end_points[f"{scope}/{feature_map}"]
    assert last.name == f"{scope}/{scope}/{feature_map}/concat:0"


@pytest.mark.parametrize(
    ("model", "features", "logits"),
    [
        of("inception_v1", 0, 1),
        of("resnet_v1_50", 0, 0, quick=False),
        of("vgg_16", 1, 2),
    ],
    indirect=["model"],
)
def test_random_in_training(model, features, logits):
    """In training, no dropout acts on the feature vector itself, and as many as in Slim on what is behind."""
    graph, built = build(model, training=True)
    nodes = {node.name: node for node in graph.as_graph_def().node}
    found = [
        sum(nodes[name].op == "RandomUniform" for name in ancestors(nodes, tensor.name))
        for tensor in (built.feature_vector, built.logits)
    ]
    assert found == [features, logits]


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        of("inception_v1", [[-1, -1, -1], [0, 0, 0], [1, 1, 1]]),
        of("vgg_16", [[-123.68, -116.78, -103.94], [3.82, 10.72, 23.56], [131.32, 138.22, 151.06]]),
    ],
    indirect=["model"],
)
def test_rescaling(model, expected):
    """Inception sees 2 x - 1, and VGG values to 255 less the mean of each channel."""
    graph, _ = build(model)
    grey = np.array([0, 0.5, 1], np.float32).reshape(1, 3, 1, 1)
    pixels = np.broadcast_to(grey, (1, 3, 1, 3))
    with graph.as_default(), tf.compat.v1.Session() as session:
        found = session.run("hub_input/Sub:0", {"images:0": pixels})
    np.testing.assert_allclose(found[0, :, 0], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "model",
    [
        of("inception_v1"),
        of("vgg_16"),
        of("inception_v3", quick=False),
        of("resnet_v2_50", quick=False),
    ],
    indirect=True,
)
def test_smallest_image(model):
    """A network is built for its smallest images, and for none that are smaller."""
    height, width = model.min_image_size
    build_at(model, height, width)
    for size in ((height - 1, width), (height, width - 1)):
        if 0 not in size:
            with pytest.raises(ValueError, match="Negative dimension"):
                build_at(model, *size)


def build_at(model, height, width):
    with tf.Graph().as_default():
        images = tf.compat.v1.placeholder(tf.float32, [1, height, width, 3])
        network.build(model, images, training=False, batch_norm_momentum=None, num_classes=None)
