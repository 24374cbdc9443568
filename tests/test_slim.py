"""models/slim.py: fails loudly when a new tf-slim or TensorFlow changes what is repaired there."""

import importlib.metadata

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


def test_repaired_batch_norm(features):
    """With the repairs, tf-slim builds the fused batch norm and collects its two updates."""
    with slim.network_scope(catalog.MODELS[0], training=True, batch_norm_momentum=0.9):
        outputs = slim.conv2d(features, 5, [1, 1])
    types = [op.type for op in outputs.graph.get_operations()]
    assert types.count("FusedBatchNormV3") == 1
    assert len(outputs.graph.get_collection(slim.UPDATE_OPS)) == 2
    assert not outputs.graph.get_collection(tf.compat.v1.GraphKeys.UPDATE_OPS)


def test_initializers_are_constant(features):
    """No variable starts at random."""
    with slim.network_scope(catalog.MODELS[0], training=True, batch_norm_momentum=0.9):
        outputs = slim.conv2d(features, 5, [1, 1])
    assert not [op.type for op in outputs.graph.get_operations() if "Random" in op.type]
    assert not [op.type for op in outputs.graph.get_operations() if "Truncated" in op.type]


def test_quiet(features, recwarn):
    """Building a layer warns of nothing."""
    with slim.network_scope(catalog.MODELS[0], training=True, batch_norm_momentum=0.9):
        slim.conv2d(features, 5, [1, 1])
    assert [str(warning.message) for warning in recwarn] == []
