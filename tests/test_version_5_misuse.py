"""Version 5, used in a wrong way: what TensorFlow says of it."""

import re

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_hub as hub

# What is expected, in every message about arguments that don't fit.
_EXPECTED = "TensorSpec(shape=(None, None, None, 3), dtype=tf.float32, name='inputs')"

_WRONG_IMAGES = {
    "uint8": (tf.uint8, (1, 32, 32, 3)),
    "gray": (tf.float32, (1, 32, 32, 1)),
    "no_batch": (tf.float32, (32, 32, 3)),
}


@pytest.fixture(scope="module")
def loaded(stem):
    return hub.load(str(stem / "5"))


@pytest.fixture(scope="module")
def layer(stem):
    return hub.KerasLayer(str(stem / "5"), trainable=True)


@pytest.fixture(params=_WRONG_IMAGES.values(), ids=_WRONG_IMAGES)
def wrong(request):
    """Images, and how messages name them."""
    dtype, shape = request.param
    return tf.zeros(shape, dtype), f"shape={shape} dtype={dtype.name}"


@pytest.mark.parametrize("training", [False, True], ids=["inference", "training"])
def test_wrong_images(loaded, wrong, training):
    """Given images of another dtype, number of channels or rank, the object names what it got and expected."""
    images, given = wrong
    with pytest.raises(ValueError, match="Could not find matching concrete function") as raised:
        loaded(images, training=training)
    assert given in str(raised.value)
    assert _EXPECTED in str(raised.value)


def test_wrong_images_for_a_layer(layer, wrong):
    """Given such images, so does `hub.KerasLayer`."""
    images, given = wrong
    with pytest.raises(ValueError, match="Could not find matching concrete function") as raised:
        layer(images)
    assert given in str(raised.value)
    assert _EXPECTED in str(raised.value)


@pytest.mark.parametrize("function", ["serve", "train"])
def test_wrong_images_for_functions(loaded, wrong, function):
    """Given such images, `serve` and `train` name the expected ones."""
    images, _ = wrong
    with pytest.raises(TypeError, match=re.escape(_EXPECTED)):
        getattr(loaded, function)(images)


# TensorFlow compares no shapes here. Of images without a batch no test is possible: with oneDNN's
# kernels, TensorFlow 2.21 aborts the process on any fused convolution of a tensor of rank 3.
@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("uint8", "a float tensor but is a uint8 tensor"),
        ("gray", "input depth must be evenly divisible"),
    ],
)
def test_wrong_images_for_a_signature(loaded, kind, message):
    """Given images of another dtype or number of channels, `serving_default` tells what is wrong with them."""
    dtype, shape = _WRONG_IMAGES[kind]
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        loaded.signatures["serving_default"](inputs=tf.zeros(shape, dtype))


@pytest.mark.parametrize("name", ["training", "return_endpoints"])
def test_tensor_for_a_bool(loaded, images, name):
    """A flag that is a tensor instead of a Python bool is named, with the flags there are."""
    with pytest.raises(ValueError, match="Could not find matching concrete function") as raised:
        loaded(images(1, 32), **{name: tf.constant(True)})
    assert f"'{name}:0' shape=() dtype=bool" in str(raised.value)
    assert "* True\n    * False\n" in str(raised.value)


def test_wrong_momentum(loaded, images):
    """A momentum that is no float32 scalar is named, with the expected one."""
    with pytest.raises(ValueError, match="Could not find matching concrete function") as raised:
        loaded(images(1, 32), training=True, batch_norm_momentum=tf.zeros([2]))
    assert "'batch_norm_momentum:0' shape=(2,) dtype=float32" in str(raised.value)
    assert "TensorSpec(shape=(), dtype=tf.float32, name='batch_norm_momentum')" in str(raised.value)


def test_unknown_argument(loaded, images):
    """An argument that there isn't is named, with those that there are."""
    with pytest.raises(TypeError, match="unexpected keyword argument 'is_training'") as raised:
        loaded(images(1, 32), is_training=True)
    assert "(inputs, training=" in str(raised.value)


@pytest.mark.parametrize("apply", ["object", "layer", "signature"])
def test_images_without_pixels(loaded, layer, apply):
    """An image without pixels has no features: it is refused, or they are not numbers."""
    functions = {
        "object": loaded,
        "layer": layer,
        "signature": lambda images: loaded.signatures["serving_default"](inputs=images)[
            "feature_vector"
        ],
    }
    try:
        features = functions[apply](tf.zeros([2, 0, 32, 3]))
    except tf.errors.InvalidArgumentError:
        return  # So do kernels of oneDNN, which TensorFlow prefers on some processors.
    assert features.shape == (2, 192)
    assert np.isnan(features.numpy()).all()
