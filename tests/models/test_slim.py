"""The repairs of tf-slim: a new release of it or of TensorFlow that changes their reasons fails here."""

import importlib.metadata

import numpy as np
import pytest
import tensorflow as tf
import tf_slim
from tensorflow.python.framework import ops

from slimhub.models import catalog, slim


@pytest.fixture
def features():
    with tf.Graph().as_default():
        yield tf.compat.v1.placeholder(tf.float32, [2, 4, 4, 3])


def test_release():
    """tf-slim is the release that the repairs were made for."""
    assert importlib.metadata.version("tf-slim") == "1.1.0"


def test_tensor_is_still_gone(features, monkeypatch):
    """Without the repair of `ops.Tensor`, tf-slim builds no batch norm: otherwise, drop the repair."""
    monkeypatch.delattr(ops, "Tensor")
    with pytest.raises(AttributeError, match="Tensor"):
        tf_slim.batch_norm(features, updates_collections=slim.UPDATE_OPS)


def test_keras_batch_norm_is_still_broken(features):
    """With its default collection, tf-slim builds no batch norm: otherwise, drop `UPDATE_OPS`."""
    with pytest.raises(ImportError, match="legacy_tf_layers"):
        tf_slim.batch_norm(features)


def test_repaired_batch_norm(features, recwarn):
    """With the repairs, tf-slim quietly builds fused batch norms, with two updates each and no random numbers.

    One of a convolution and one that a base calls itself have the same settings, those of the network.
    """
    model = catalog.get("resnet_v2_50")
    with slim.network_scope(model, training=True, batch_norm_momentum=0.9):
        outputs = tf_slim.batch_norm(slim.conv2d(features, 5, [1, 1]))
    operations = outputs.graph.get_operations()
    types = [op.type for op in operations]
    norms = [op for op in operations if op.type == "FusedBatchNormV3"]
    assert [op.get_attr("epsilon") for op in norms] == [np.float32(model.batch_norm.epsilon)] * 2
    assert [op.get_attr("is_training") for op in norms] == [True, True]
    gammas = [v.op.name for v in outputs.graph.get_collection("variables") if "gamma" in v.op.name]
    assert gammas == ["Conv/BatchNorm/gamma", "BatchNorm/gamma"]
    assert not [type for type in types if "Random" in type or "Truncated" in type]
    assert len(outputs.graph.get_collection(slim.UPDATE_OPS)) == 4
    assert not outputs.graph.get_collection(tf.compat.v1.GraphKeys.UPDATE_OPS)
    assert [str(warning.message) for warning in recwarn] == []
