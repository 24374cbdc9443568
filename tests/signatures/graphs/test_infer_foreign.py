"""Contracts are inferred from modules that others write in the ways that TensorFlow 1 and 2 offer."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from slimhub.signatures.contract import contract, formats
from slimhub.signatures.contract.network import NetworkContract, TensorSpec, Variable, load
from slimhub.signatures.graphs import infer
from slimhub.signatures.module import hub_protos
from slimhub.signatures.module.directory import UnreadableError
from slimhub.signatures.module.module import Module

OFFSETS = (123.68, 116.779, 103.939)
SHAPES = {
    "net/conv/kernel": (3, 3, 3, 4),
    "net/norm/moving_mean": (4,),
    "net/norm/moving_variance": (4,),
    "net/head/kernel": (4, 5),
    "net/head/bias": (5,),
}
UNTOLD = "task: no name tells what the output is; feature_vector stands for it"


def inferred(directory, **how):
    return infer.infer(Module(directory), **how)


def network(kernel, averages, images):
    """Return a map of features, and what its batch norm's averages are updated with."""
    net = tf.nn.conv2d(255 * images - OFFSETS, kernel, strides=2, padding="SAME")
    statistics = tf.nn.moments(net, [0, 1, 2])
    return tf.nn.relu(tf.nn.batch_normalization(net, *averages, None, None, 1e-3)), statistics


def values():
    random = np.random.RandomState(0)
    return {name: random.uniform(size=shape).astype("f") for name, shape in SHAPES.items()}


def variables(*, trainable=True):
    """Return the variables of the contract, with what the module says of their training."""
    return {
        name: Variable(
            shape=shape,
            trainable=trainable and "moving" not in name,
            regularized=name == "net/conv/kernel",
        )
        for name, shape in SHAPES.items()
    }


def save(directory, *, lists=True, learned=False, **signature):
    """Save an object that classifies images of any size, in the way of TensorFlow 2.

    Args:
      directory: where to.
      lists: whether its variables are attributes.
      learned: whether a variable takes part in the rescaling of images.
      signature: names of outputs of the signature `serving_default`, by what they are; none without any.
    """
    root = tf.train.Checkpoint()
    root.all = {
        name: tf.Variable(value, name=name, trainable="moving" not in name)
        for name, value in values().items()
    }
    kernel, *averages, head, bias = root.all.values()

    @tf.function
    def call(inputs, training=False):
        net, statistics = network(
            kernel, averages, inputs * kernel[0, 0, 0, 0] if learned else inputs
        )
        if training:
            for average, statistic in zip(averages, statistics, strict=True):
                average.assign_sub(0.1 * (average - statistic))
        net = tf.reduce_mean(net, [1, 2], name="pool")
        if training:
            net = tf.nn.dropout(net, 0.5)
        return tf.matmul(net, head) + bias

    @tf.function(input_signature=[])
    def loss():
        return 0.001 * tf.nn.l2_loss(kernel)

    root.__call__, root.regularization_losses = call, [loss]
    if lists:
        root.variables = list(root.all.values())
        root.trainable_variables = [kernel, head, bias]
    spec = tf.TensorSpec([None, None, None, 3])
    # Whoever tries it before saving leaves a trace of one size and batch.
    call(tf.zeros([2, 8, 8, 3]))
    for training in (False, True):
        call.get_concrete_function(spec, training)

    @tf.function(input_signature=[spec])
    def serve(inputs):
        return {name: call(inputs) for name in signature.values()}

    tf.saved_model.save(root, str(directory), signatures=serve if signature else None)


CLASSIFIER = NetworkContract(
    scope="net",
    image_size=(16, 16),
    min_image_size=(1, 1),
    input_scale=255.0,
    input_offsets=OFFSETS,
    batch_norm_decay=0.9,
    weight_decay=0.001,
    head="net/head",
    random_in_training=("add:0",),
    feature_vector=TensorSpec(name="pool:0", shape=(None, 4)),
    logits=TensorSpec(name="add:0", shape=(None, 5)),
    predictions=None,
    end_points={},
    variables=variables(),
)
NO_RESCALING = "input_scale, input_offsets: what the first layers take is no `scale * images - offset` of RGB images; (1.0, (0.0,)) stands for it"
LAST_LAYER = "feature_vector: no output is it; what the last layer takes, pool:0, stands for it"


@pytest.mark.parametrize("lists", [True, False])
def test_object(tmp_path, lists):
    """The variables of an object that can be called are found, in a list or behind the call."""
    save(tmp_path / "module", lists=lists)
    found = inferred(tmp_path / "module", image_size=(16, 16), task="classification")
    assert found == infer.Inferred(network=CLASSIFIER, doubts=(LAST_LAYER,))


def test_signature(tmp_path):
    """The name of an output tells that an object classifies."""
    save(tmp_path / "module", logits="logits")
    found = inferred(tmp_path / "module", image_size=(16, 16))
    assert found == infer.Inferred(network=CLASSIFIER, doubts=(LAST_LAYER,))


def test_learned_rescaling(tmp_path):
    """A rescaling that has variables is none of a contract."""
    save(tmp_path / "module", learned=True, logits="logits")
    found = inferred(tmp_path / "module", image_size=(16, 16))
    expected = dataclasses.replace(CLASSIFIER, input_scale=1.0, input_offsets=(0.0,))
    assert found == infer.Inferred(network=expected, doubts=(NO_RESCALING, LAST_LAYER))


def test_untold_task(tmp_path):
    """What no name tells of is a feature vector, which is doubted, unless it is given."""
    save(tmp_path / "module")
    directory, size = tmp_path / "module", (16, 16)
    found = inferred(directory, image_size=size)
    assert found.doubts == (UNTOLD,)
    assert (found.network.feature_vector, found.network.logits) == (CLASSIFIER.logits, None)
    found = inferred(directory, image_size=size, task="feature_vector")
    assert found.doubts == ()


def test_same_names(tmp_path):
    """Variables that have no names of their own can't stand in a contract."""
    root = tf.train.Checkpoint()
    kernel, bias = (tf.Variable(values()[name], name="same") for name in [*SHAPES][:2])
    root.variables = [kernel, bias]

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3])])
    def call(images):
        return tf.reduce_mean(tf.nn.conv2d(images, kernel, 1, "SAME") + bias, [1, 2])

    root.__call__ = call
    tf.saved_model.save(root, str(tmp_path / "module"))
    with pytest.raises(UnreadableError) as error:
        inferred(tmp_path / "module")
    expected = "variables: a contract has them by name, but names are not unique"
    assert str(error.value) == expected


def write(directory, *, dtype=tf.float32, size=8):
    """Write a module of the TF1 Hub format with variables that are no resources, of one signature."""
    builder = tf.compat.v1.saved_model.Builder(str(directory))
    for training in (False, True):
        with tf.Graph().as_default(), tf.compat.v1.Session() as session:
            images = tf.compat.v1.placeholder(dtype, [None, size, size, 3], "images")
            with tf.compat.v1.variable_scope("", use_resource=False):
                kernel, *averages = (
                    tf.compat.v1.get_variable(
                        name, initializer=values()[name], trainable="moving" not in name
                    )
                    for name in [*SHAPES][:3]
                )
            net, statistics = network(kernel, averages, tf.cast(images, tf.float32))
            features = tf.reduce_mean(net, [1, 2], name="features")
            if training:
                for average, statistic in zip(averages, statistics, strict=True):
                    update = tf.compat.v1.assign_sub(average, 0.003 * (average - statistic))
                    tf.compat.v1.add_to_collection("update_ops", update)
                loss = 0.001 * tf.nn.l2_loss(kernel)
                tf.compat.v1.add_to_collection("regularization_losses", loss)
            session.run(tf.compat.v1.global_variables_initializer())
            info = tf.compat.v1.saved_model.build_tensor_info
            signature = tf.compat.v1.saved_model.build_signature_def(
                {"images": info(images)}, {"default": info(features), "map": info(net)}
            )
            signatures = {"signature_def_map": {"default": signature}}
            if training:
                builder.add_meta_graph(["train"], **signatures)
            else:
                builder.add_meta_graph_and_variables(session, [], **signatures)
    builder.save()
    marker = hub_protos.ModuleDef(format=hub_protos.FORMAT_V3)
    (directory / formats.FORMAT_MARKER).write_bytes(marker.SerializeToString())


def test_reference_variables(tmp_path):
    """A module with the variables of TensorFlow 1, and one signature, has all but a head."""
    write(tmp_path / "module")
    found = inferred(tmp_path / "module")
    assert found.doubts == (UNTOLD,)
    assert found.network == NetworkContract(
        scope="net",
        image_size=(8, 8),
        min_image_size=(8, 8),
        input_scale=255.0,
        input_offsets=OFFSETS,
        batch_norm_decay=0.997,
        weight_decay=0.001,
        head=None,
        random_in_training=(),
        feature_vector=TensorSpec(name="features:0", shape=(None, 4)),
        logits=None,
        predictions=None,
        end_points={"map": TensorSpec(name="Relu:0", shape=(None, 4, 4, 4))},
        variables={name: variables()[name] for name in [*SHAPES][:3]},
    )


def test_images_of_another_type(tmp_path):
    """Images of float64, or of a size that no contract may have, are refused."""
    write(tmp_path / "float64", dtype=tf.float64)
    with pytest.raises(UnreadableError) as error:
        inferred(tmp_path / "float64")
    expected = "images: expected float32 [?, height, width, 3], got float64 [?, 8, 8, 3]"
    assert str(error.value) == expected
    write(tmp_path / "large", size=1025)
    with pytest.raises(UnreadableError) as error:
        inferred(tmp_path / "large")
    assert str(error.value) == "ValueError: image_size: expected 1 to 1024 pixels"


def test_without_predictions(tmp_path):
    """A network that gives no probabilities has a contract of any number of classes, without these."""
    path = tmp_path / "mine.json"
    path.write_text(CLASSIFIER.to_json())
    assert load(path) == CLASSIFIER
    promise = contract.promise(version=3, task="classification", network=load(path), num_classes=7)
    logits = TensorSpec(name="add:0", shape=(None, 7))
    [outputs] = {
        tuple(one.outputs.items())
        for mode in promise.modes
        for one in mode.signatures
        if one.name == "image_classification"
    }
    assert dict(outputs) == {"default": logits, "net/Logits": logits}
    assert promise.network.variables["net/head/bias"].shape == (7,)
