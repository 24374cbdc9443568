"""Every module, used as people use it: `hub.load`, `hub.KerasLayer` and a session of TF1."""

import functools
import json

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_hub as hub
from tensorflow_hub import module_v2

from slimhub.export.parity import difference
from slimhub.signatures import formats, running


@pytest.fixture(autouse=True, scope="module")
def load_once():
    """Loads each module from disk once, however many layers are made of it: it takes seconds."""
    original = module_v2.load
    load = functools.cache(lambda handle, tags: original(handle, tags=tags and list(tags)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            module_v2,
            "load",
            lambda handle, tags=None, options=None: load(handle, tags and tuple(tags)),
        )
        yield


@pytest.fixture
def loaded(exported):
    """What `hub.load` gave the layer."""
    return hub.KerasLayer(str(exported.directory)).resolved_object


@pytest.fixture
def main(exported):
    """Name of the signature that `default` stands for."""
    return f"image_{exported.task}"


def num_outputs(exported):
    return 1001 if exported.task == "classification" else exported.model.num_features


def test_signatures_of_hub_load(exported, loaded):
    """`hub.load` finds the promised signatures."""
    names = {"default", "image_feature_vector"}
    if exported.task == "classification":
        names.add("image_classification")
    if exported.version == 3:
        names |= {f"{name}_with_bn_hparams" for name in names - {"default"}}
    assert set(loaded.signatures) == names


def test_default_of_hub_load(exported, loaded, images, main):
    """`default` gives the main task's output alone, the same as the named signature's."""
    batch = tf.constant(images(2))
    outputs = loaded.signatures["default"](images=batch)
    assert set(outputs) == {"default"}
    assert outputs["default"].shape == (2, num_outputs(exported))
    named = loaded.signatures[main](images=batch)["default"]
    assert difference(outputs["default"].numpy(), named.numpy()) <= 1e-5


def test_end_points(exported, loaded, images):
    """Named signatures give every end point, strided and as deep as Slim's."""
    scope = exported.model.scope
    outputs = loaded.signatures["image_feature_vector"](images=tf.constant(images(1)))
    assert outputs[f"{scope}/Conv2d_1a_7x7"].shape == (1, 112, 112, 64)
    assert outputs[f"{scope}/Mixed_5c"].shape == (1, 7, 7, 1024)
    assert outputs[f"{scope}/global_pool"].shape == (1, 1, 1, 1024)
    assert f"{scope}/Logits" not in outputs
    assert (outputs[f"{scope}/global_pool"][:, 0, 0].numpy() == outputs["default"].numpy()).all()


def test_classes(exported, loaded, images):
    """A classification gives logits and, as predictions, their softmax."""
    if exported.task == "feature_vector":
        assert "image_classification" not in loaded.signatures
        return
    outputs = loaded.signatures["image_classification"](images=tf.constant(images(2)))
    logits = outputs[f"{exported.model.scope}/Logits"].numpy()
    predictions = outputs[f"{exported.model.scope}/Predictions"].numpy()
    assert (logits == outputs["default"].numpy()).all()
    assert difference(predictions, tf.nn.softmax(logits).numpy()) <= 1e-5
    assert difference(logits[0], logits[1]) > 0.1, "different images, different logits"


def test_default_of_keras_layer(exported, loaded, images):
    """`hub.KerasLayer` gives what `hub.load` gives."""
    batch = images(2)
    layer = hub.KerasLayer(str(exported.directory))
    expected = loaded.signatures["default"](images=tf.constant(batch))["default"]
    assert difference(layer(batch).numpy(), expected.numpy()) <= 1e-5


def test_named_signatures_of_keras_layer(exported, loaded, images):
    """`hub.KerasLayer` applies each named signature, with all of its outputs as a dictionary."""
    batch = images(2)
    for name in sorted(set(loaded.signatures) - {"default"}):
        layer = hub.KerasLayer(
            str(exported.directory), signature=name, signature_outputs_as_dict=True
        )
        inputs = {"images": tf.constant(batch)}
        if name.endswith("_with_bn_hparams"):
            inputs["batch_norm_momentum"] = tf.constant(0.997)
        outputs = layer(inputs)
        expected = loaded.signatures[name](**inputs)
        assert set(outputs) == set(expected)
        for key, value in outputs.items():
            assert difference(value.numpy(), expected[key].numpy()) <= 1e-5, (name, key)


def test_train_tags_of_keras_layer(exported, images, main):
    """With `tags=["train"]`, batch norm uses the batch: an image's features depend on the others."""
    layer = hub.KerasLayer(
        str(exported.directory),
        tags=["train"],
        signature="image_feature_vector",
        output_key="default",
    )
    batch = images(3)
    together, alone = layer(batch).numpy(), layer(batch[:1]).numpy()
    assert together.shape == (3, exported.model.num_features)
    assert difference(together[:1], alone) > 1e-2


def test_image_sizes(exported, loaded, images):
    """Version 3 takes images of any size from one pixel on; version 1 declares a single size."""
    signature = loaded.signatures["image_feature_vector"]
    declared = signature.structured_input_signature[1]["images"].shape.as_list()
    if exported.version == 1:
        assert declared == [None, 224, 224, 3]
        return
    assert declared == [None, None, None, 3]
    # The smallest image, a small odd one, and a large one that is not square.
    for batch in (images(1, 1), images(2, 75, 33), images(1, 320, 448)):
        outputs = signature(images=tf.constant(batch))
        size = [-(-side // 32) for side in batch.shape[1:3]]
        assert outputs[f"{exported.model.scope}/Mixed_5c"].shape == (len(batch), *size, 1024)
        assert np.isfinite(outputs["default"].numpy()).all()


@pytest.mark.slow
def test_features_of_both_tasks(exported, loaded, module, images):
    """The classification module's features are the feature-vector module's."""
    if exported.task == "classification":
        sibling = module(exported.model.name, "feature_vector", exported.version)
        batch = images(2)
        ours = loaded.signatures["image_feature_vector"](images=tf.constant(batch))["default"]
        theirs = hub.KerasLayer(str(sibling))(batch)
        assert difference(ours.numpy(), theirs.numpy()) <= 1e-5


def test_momentum(exported, images):
    """Momentum is 0.9997 in version 1; in version 3 it is 0.99 unless it is given."""
    with running.load(exported.directory, tags=("train",)) as graph:
        assert len(graph.collection("update_ops")) == 2 * exported.model.batch_norm.count
        update = graph.collection("update_ops")[0]
        [average] = [
            v for v in graph.collection("variables") if v.op.name == update.inputs[0].op.name
        ]
        layer = update.name.rsplit("/AssignMovingAvg", 1)[0]
        inputs = graph.graph.get_operation_by_name(f"{layer}/FusedBatchNormV3").inputs[0]

        def moves(momentum, extra_feeds):
            old = graph.session.run(average)
            feeds = {"hub_input/images:0": images(2), **extra_feeds}
            values, _ = graph.session.run((inputs, update), feeds)
            mean = values.mean(axis=(0, 1, 2), dtype=np.float64)
            new = graph.session.run(average)
            assert difference(new, old) > 3e-5
            return difference(new, momentum * old + (1 - momentum) * mean) <= 1e-5

        if exported.version == 1:
            assert moves(0.9997, {})
        else:
            signature = graph.meta_graph.signature_def["image_feature_vector_with_bn_hparams"]
            assert moves(0.99, {})
            assert moves(0.25, {signature.inputs["batch_norm_momentum"].name: 0.25})


def test_provenance(exported):
    """A module of synthetic archives, brought as a file, is called unverified."""
    record = json.loads((exported.directory / formats.PROVENANCE).read_text())
    assert (
        record["handle"]
        == f"google/imagenet/{exported.model.name}/{exported.task}/{exported.version}"
    )
    assert (record["model"], record["task"]) == (exported.model.name, exported.task)
    assert record["version"] == record["contract"] == exported.version
    classifies = exported.task == "classification"
    order = f"Those of the published weights. {exported.model.labels}"
    assert record["labels"] == (order if classifies else None)
    assert record["labels_file"] is None
    assert record["status"] == "unverified"
    assert record["weights"].startswith("UNVERIFIED")
    assert [file["name"] for file in record["checkpoint"]] == [
        exported.model.archive.name,
        exported.model.archive.member,
    ]
