"""The files of modules of version 5."""

import collections

import pytest
import tensorflow as tf
from tensorflow.core.protobuf import fingerprint_pb2
from tensorflow.python.saved_model.pywrap_saved_model import fingerprinting

from slimhub.signatures.contract.network import MOVING_AVERAGES
from slimhub.signatures.module.module import Module, all_nodes
from slimhub.signatures.module.objects import Objects


@pytest.fixture(scope="module")
def meta_graph(exported_5):
    [meta_graph] = Module(exported_5.directory).meta_graphs.values()
    return meta_graph


@pytest.fixture(scope="module")
def variables(meta_graph):
    """Return the variables in the order of the object."""
    return [node.variable for node in Objects(meta_graph).members("variables")]


def test_size(exported_5):
    """The graphs of the largest module weigh 2.5 MB at most."""
    assert (exported_5.directory / "saved_model.pb").stat().st_size <= 2_500_000


def test_functions_hold_no_variables(meta_graph):
    """Functions take their variables as arguments: converters would take those in them for others."""
    functions = meta_graph.graph_def.library.function
    ops = {node.op for function in functions for node in function.node_def}
    assert "ReadVariableOp" in ops
    assert not ops & {"VarHandleOp", "Placeholder", "PlaceholderWithDefault"}


def test_attributes_of_nodes(meta_graph):
    """No node has an attribute that only weighs, nor the device of the machine that wrote it."""
    nodes = list(all_nodes(meta_graph))
    assert {attr for node in nodes for attr in node.attr}.isdisjoint(
        {"_output_shapes", "_class", "debug_name", "config_proto"}
    )
    assert {node.device for node in nodes} == {""}


def test_fingerprint(exported_5):
    """The fingerprint is that of the files as they are."""
    directory = str(exported_5.directory)
    anew = fingerprint_pb2.FingerprintDef.FromString(fingerprinting.CreateFingerprintDef(directory))
    read = tf.saved_model.experimental.read_fingerprint(directory)
    hashes = [
        field.name
        for field in fingerprint_pb2.FingerprintDef.DESCRIPTOR.fields
        if field.name.endswith(("_hash", "_checksum"))
    ]
    assert len(hashes) == 5
    for name in hashes:
        assert getattr(read, name) == getattr(anew, name) != 0, name


def test_names_of_variables(stem):
    """Variables have the names that version 3 has, in sorted order, and there are no others."""
    [meta_graph] = Module(stem / "5").meta_graphs.values()
    names = [node.variable.name for node in Objects(meta_graph).members("variables")]
    assert names == sorted(Module(stem / "3").variables)
    on_disk = tf.train.load_checkpoint(str(stem / "5" / "variables" / "variables"))
    assert len(on_disk.get_variable_to_shape_map()) == len(names) + 1, "those, and the objects"


def test_trainable_variables(meta_graph, variables):
    """The trainable variables are all variables but the moving averages, in the same order."""
    trainable = [node.variable.name for node in Objects(meta_graph).members("trainable_variables")]
    weights = [v.name for v in variables if not v.name.endswith(MOVING_AVERAGES)]
    assert trainable == weights == [v.name for v in variables if v.trainable]


def test_distributed_averages(exported_5, variables):
    """Each replica has its own moving averages, and a read returns their mean."""
    found = collections.Counter(
        (
            variable.name.endswith(MOVING_AVERAGES),
            tf.VariableSynchronization(variable.synchronization),
            tf.VariableAggregation(variable.aggregation),
        )
        for variable in variables
    )
    moving = (True, tf.VariableSynchronization.ON_READ, tf.VariableAggregation.MEAN)
    weight = (False, tf.VariableSynchronization.AUTO, tf.VariableAggregation.NONE)
    averages = 2 * exported_5.model.batch_norm.count
    assert found == {moving: averages, weight: len(variables) - averages}


def test_feature_vector_has_no_classes(exported_5, meta_graph, variables):
    """A feature-vector module holds nothing of the classification layer, in graphs or variables."""
    names = {variable.name for variable in variables} | {
        node.name for node in all_nodes(meta_graph)
    }
    for part in (exported_5.model.head, "Predictions", "Dropout"):
        assert any(part in name for name in names) == (exported_5.task == "classification"), part


def optimized(directory, images):
    """Return the optimized nodes that TensorFlow runs for `serving_default`."""
    with tf.compat.v1.Session(graph=tf.Graph()) as session:
        loader = tf.compat.v1.saved_model.loader
        signature = loader.load(session, ["serve"], str(directory)).signature_def["serving_default"]
        metadata = tf.compat.v1.RunMetadata()
        session.run(
            {key: info.name for key, info in signature.outputs.items()},
            {signature.inputs["inputs"].name: images},
            options=tf.compat.v1.RunOptions(output_partition_graphs=True),
            run_metadata=metadata,
        )
    return [node for graph in metadata.partition_graphs for node in graph.node]


def test_fused_at_inference(exported_5, images):
    """At inference, TensorFlow fuses every batch norm into its convolution."""
    nodes = optimized(exported_5.directory, images(1, 32))
    fused = [
        node
        for node in nodes
        # With oneDNN, which TensorFlow prefers on some processors, its name is a longer one.
        if node.op.endswith("FusedConv2D") and b"FusedBatchNorm" in node.attr["fused_ops"].list.s
    ]
    assert len(fused) == exported_5.model.batch_norm.count
    assert "FusedBatchNormV3" not in {node.op for node in nodes}
