"""The files of modules of versions 1 and 3."""

import re

import pytest
from tensorflow.core.protobuf import saved_model_pb2

from slimhub.signatures.module.module import Module


@pytest.fixture
def meta_graphs(exported):
    return Module(exported.directory).meta_graphs


def test_size(exported):
    """The graphs of the largest module weigh 1.9 MB at most."""
    assert (exported.directory / "saved_model.pb").stat().st_size <= 1_900_000


def test_feature_vector_has_no_classes(exported, meta_graphs):
    """A feature-vector module holds nothing of the classification layer, in graph or variables."""
    names = set(Module(exported.directory).variables)
    for meta_graph in meta_graphs.values():
        names |= {node.name for node in meta_graph.graph_def.node}
    head = f"{exported.model.scope}/{exported.model.head}/"
    assert any(name.startswith(head) for name in names) == (exported.task == "classification")
    assert any("Predictions" in name for name in names) == (exported.task == "classification")


def test_attributes_of_nodes(meta_graphs):
    """No node has an attribute that old TensorFlow does not know, nor one that only weighs."""
    for meta_graph in meta_graphs.values():
        attrs = {attr for node in meta_graph.graph_def.node for attr in node.attr}
        assert not attrs & {"debug_name", "_class", "_output_shapes", "allowed_devices"}


def test_initializers(meta_graphs):
    """Only dropout draws random numbers; no variable is initialized at random."""
    for tags, meta_graph in meta_graphs.items():
        found = [n.name for n in meta_graph.graph_def.node if re.search("[Rr]andom|Normal", n.op)]
        assert [name for name in found if "/Dropout_" not in name] == []
        assert len(found) <= len(tags)


def test_operations_are_described(meta_graphs):
    """The graphs carry the definitions of their operations, and no others."""
    for meta_graph in meta_graphs.values():
        used = {node.op for node in meta_graph.graph_def.node}
        assert {op.name for op in meta_graph.meta_info_def.stripped_op_list.op} == used


def test_old_readers(exported):
    """The format is that of a SavedModel that TensorFlow 1 wrote: no object graph, no functions."""
    content = (exported.directory / "saved_model.pb").read_bytes()
    for meta_graph in saved_model_pb2.SavedModel.FromString(content).meta_graphs:
        assert not meta_graph.HasField("object_graph_def")
        assert not meta_graph.graph_def.library.function
        # The oldest consumer that TensorFlow 1.15 (graph version 134) accepts it as.
        assert meta_graph.graph_def.versions.min_consumer <= 134
