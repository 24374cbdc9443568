"""export/exporter.py: whole exports, and what happens when one goes wrong."""

import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_hub as hub
from stem import STEM, stem_in_catalog
from tensorflow.core.protobuf import saved_model_pb2

from slimhub.export import exporter, reference, synthetic, tf1_hub
from slimhub.export.errors import (
    CheckError,
    OutputError,
    SourceError,
    UsageError,
    VersionExistsError,
)
from slimhub.export.request import ExportRequest
from slimhub.models import catalog
from slimhub.signatures import conformance, formats


@pytest.fixture
def request_one(tmp_path):
    """Asks for a small module."""
    with stem_in_catalog():
        yield ExportRequest(
            version=3,
            models=(STEM.name,),
            tasks=("feature_vector",),
            checkpoint="synthetic",
            output=tmp_path / "modules",
        )


@pytest.fixture
def write_and_then(monkeypatch):
    """Has the writer call a function with the weights before, and the directory after it wrote."""
    write = tf1_hub.write

    def install(*, before=lambda weights: weights, after=lambda directory: None):
        def write_and_call(directory, *, weights, **kwargs):
            write(directory, weights=before(weights), **kwargs)
            after(directory)

        monkeypatch.setattr(tf1_hub, "write", write_and_call)

    return install


def test_other_classes(request_one, tmp_path, images):
    """A V2 checkpoint with seven classes becomes a module with seven classes."""
    weights = synthetic.weights(STEM)
    head = "InceptionV1/Logits/Conv2d_0c_1x1"
    for name in ("weights", "biases"):
        weights[f"{head}/{name}"] = weights[f"{head}/{name}"][..., :7]
    weights["global_step"] = np.int64(1234)
    prefix = tmp_path / "flowers.ckpt"
    tf.raw_ops.SaveV2(
        prefix=str(prefix),
        tensor_names=list(weights),
        shape_and_slices=[""] * len(weights),
        tensors=list(weights.values()),
    )
    [outcome] = exporter.export(
        dataclasses.replace(
            request_one,
            tasks=("classification",),
            checkpoint=str(prefix),
            handle_prefix="me/flowers",
        )
    )
    assert outcome.error is None
    assert outcome.handle == "me/flowers/stem/classification/3"
    assert outcome.directory == tmp_path / "modules" / outcome.handle
    assert outcome.num_classes == 7
    assert outcome.parity <= 1e-5
    assert outcome.weights.startswith("UNVERIFIED")
    assert hub.KerasLayer(str(outcome.directory))(images(2)).shape == (2, 7)
    record = json.loads((outcome.directory / formats.PROVENANCE).read_text())
    assert [file["name"] for file in record["checkpoint"]] == [
        "flowers.ckpt.index",
        "flowers.ckpt.data-00000-of-00001",
    ]


def test_failed_check(request_one, write_and_then):
    """A module that breaks its contract is not published, and the message names the checks."""
    write_and_then(after=lambda directory: (directory / formats.FORMAT_MARKER).write_bytes(b"?"))
    [outcome] = exporter.export(request_one)
    assert isinstance(outcome.error, CheckError)
    assert outcome.error.exit_code == 1
    assert "format-marker: expected the bytes 08 03" in str(outcome.error)
    assert not request_one.output.exists()


def test_missing_output(request_one, write_and_then):
    """A module that lacks an output is not compared: the message names the check that it fails."""

    def drop(directory):
        path = directory / "saved_model.pb"
        saved_model = saved_model_pb2.SavedModel.FromString(path.read_bytes())
        for meta_graph in saved_model.meta_graphs:
            outputs = meta_graph.signature_def["image_feature_vector"].outputs
            del outputs["InceptionV1/global_pool"]
        path.write_bytes(saved_model.SerializeToString())

    write_and_then(after=drop)
    [outcome] = exporter.export(request_one)
    assert isinstance(outcome.error, CheckError)
    assert "signature-outputs: {} image_feature_vector output missing" in str(outcome.error)
    assert not request_one.output.exists()


def test_failed_reference(request_one, monkeypatch):
    """If the Slim graph can't be run, no task is published, and each says why."""

    def fail(*args, **kwargs):
        raise tf.errors.ResourceExhaustedError(None, None, "no memory")

    monkeypatch.setattr(reference, "_batches", fail)
    both = dataclasses.replace(request_one, tasks=("classification", "feature_vector"))
    outcomes = list(exporter.export(both))
    assert len(outcomes) == 2
    for outcome in outcomes:
        assert isinstance(outcome.error, CheckError)
        assert "The Slim graph of stem can't be run: no memory" in str(outcome.error)
    assert not request_one.output.exists()


def test_failed_parity(request_one, write_and_then):
    """A module that keeps the contract with other weights is not published either."""
    name = "InceptionV1/Conv2d_2c_3x3/weights"
    write_and_then(before=lambda weights: {**weights, name: weights[name] * 1.01})
    [outcome] = exporter.export(request_one)
    assert isinstance(outcome.error, CheckError)
    assert "{} default:default" in str(outcome.error)
    assert "{} image_feature_vector:InceptionV1/Conv2d_2c_3x3" in str(outcome.error)
    assert "{train} regularization_losses" in str(outcome.error)
    assert "Conv2d_2b_1x1" not in str(outcome.error)
    assert not request_one.output.exists()


def test_overwrite(request_one):
    """A version that exists is replaced when that is asked for, and only then."""
    old = request_one.output / request_one.handle(STEM, "feature_vector")
    old.mkdir(parents=True)
    (old / "old").write_bytes(b"old")
    [refused] = exporter.export(request_one)
    assert isinstance(refused.error, VersionExistsError)
    assert [path.name for path in old.iterdir()] == ["old"]
    [replaced] = exporter.export(dataclasses.replace(request_one, overwrite=True))
    assert replaced.error is None
    assert replaced.directory == old
    assert not (old / "old").exists()
    assert conformance.check(old).ok
    assert [path.name for path in old.parent.iterdir()] == ["3"]


@pytest.mark.parametrize("change", ["replaced", "gone"])
def test_checkpoint_that_changes(request_one, write_and_then, tmp_path, change):
    """A checkpoint that is not, in the end, what was recorded at first is refused, and nothing published."""
    path, weights = tmp_path / "stem.ckpt", synthetic.weights(STEM)
    synthetic.write_checkpoint(weights, path)

    def disturb(directory):
        path.unlink()
        if change == "replaced":
            others = {name: value * np.float32(1.5) for name, value in weights.items()}
            synthetic.write_checkpoint(others, path)

    write_and_then(after=disturb)
    request = dataclasses.replace(request_one, checkpoint=str(path))
    [outcome] = exporter.export(request)
    assert isinstance(outcome.error, SourceError)
    assert str(outcome.error).startswith(f"{path} changed while it was read: expected the SHA-256 ")
    assert not request.output.exists()


def test_failed_write(request_one, write_and_then):
    """What TensorFlow can't write is an output error that leaves nothing behind."""

    def fail(directory):
        # A directory where a file should be: the operation of TensorFlow fails.
        target = directory / "taken.index"
        target.mkdir()
        tf.raw_ops.SaveV2(
            prefix=str(directory / "taken"),
            tensor_names=["x"],
            shape_and_slices=[""],
            tensors=[tf.zeros([1])],
        )

    write_and_then(after=fail)
    [outcome] = exporter.export(request_one)
    assert isinstance(outcome.error, OutputError)
    assert outcome.error.exit_code == 5
    assert "can't be written" in str(outcome.error)
    assert not request_one.output.exists()


@pytest.mark.parametrize(
    "prefix", ["", "/google", "google/", "a//b", "../b", "a/./b", "a b", "a\\b"]
)
def test_handle_prefix(prefix):
    """A prefix that is no path of plain names is refused."""
    with pytest.raises(UsageError, match="handle_prefix"):
        ExportRequest(version=3, handle_prefix=prefix)


def test_defaults():
    """A request asks for everything, under the names that code already has."""
    request = ExportRequest(version=3)
    assert request.models == catalog.names()
    assert request.tasks == ("classification", "feature_vector")
    handle = request.handle(catalog.get("inception_v2"), "classification")
    assert handle == "google/imagenet/inception_v2/classification/3"
