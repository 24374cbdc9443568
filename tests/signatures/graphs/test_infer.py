"""The contract that is inferred from a module of slimhub's own is the frozen one, but for what it can't tell."""

import dataclasses

import pytest
import tensorflow as tf
from stem import STEMS, broken_copy, node
from surgery import (
    FIRST,
    MEAN,
    NAMED,
    OFFSETS,
    SCALE,
    THIRD,
    add_const,
    add_node,
    put,
    set_const,
)

from slimhub.signatures.contract import formats, network
from slimhub.signatures.contract.versions import VERSIONS
from slimhub.signatures.graphs import infer
from slimhub.signatures.module.directory import UnreadableError
from slimhub.signatures.module.module import Module

STEM, *_ = STEMS
SIZE = "image_size: the module does not tell it; (224, 224) stands for it"
CONVOLUTION = f"InceptionV1/{FIRST}/Conv2D"


def frozen(model, version):
    """Return the frozen contract of a network, with what a module of a version can't tell in other ways.

    - `min_image_size`: one that takes images of any size does not say from which on; one that takes one
      size takes no smaller one.
    - `batch_norm_decay`: the version's momentum, if it has one, replaces the network's own.
    """
    rules, found = VERSIONS[version], network.get(model)
    momentum, _ = rules.momentum_of(found.batch_norm_decay)
    smallest = (1, 1) if rules.any_image_size else found.image_size
    return dataclasses.replace(found, min_image_size=smallest, batch_norm_decay=momentum)


def inferred(directory, **how):
    return infer.infer(Module(directory), **how)


@pytest.mark.parametrize("version", [1, 3, 5])
@pytest.mark.parametrize("model", STEMS)
def test_classification(family, model, version):
    """All that the frozen contract says is inferred, without a doubt, from a module of any version."""
    expected = frozen(model, version)
    # Version 5 does not attach it.
    size = expected.image_size if version == 5 else None
    found = inferred(family(model, "classification", version), image_size=size)
    assert found == infer.Inferred(network=expected, doubts=())
    if version != 5:
        # In the same order, so that `diff` finds nothing else.
        assert found.network.to_json() == expected.to_json()


@pytest.mark.parametrize("version", VERSIONS)
def test_feature_vector(stem, version):
    """A module without a classification layer has the contract of its network without it."""
    expected = frozen(STEM, version).without_head()
    size = expected.image_size if version >= 4 else None
    # Version 4 names no output.
    task = "feature_vector" if version == 4 else None
    found = inferred(stem / str(version), image_size=size, task=task)
    assert found == infer.Inferred(network=expected, doubts=())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "task", "version"),
    [
        ("inception_v1", "classification", 3),
        ("inception_v2", "classification", 1),
        ("inception_v2", "classification", 5),
    ],
)
def test_whole_network(module, model, task, version):
    """The same holds for whole networks, whose default size is the one that version 5 is taken to have."""
    found = inferred(module(model, task, version))
    doubts = (SIZE,) if version == 5 else ()
    assert found == infer.Inferred(network=frozen(model, version), doubts=doubts)


def test_file(stem, tmp_path):
    """What is inferred is a file that can be read as a contract."""
    found = inferred(stem / "3").network
    path = tmp_path / "mine.json"
    path.write_text(found.to_json())
    assert network.load(path) == found


def test_untold_size(stem):
    """Without a size in the module, end points have the heights and widths for images of 224 x 224."""
    found = inferred(stem / "5")
    assert found.doubts == (SIZE,)
    assert found.network.image_size == (224, 224)
    assert found.network.end_points[THIRD].shape == (None, 56, 56, 192)


def reverse_channels(m):
    nodes = m.infer.graph_def.node
    attrs = {"Tidx": {"type": tf.int32.as_datatype_enum}}
    reversed = add_node(nodes, "ReverseV2", "hub_input/Sub", add_const(nodes, [3]), **attrs)
    put(node(m.infer, CONVOLUTION).input, 0, reversed)


def square(m):
    """Put the square of the images in the place of their multiple."""
    put(node(m.infer, "hub_input/Mul").input, 1, "hub_input/images")


def drop_training(m):
    del m.all.meta_graphs[1]


def drop_end_point(m):
    for graph in m.all.meta_graphs:
        del graph.signature_def[NAMED].outputs[THIRD]


def flatten_end_point(m):
    """Put the feature vector, of two dimensions, in the place of an end point."""
    outputs = m.infer.signature_def[NAMED].outputs
    outputs[THIRD].name = "hub_input/batch_norm_momentum:0"


def names(m, collection):
    """Return the names of the operations in a collection for training."""
    return m.train.collection_def[collection].node_list.value


def trained_elsewhere(m):
    trainable = m.train.collection_def["trainable_variables"].bytes_list.value
    trainable[:] = [one for one in trainable if THIRD.encode() not in one]


def without(expected, field, keys):
    """Return a dictionary of the contract without some of its keys."""
    return {key: value for key, value in getattr(expected, field).items() if key not in keys}


def changed(expected, suffix, **fields):
    """Return the contract's variables, with other fields for those whose name has that in it."""
    return {
        name: dataclasses.replace(variable, **fields) if suffix in name else variable
        for name, variable in expected.variables.items()
    }


NO_RESCALING = "input_scale, input_offsets: what the first layers take is no `scale * images - offset` of RGB images; (1.0, (0.0,)) stands for it"
UNSCALED = {"input_scale": 1.0, "input_offsets": (0.0,)}
# By name: a change of version 3, the fields that it changes, and the doubts.
CHANGES = {
    "scale": (
        lambda m: set_const(node(m.infer, "hub_input/Mul/y"), 255.0),
        lambda expected: {"input_scale": 255.0},
    ),
    "offsets": (
        lambda m: set_const(node(m.infer, "hub_input/Sub/y"), OFFSETS),
        lambda expected: {"input_offsets": tuple(OFFSETS)},
    ),
    "bgr": (reverse_channels, lambda expected: UNSCALED, NO_RESCALING),
    "square": (square, lambda expected: UNSCALED, NO_RESCALING),
    "end_point": (
        drop_end_point,
        lambda expected: {"end_points": without(expected, "end_points", [THIRD])},
    ),
    "no_end_point": (
        flatten_end_point,
        lambda expected: {"end_points": without(expected, "end_points", [THIRD])},
        f"end_points: {THIRD} is left out, as it is float32 [?]",
    ),
    "inference_only": (
        drop_training,
        lambda expected: {"batch_norm_decay": 1.0},
        "batch_norm_decay: there is no training graph; 1.0 stands for it",
    ),
    "no_updates": (
        lambda m: names(m, "update_ops").__delitem__(slice(None)),
        lambda expected: {"batch_norm_decay": 1.0},
    ),
    "an_update": (
        lambda m: names(m, "update_ops").pop(),
        lambda expected: {},
        "batch_norm_decay: it is not everywhere the same, but also 1; 0.99 stands for it",
    ),
    "no_losses": (
        lambda m: names(m, "regularization_losses").__delitem__(slice(None)),
        lambda expected: {
            "weight_decay": 0.0,
            "variables": changed(expected, "/weights", regularized=False),
        },
    ),
    "a_loss": (
        lambda m: names(m, "regularization_losses").pop(),
        lambda expected: {"variables": changed(expected, f"{THIRD}/weights", regularized=False)},
    ),
    "a_weight_decay": (
        lambda m: set_const(node(m.train, SCALE), 0.25),
        lambda expected: {},
        "weight_decay: it is not everywhere the same, but also 0.25; 4e-05 stands for it",
    ),
    "trainable": (
        trained_elsewhere,
        lambda expected: {"variables": changed(expected, THIRD, trainable=False)},
    ),
    "image_size": (
        lambda m: m.infer.collection_def.__delitem__(formats.ATTACHMENTS),
        lambda expected: {"image_size": (32, 32)},
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_changed(stem, tmp_path, name):
    """A module that was changed in one way has a contract that differs in that alone."""
    change, fields, *doubts = CHANGES[name]
    expected = frozen(STEM, 3).without_head()
    directory = broken_copy(stem / "3", tmp_path / "3", change)
    found = inferred(directory, image_size=(32, 32) if name == "image_size" else None)
    assert found.doubts == tuple(doubts)
    assert found.network == dataclasses.replace(expected, **fields(expected))


def test_no_network(stem, tmp_path):
    """A module without a signature of images, and one whose graph is broken, have no contract."""

    def rename(m):
        for graph in m.all.meta_graphs:
            graph.signature_def.clear()

    def cut(m):
        put(node(m.infer, CONVOLUTION).input, 0, MEAN)

    for index, change in enumerate((rename, cut)):
        directory = broken_copy(stem / "3", tmp_path / str(index), change)
        with pytest.raises(UnreadableError):
            inferred(directory)
