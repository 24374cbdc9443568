"""export/saved_model.py: what is on disk, of the small module and of whole ones."""

import collections
import dataclasses
from pathlib import Path

import pytest
import tensorflow as tf
from stem import STEM
from tensorflow.core.protobuf import fingerprint_pb2
from tensorflow.python.saved_model.pywrap_saved_model import fingerprinting

from slimhub.models import catalog
from slimhub.signatures import formats
from slimhub.signatures.interface import MOVING_AVERAGES
from slimhub.signatures.module import Module, all_nodes
from slimhub.signatures.saved_objects import Objects

_STEM = pytest.param((STEM, "feature_vector"), id="stem")
_WHOLE = [
    pytest.param(
        (catalog.get(name), task),
        id=f"{name}-{task}",
        marks=[pytest.mark.xdist_group(f"{name}-5"), *marks],
    )
    for name, task, *marks in (
        ("inception_v1", "feature_vector"),
        ("inception_v2", "classification", pytest.mark.slow),
    )
]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Written:
    """A module of version 5, its sibling of version 3, and what they are."""

    model: catalog.Model
    task: str
    directory: Path
    version_3: Path

    @property
    def meta_graph(self):
        [meta_graph] = Module(self.directory).meta_graphs.values()
        return meta_graph


@pytest.fixture(scope="module", params=[_STEM, *_WHOLE])
def written(request):
    model, task = request.param
    if model is STEM:
        stem = request.getfixturevalue("stem")
        directory, version_3 = stem / "5", stem / "3"
    else:
        module = request.getfixturevalue("module")
        directory, version_3 = (module(model.name, task, version) for version in (5, 3))
    return Written(model=model, task=task, directory=directory, version_3=version_3)


@pytest.fixture(scope="module")
def meta_graph(written):
    return written.meta_graph


@pytest.fixture(scope="module")
def variables(meta_graph):
    """The variables as the object has them, in its order."""
    return [node.variable for node in Objects(meta_graph).members("variables")]


def test_only_promised_files(written):
    """There is no file or directory beyond the format's own files and the provenance."""
    found = {path.relative_to(written.directory) for path in written.directory.rglob("*")}
    files = {Path(name) for name in formats.TF2_SAVED_MODEL.files}
    assert found == files | {file.parent for file in files} - {Path()}


def test_modes(written):
    """Everybody may read a published module, as far as the umask lets them."""
    directory = written.directory
    assert directory.stat().st_mode & 0o777 == directory.parent.stat().st_mode & 0o777


def test_size(written):
    """The graphs of the largest module weigh 2.5 MB at most."""
    assert (written.directory / "saved_model.pb").stat().st_size <= 2_500_000


def is_training(node):
    # The default, which is not written, is true.
    return "is_training" not in node.attr or node.attr["is_training"].b


def test_traced_twice(written, meta_graph):
    """Two functions hold the network, one for inference and one for training; all others call them."""
    found = [
        [is_training(node) for node in function.node_def if node.op == "FusedBatchNormV3"]
        for function in meta_graph.graph_def.library.function
    ]
    whole = written.model.batch_norm.count
    assert sorted(filter(None, found)) == [[False] * whole, [True] * whole]
    assert "FusedBatchNormV3" not in {node.op for node in meta_graph.graph_def.node}


def test_functions_hold_no_variables(meta_graph):
    """Functions are given their variables, and hold none: converters would take them for others."""
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


def test_fingerprint(written):
    """The fingerprint is that of the files as they are."""
    directory = str(written.directory)
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


def test_names_of_variables(written, variables):
    """Variables have the names that version 3 has, in sorted order, and there are no others."""
    names = [variable.name for variable in variables]
    assert names == sorted(Module(written.version_3).variables)
    on_disk = tf.train.load_checkpoint(str(written.directory / "variables" / "variables"))
    assert len(on_disk.get_variable_to_shape_map()) == len(names) + 1, "those, and the objects"


def test_trainable_variables(meta_graph, variables):
    """The trainable variables are all variables but the moving averages, in the same order."""
    trainable = [node.variable.name for node in Objects(meta_graph).members("trainable_variables")]
    weights = [v.name for v in variables if not v.name.endswith(MOVING_AVERAGES)]
    assert trainable == weights == [v.name for v in variables if v.trainable]


def test_distributed_averages(written, variables):
    """Each replica has moving averages of its own, and what is read is their mean."""
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
    averages = 2 * written.model.batch_norm.count
    assert found == {moving: averages, weight: len(variables) - averages}


def test_feature_vector_has_no_classes(written, meta_graph, variables):
    """A feature-vector module holds nothing of the classification layer, in graphs or variables."""
    names = {variable.name for variable in variables} | {
        node.name for node in all_nodes(meta_graph)
    }
    for part in (written.model.head, "Predictions", "Dropout"):
        assert any(part in name for name in names) == (written.task == "classification"), part


def optimized(directory, images):
    """The nodes that TensorFlow runs for `serving_default`, once it has optimized them."""
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


def test_fused_at_inference(written, images):
    """At inference, TensorFlow fuses every batch norm into its convolution."""
    nodes = optimized(written.directory, images(1, 32))
    fused = [
        node
        for node in nodes
        # With oneDNN, which TensorFlow prefers on some processors, its name is a longer one.
        if node.op.endswith("FusedConv2D") and b"FusedBatchNorm" in node.attr["fused_ops"].list.s
    ]
    assert len(fused) == written.model.batch_norm.count
    assert "FusedBatchNormV3" not in {node.op for node in nodes}
