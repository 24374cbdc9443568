"""export/tf1_hub.py: what is on disk, of every module."""

import hashlib
import re

import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from slimhub.export import parity, reference, restore, slim_graph, tf1_hub
from slimhub.export.checkpoint import resolve
from slimhub.models import catalog
from slimhub.signatures import contract, formats
from slimhub.signatures.module import Module
from slimhub.signatures.subject import Subject


@pytest.fixture
def meta_graphs(exported):
    return Module(exported.directory).meta_graphs


def sums(directory):
    files = (path for path in directory.rglob("*") if path.is_file())
    return {
        path.relative_to(directory).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


def test_modes(exported):
    """Everybody may read a published module, as far as the umask lets them."""
    assert (
        exported.directory.stat().st_mode & 0o777
        == exported.directory.parent.stat().st_mode & 0o777
    )


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
    """Nothing is initialized at random: dropout draws the only random numbers."""
    for tags, meta_graph in meta_graphs.items():
        found = [n.name for n in meta_graph.graph_def.node if re.search("[Rr]andom|Normal", n.op)]
        assert [name for name in found if "/Dropout_" not in name] == []
        assert len(found) <= len(tags)


def test_operations_are_described(meta_graphs):
    """The graphs carry the definitions of their operations, and no others."""
    for meta_graph in meta_graphs.values():
        used = {node.op for node in meta_graph.graph_def.node}
        assert {op.name for op in meta_graph.meta_info_def.stripped_op_list.op} == used


def test_only_promised_files(exported):
    """There is no file beyond the format's own and the provenance."""
    assert set(sums(exported.directory)) == set(formats.TF1_HUB.files)


@pytest.fixture(scope="module")
def rebuilt():
    """What one module promises, and the graphs that it is made of, made anew."""
    model = catalog.get("inception_v1")
    graphs = {
        training: slim_graph.build(model, version=3, num_classes=None, training=training)
        for training in (False, True)
    }
    interface = slim_graph.define(model, graphs[False]).interface
    return contract.promise(version=3, task="feature_vector", interface=interface), graphs


@pytest.fixture(scope="module")
def definitions(rebuilt):
    _, graphs = rebuilt
    model = catalog.get("inception_v1")
    return {training: slim_graph.define(model, graph) for training, graph in graphs.items()}


@pytest.fixture(scope="module")
def read(definitions):
    """A function that reads the weights of that module from a checkpoint."""
    shapes = {name: variable.shape for name, variable in definitions[False].variables.items()}
    model = catalog.get("inception_v1")
    return lambda path: restore.restore(restore.Reader(path), model=model, shapes=shapes)


# They need what the worker of that group has exported.
@pytest.mark.xdist_group("inception_v1-3")
@pytest.mark.parametrize("source", ["archive", "v1", "v2"])
def test_same_bytes(source, rebuilt, definitions, read, archives, checkpoint, module, tmp_path):
    """An archive and checkpoints of both formats give the same bytes, whenever they are written."""
    v1 = checkpoint("inception_v1")
    if source == "archive":
        model = catalog.get("inception_v1")
        path = resolve(str(archives), model=model, workdir=tmp_path).path
    elif source == "v1":
        path = v1
    else:
        path = tmp_path / "inception_v1.ckpt"
        weights = read(v1)
        tf.raw_ops.SaveV2(
            prefix=str(path),
            tensor_names=list(weights),
            shape_and_slices=[""] * len(weights),
            tensors=list(weights.values()),
        )
    promise, _ = rebuilt
    directory = tmp_path / "module"
    directory.mkdir()
    tf1_hub.write(directory, promise=promise, definitions=definitions, weights=read(path))
    published = sums(module("inception_v1", "feature_vector", 3))
    del published[formats.PROVENANCE]
    assert sums(directory) == published


@pytest.mark.xdist_group("inception_v1-3")
def test_parity_sees_one_weight(rebuilt, definitions, read, checkpoint, tmp_path):
    """Of a module with one changed weight, each output behind it is told to differ, and no other."""
    promise, graphs = rebuilt
    weights = read(checkpoint("inception_v1"))
    name = "InceptionV1/Mixed_3b/Branch_0/Conv2d_0a_1x1/weights"
    changed = weights[name].copy()
    changed[0, 0, 5, 7] += 0.5
    tf1_hub.write(
        tmp_path, promise=promise, definitions=definitions, weights={**weights, name: changed}
    )
    worst = {}
    with Subject(Module(tmp_path), promise) as subject:
        for mode in promise.modes:
            references = reference.run(
                catalog.get("inception_v1"),
                graphs[mode.training],
                checkpoint=checkpoint("inception_v1"),
                into=tmp_path / f"references-{mode.training}",
            )
            worst |= parity.compare(subject, mode, references)
    assert set(worst) == {
        f"{mode.label} {signature.name}:{key}"
        for mode in promise.modes
        for signature in mode.signatures
        for key in signature.outputs
    } | {f"{mode.label} regularization_losses" for mode in promise.modes}
    for key, found in worst.items():
        before = re.search("Conv2d_|MaxPool_[23]a", key)
        assert (found > parity.TOLERANCE) == (not before), key


def test_old_readers(exported):
    """The format is that of a SavedModel that TensorFlow 1 wrote: no object graph, no functions."""
    content = (exported.directory / "saved_model.pb").read_bytes()
    for meta_graph in saved_model_pb2.SavedModel.FromString(content).meta_graphs:
        assert not meta_graph.HasField("object_graph_def")
        assert not meta_graph.graph_def.library.function
        # The oldest consumer that TensorFlow 1.15 (graph version 134) accepts it as.
        assert meta_graph.graph_def.versions.min_consumer <= 134
