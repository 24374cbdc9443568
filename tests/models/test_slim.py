"""The repairs of tf-slim: a new release of it or of TensorFlow that changes their reasons fails here."""

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


def test_repaired_batch_norm(features, recwarn):
    """With the repairs, tf-slim builds the fused batch norm quietly, with two updates, and no random numbers."""
    with slim.network_scope(catalog.MODELS[0], training=True, batch_norm_momentum=0.9):
        outputs = slim.conv2d(features, 5, [1, 1])
    types = [op.type for op in outputs.graph.get_operations()]
    assert types.count("FusedBatchNormV3") == 1
    assert not [type for type in types if "Random" in type or "Truncated" in type]
    assert len(outputs.graph.get_collection(slim.UPDATE_OPS)) == 2
    assert not outputs.graph.get_collection(tf.compat.v1.GraphKeys.UPDATE_OPS)
    assert [str(warning.message) for warning in recwarn] == []
