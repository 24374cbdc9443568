"""Modules of the TF1 Hub format in TensorFlow 2, as people use them: `hub.load` and `hub.KerasLayer`."""

import pytest
import tensorflow as tf
import tensorflow_hub as hub

from slimhub.signatures.checks.bounds import difference


@pytest.fixture(scope="module")
def layer(exported):
    """A layer as most programs make it."""
    return hub.KerasLayer(str(exported.directory))


@pytest.fixture(scope="module")
def loaded(layer):
    """Return the object that `hub.load` gave the layer."""
    return layer.resolved_object


def test_default(exported, layer, loaded, images):
    """A `hub.KerasLayer` gives `default`: logits or features, those of the named signature."""
    batch = tf.constant(images(2))
    outputs = loaded.signatures["default"](images=batch)
    assert set(outputs) == {"default"}
    num_outputs = 1001 if exported.task == "classification" else exported.model.num_features
    assert outputs["default"].shape == (2, num_outputs)
    named = loaded.signatures[f"image_{exported.task}"](images=batch)["default"].numpy()
    assert difference(outputs["default"].numpy(), named) <= 1e-5
    assert difference(layer(batch).numpy(), named) <= 1e-5
    assert difference(named[0], named[1]) > 0.01, "images are told apart"


def test_end_points(exported, loaded, images):
    """Named signatures give every end point, strided and as deep as Slim's; classes only where promised."""
    scope = exported.model.scope
    size = (224, 224) if exported.version == 1 else (320, 448)
    batch = tf.constant(images(1, *size))
    outputs = loaded.signatures["image_feature_vector"](images=batch)
    for end_point, stride, depth in (("Conv2d_1a_7x7", 2, 64), ("Mixed_5c", 32, 1024)):
        shape = 1, size[0] // stride, size[1] // stride, depth
        assert outputs[f"{scope}/{end_point}"].shape == shape
    assert f"{scope}/Logits" not in outputs
    assert (outputs[f"{scope}/global_pool"][:, 0, 0].numpy() == outputs["default"].numpy()).all()
    if exported.task == "classification":
        outputs = loaded.signatures["image_classification"](images=batch)
        logits = outputs[f"{scope}/Logits"].numpy()
        assert (logits == outputs["default"].numpy()).all()
        predictions = outputs[f"{scope}/Predictions"].numpy()
        assert difference(predictions, tf.nn.softmax(logits).numpy()) <= 1e-5


def test_train_tags(exported, images):
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
