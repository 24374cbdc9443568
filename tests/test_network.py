"""models/network.py: the networks, beside the stock ones of tf-slim."""

import contextlib
import functools

import numpy as np
import pytest
import tensorflow as tf
import tf_slim
from tf_slim.nets import inception, resnet_v1, vgg

from slimhub.export.parity import difference
from slimhub.models import catalog, network, slim
from slimhub.signatures.module import ancestors

SLOW = pytest.mark.slow
# Graphs of all, but only those that are quick to build without `make test-slow`;
GRAPHS = [
    pytest.param(name, marks=() if name in ("inception_v1", "vgg_16") else SLOW)
    for name in catalog.names()
]
# and of each family, those with the smallest weights.
RUN = [
    "inception_v1",
    *(
        pytest.param(name, marks=SLOW)
        for name in ("inception_v2", "inception_v3", "resnet_v1_50", "vgg_16")
    ),
]

# Variables, trainable ones, parameters, regularized kernels, batch norms: measured on stock tf-slim
# with TF 1.15, without the auxiliary head of Inception V3.
COUNTS = {
    "inception_v1": (230, 116, 6_633_209, 58, 57),
    "inception_v2": (277, 141, 11_199_137, 69, 68),
    "inception_v3": (378, 190, 23_853_833, 95, 94),
    "resnet_v1_50": (267, 161, 25_610_152, 54, 53),
    "resnet_v1_101": (522, 314, 44_654_504, 105, 104),
    "resnet_v1_152": (777, 467, 60_344_232, 156, 155),
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
    """The network as tf-slim has it, with its own arg scope's parameters, fed with [0, 1]."""
    function, arg_scope = STOCK[model.name]
    parameters = arg_scope()
    normalizer = parameters[tf_slim.arg_scope_func_key(tf_slim.conv2d)].get("normalizer_params")
    repaired = {}
    if normalizer:
        assert normalizer["decay"] == model.batch_norm.decay
        # The one parameter that no longer works, see models/slim.py.
        repaired = {"normalizer_params": {**normalizer, "updates_collections": slim.UPDATE_OPS}}
    size = (None, None) if any_size else model.image_size
    with (
        tf.Graph().as_default() as graph,
        tf_slim.arg_scope(parameters),
        tf_slim.arg_scope([tf_slim.conv2d], **repaired),
    ):
        images = tf.compat.v1.placeholder(tf.float32, [None, *size, 3], name="images")
        inputs = model.input_scale * images - model.input_offsets
        logits, end_points = function(
            inputs, num_classes=model.num_classes, is_training=training, scope=model.scope
        )
    prefix = f"{model.scope}/"
    named = {prefix + name.removeprefix(prefix): tensor for name, tensor in end_points.items()}
    return graph, logits, named


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
    recorded = model.num_regularized, model.batch_norm.count if model.batch_norm else 0
    assert recorded == COUNTS[model.name][3:]


@every_graph
def test_variables_of_stock_slim(model):
    """Names, shapes and trainable flags of all variables are stock tf-slim's."""
    graph, _ = build(model)
    stock, _, _ = build_stock(model, training=False)
    assert variables(graph) == variables(stock)


@every_family
def test_logits_of_stock_slim(model, checkpoint, images):
    """At the size of the training, logits, predictions and end points equal stock tf-slim's."""
    batch = images(2, *model.image_size)
    graph, built = build(model)
    with restored(graph, checkpoint(model.name)) as session:
        ours, logits, predictions = session.run(
            (built.end_points, built.logits, built.predictions), {"images:0": batch}
        )
    stock, expected, end_points = build_stock(model, training=False)
    with stock.as_default():
        flat = tf.reshape(expected, [-1, model.num_classes])
        likely = tf.nn.softmax(flat)
    with restored(stock, checkpoint(model.name)) as session:
        theirs, flat, likely = session.run((end_points, flat, likely), {"images:0": batch})
    assert difference(logits, flat) <= 1e-5
    assert difference(predictions, likely) <= 1e-5
    theirs = {
        name: array
        for name, array in theirs.items()
        if name.removeprefix(f"{model.scope}/") not in HEADS
    }
    pool = ours.pop(f"{model.scope}/global_pool")
    assert list(ours) == list(theirs)
    for name, expected in theirs.items():
        assert difference(ours[name], expected) <= 1e-5, name
    assert difference(pool, expected.mean(axis=(1, 2), keepdims=True)) <= 1e-5


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


@pytest.mark.slow
@pytest.mark.parametrize("model", ["vgg_16"], indirect=True)
def test_maps_of_vgg(model, checkpoint, images):
    """On images larger than 224 x 224, VGG's features and logits are the means of stock tf-slim's maps."""
    batch = images(1, 300, 260)
    graph, built = build(model)
    with restored(graph, checkpoint(model.name)) as session:
        fetches = built.feature_vector, built.logits
        features, logits = session.run(fetches, {"images:0": batch})
    stock, map_of_logits, end_points = build_stock(model, training=False, any_size=True)
    with restored(stock, checkpoint(model.name)) as session:
        fetches = end_points["vgg_16/fc7"], map_of_logits
        maps = session.run(fetches, {"images:0": batch})
    assert [array.shape[1:3] for array in maps] == [(3, 2), (3, 2)]
    for ours, theirs in zip((features, logits), maps, strict=True):
        assert difference(ours, theirs.mean(axis=(1, 2))) <= 1e-5


@every_graph
def test_shapes(model):
    """Outputs keep the batch size open, and have as many features and classes as they should."""
    _, built = build(model)
    assert built.feature_vector.shape.as_list() == [None, model.num_features]
    assert built.logits.shape.as_list() == [None, model.num_classes]
    assert built.predictions.shape.as_list() == [None, model.num_classes]


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


@pytest.mark.parametrize("model", ["inception_v1", "inception_v2"], indirect=True)
def test_operation_names(model):
    """Operations have the names that users' scripts know."""
    _, built = build(model)
    scope = model.scope
    assert built.feature_vector.name == "hub_output/feature_vector/SpatialSqueeze:0"
    assert built.logits.name == f"{scope}/Logits/SpatialSqueeze:0"
    assert built.end_points[f"{scope}/global_pool"].name == f"{scope}/Logits/global_pool:0"
    assert built.end_points[f"{scope}/Mixed_5c"].name == f"{scope}/{scope}/Mixed_5c/concat:0"


@pytest.mark.slow
def test_operation_names_of_inception_v3():
    """Inception V3's pool has another name."""
    _, built = build(catalog.get("inception_v3"))
    assert built.logits.name == "InceptionV3/Logits/SpatialSqueeze:0"
    pool = built.end_points["InceptionV3/global_pool"]
    assert pool.name == "InceptionV3/Logits/GlobalPool:0"


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


@pytest.mark.parametrize(
    ("model", "features", "logits"),
    [
        ("inception_v1", 0, 1),
        pytest.param("resnet_v1_50", 0, 0, marks=SLOW),
        ("vgg_16", 1, 2),
    ],
    indirect=["model"],
)
def test_behind_dropout(model, features, logits):
    """In training, no dropout acts on the feature vector itself, and as many as in Slim on what is behind."""
    graph, built = build(model, training=True)
    nodes = {node.name: node for node in graph.as_graph_def().node}
    found = [
        sum(nodes[name].op == "RandomUniform" for name in ancestors(nodes, tensor.name))
        for tensor in (built.feature_vector, built.logits)
    ]
    assert found == [features, logits]


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("model", ["inception_v1", "inception_v2"], indirect=True)
def test_dropout(model, checkpoint, images, training):
    """Dropout acts on the logits in training only, and never on the feature vector."""
    graph, built = build(model, training=training)
    with restored(graph, checkpoint(model.name)) as session:
        fetches = (built.feature_vector, built.logits)
        feeds = {"images:0": images(2, 64)}
        first, second = session.run(fetches, feeds), session.run(fetches, feeds)
    assert difference(first[0], second[0]) <= 1e-5
    assert (difference(first[1], second[1]) > 1e-2) == training


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("inception_v1", [[-1, -1, -1], [0, 0, 0], [1, 1, 1]]),
        ("vgg_16", [[-123.68, -116.78, -103.94], [3.82, 10.72, 23.56], [131.32, 138.22, 151.06]]),
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


@every_family
def test_weight_decay(model, checkpoint):
    """A regularization loss is half the squared norm of its kernel times the weight decay."""
    graph, built = build(model)
    head = f"{model.scope}/{model.head}"
    [weights] = [v for v in built.variables if v.op.name == f"{head}/weights"]
    [loss] = [one for one in built.regularization_losses if head in one.name]
    with restored(graph, checkpoint(model.name)) as session:
        kernel, found = session.run((weights, loss))
    expected = model.weight_decay * np.square(kernel.astype(np.float64)).sum() / 2
    assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    "name", ["inception_v1", "vgg_16", pytest.param("inception_v3", marks=SLOW)]
)
def test_smallest_image(name):
    """A network runs on its smallest images, and on none that are smaller."""
    model = catalog.get(name)
    height, width = model.min_image_size
    _build_at(model, (height, width))
    for size in ((height - 1, width), (height, width - 1)):
        if 0 not in size:
            with pytest.raises(ValueError, match="Negative dimension"):
                _build_at(model, size)


def _build_at(model, size):
    with tf.Graph().as_default():
        images = tf.compat.v1.placeholder(tf.float32, [1, *size, 3])
        network.build(model, images, training=False, batch_norm_momentum=None, num_classes=None)
