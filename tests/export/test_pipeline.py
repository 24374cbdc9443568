"""Whole exports, and the errors of those that fail."""

import dataclasses
import json
import re

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_hub as hub
from checkpoints import write_v2
from stem import STEM, stem_in_catalog
from tensorflow.core.protobuf import saved_model_pb2

from slimhub.export import pipeline
from slimhub.export.checkpoints import synthetic
from slimhub.export.errors import (
    CheckError,
    OutputError,
    SourceError,
)
from slimhub.export.request import ExportRequest
from slimhub.export.verification import reference
from slimhub.export.writers import tf1_hub, write
from slimhub.signatures.contract import formats
from slimhub.signatures.module.provenance import STATUSES, from_json


@pytest.fixture
def request_one(tmp_path):
    """Return the request for a small module."""
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
    """Return a function that makes the writer change the weights before, and the directory after."""
    write_tf1_hub = tf1_hub.write

    def install(*, before=lambda weights: weights, after=lambda directory: None):
        def write_and_call(directory, *, weights, **kwargs):
            write_tf1_hub(directory, weights=before(weights), **kwargs)
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
    write_v2(weights, prefix)
    [outcome] = pipeline.export(
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
    assert outcome.weights == STATUSES["own"]
    assert hub.KerasLayer(str(outcome.directory))(images(2)).shape == (2, 7)
    record = json.loads((outcome.directory / formats.PROVENANCE).read_text())
    assert [file["name"] for file in record["checkpoint"]] == [
        "flowers.ckpt.index",
        "flowers.ckpt.data-00000-of-00001",
    ]


@pytest.mark.parametrize(
    ("prefix", "checkpoint", "expected"),
    [
        (None, "unverified", "unverified"),
        ("google/flowers", "unverified", "unverified"),
        (STEM.handle_prefix, "pinned", "pinned"),
        ("me/flowers", "pinned", "own"),
        ("me/flowers", "synthetic", "synthetic"),
        ("me/flowers", "verified", "verified"),
    ],
)
def test_status(request_one, prefix, checkpoint, expected):
    """Weights of no known origin are called one's own only under a prefix of one's own."""
    request = dataclasses.replace(request_one, handle_prefix=prefix)
    assert write.status(request, checkpoint) == expected


def test_failed_reference(request_one, monkeypatch):
    """If the Slim graph can't be run, no task is published, and each says why."""

    def fail(*args, **kwargs):
        raise tf.errors.ResourceExhaustedError(None, None, "no memory")

    monkeypatch.setattr(reference, "_batches", fail)
    both = dataclasses.replace(request_one, tasks=("classification", "feature_vector"))
    outcomes = list(pipeline.export(both))
    assert len(outcomes) == 2
    for outcome in outcomes:
        assert isinstance(outcome.error, CheckError)
        assert str(outcome.error) == "The Slim graph of stem can't be run: no memory"
    assert not request_one.output.exists()


def test_failed_check(request_one, write_and_then):
    """A module that breaks its contract is not compared or published, and the error names the checks."""

    def drop_output(directory):
        path = directory / "saved_model.pb"
        saved_model = saved_model_pb2.SavedModel.FromString(path.read_bytes())
        for meta_graph in saved_model.meta_graphs:
            outputs = meta_graph.signature_def["image_feature_vector"].outputs
            del outputs["InceptionV1/global_pool"]
        path.write_bytes(saved_model.SerializeToString())

    write_and_then(after=drop_output)
    [outcome] = pipeline.export(request_one)
    assert isinstance(outcome.error, CheckError)
    assert outcome.error.exit_code == 1
    assert "signature-outputs" in outcome.error.failed
    assert outcome.error.differing == ()
    first, *problems = str(outcome.error).splitlines()
    assert first == f"{outcome.handle} fails its checks, and was not published:"
    assert {line.partition(":")[0].strip() for line in problems} == set(outcome.error.failed)
    assert not request_one.output.exists()


def test_failed_parity(request_one, stem, write_and_then):
    """If one weight of a module is changed, each output behind it differs, no other, and it is not published."""
    name = "InceptionV1/Conv2d_2b_1x1/weights"

    def change(weights):
        changed = weights[name].copy()
        changed[0, 0, 5, 7] += 4
        return {**weights, name: changed}

    write_and_then(before=change)
    [outcome] = pipeline.export(request_one)
    assert isinstance(outcome.error, CheckError)
    assert outcome.error.failed == ()
    promise = from_json((stem / "3" / formats.PROVENANCE).read_text()).promise()
    compared = {f"{mode.label} regularization_losses" for mode in promise.modes} | {
        f"{mode.label} {signature.name}:{key}"
        for mode in promise.modes
        for signature in mode.signatures
        for key in signature.outputs
    }
    before = {where for where in compared if re.search("Conv2d_1a_7x7|MaxPool_2a", where)}
    assert before
    assert set(outcome.error.differing) == compared - before
    assert not request_one.output.exists()


@pytest.mark.parametrize("change", ["replaced", "gone"])
def test_checkpoint_that_changes(request_one, write_and_then, tmp_path, change):
    """A checkpoint that changes during the export is refused, and nothing is published."""
    path, weights = tmp_path / "stem.ckpt", synthetic.weights(STEM)
    synthetic.write_checkpoint(weights, path)

    def disturb(directory):
        path.unlink()
        if change == "replaced":
            others = {name: value * np.float32(1.5) for name, value in weights.items()}
            synthetic.write_checkpoint(others, path)

    write_and_then(after=disturb)
    request = dataclasses.replace(request_one, checkpoint=str(path))
    [outcome] = pipeline.export(request)
    assert isinstance(outcome.error, SourceError)
    assert (outcome.error.reason, outcome.error.path) == ("changed", path)
    assert not request.output.exists()


def test_failed_write(request_one, write_and_then):
    """A module that TensorFlow can't write is an output error, and leaves nothing behind."""

    def fail(directory):
        # A directory where a file should be: the operation of TensorFlow fails.
        target = directory / "taken.index"
        target.mkdir()
        write_v2({"x": tf.zeros([1])}, directory / "taken")

    write_and_then(after=fail)
    [outcome] = pipeline.export(request_one)
    assert isinstance(outcome.error, OutputError)
    assert outcome.error.exit_code == 5
    assert not request_one.output.exists()
