"""The three ways to have version 5 in a model of Keras, on the same data, with the same seeds.

`ModuleLayer` and `TFSMLayer` are for Keras 3, `hub.KerasLayer` is for tf_keras. Each of the tests that are
named in docs/keras.md shows what a row of its table says.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_hub as hub
import tf_keras
from stem import STEM

from slimhub.keras import ModuleLayer
from slimhub.signatures.contract.network import MOVING_AVERAGES

LABELS = np.array([0, 1, 2, 0])
# Small steps: of a deep network, gradients jump where a ReLU or a max pool is undecided.
MODULES = [
    pytest.param((STEM.name, 32, 1e-4), id="stem"),
    pytest.param(("inception_v1", 64, 1e-8), id="inception_v1", marks=pytest.mark.slow),
]


@pytest.fixture(params=MODULES)
def found(request, family, module):
    """The directory of a module of feature vectors, a size of images, and a rate of learning."""
    name, size, rate = request.param
    get = family if name == STEM.name else module
    return str(get(name, "feature_vector", 5)), size, rate


def module_layer(path, **how):
    return keras, ModuleLayer(path, trainable=True, **how)


def tfsm_layer(path):
    layer = keras.layers.TFSMLayer(path, call_endpoint="serve", call_training_endpoint="train")
    return keras, layer


def keras_layer(path):
    return tf_keras, hub.KerasLayer(path, trainable=True)


def model_of(library, layer, optimizer):
    """Return a model with a new head, whose weights are always the same."""
    inputs = library.Input((None, None, 3))
    features = layer(inputs)
    kernel = np.random.RandomState(1).normal(scale=0.01, size=(features.shape[-1], 3))
    head = library.layers.Dense(3, kernel_initializer=library.initializers.Constant(kernel))
    model = library.Model(inputs, head(features))
    loss = library.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss, jit_compile=False)
    return model


def losses_of(model, images, steps):
    return model.fit(images, LABELS, epochs=steps, shuffle=False, verbose=0).history["loss"]


def trained(make, path, images, rate, **how):
    """Return predictions before ten steps of plain SGD, and the loss before each of them."""
    library, layer = make(path, **how)
    model = model_of(library, layer, library.optimizers.SGD(rate))
    return model.predict(images, verbose=0), losses_of(model, images, 10)


@pytest.mark.parametrize(
    ("other", "how"), [(tfsm_layer, {"l2_losses": False}), (keras_layer, {})], ids=["TFSM", "hub"]
)
def test_same_training(found, images, other, how):
    """Ours predicts and trains as the other does, with the L2 losses or without."""
    path, size, rate = found
    predicted, losses = trained(module_layer, path, images(4, size), rate, **how)
    predicted_by_other, losses_of_other = trained(other, path, images(4, size), rate)
    np.testing.assert_allclose(
        predicted, predicted_by_other, rtol=0, atol=1e-6 * abs(predicted).max()
    )
    np.testing.assert_allclose(losses, losses_of_other, rtol=1e-5)
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("make", [module_layer, keras_layer])
def test_adam(found, images, make):
    """Adam lowers the loss."""
    path, size, _ = found
    library, layer = make(path)
    losses = losses_of(model_of(library, layer, library.optimizers.Adam(1e-3)), images(4, size), 4)
    assert losses[-1] < losses[0]


def test_adam_of_tfsm_layer(stem, images):
    """With a `TFSMLayer`, TensorFlow refuses the names of what Adam keeps for each variable."""
    library, layer = tfsm_layer(stem / "5")
    with pytest.raises(ValueError, match="name"):
        losses_of(model_of(library, layer, library.optimizers.Adam(1e-3)), images(4, 32), 1)


def averages(layer):
    """Return the moving averages of a layer."""
    ends = tuple(end.lstrip("/") for end in MOVING_AVERAGES)
    found = [one.numpy() for one in layer.weights if one.name.split(":")[0].endswith(ends)]
    assert len(found) == 6
    return found


@pytest.mark.parametrize(
    ("make", "moves"), [(module_layer, False), (tfsm_layer, True), (keras_layer, False)]
)
def test_freezing(stem, images, make, moves):
    """What is frozen by `trainable = False` stays, but the moving averages of a `TFSMLayer`."""
    library, layer = make(str(stem / "5"))
    layer.trainable = False
    before = averages(layer)
    losses_of(model_of(library, layer, library.optimizers.SGD(1e-4)), images(4, 32), 1)
    for old, new in zip(before, averages(layer), strict=True):
        assert np.array_equal(old, new) != moves


@pytest.mark.parametrize(("make", "number"), [(module_layer, 3), (tfsm_layer, 0), (keras_layer, 3)])
def test_l2_losses(stem, make, number):
    """The L2 losses of the module are the layer's, but in a `TFSMLayer`."""
    _, layer = make(str(stem / "5"))
    layer(np.zeros([1, 32, 32, 3], np.float32))
    assert len(layer.losses) == number


def test_momentum_of_tfsm_layer(stem):
    """A `TFSMLayer` takes images alone: there is no way to give it a momentum."""
    _, layer = tfsm_layer(str(stem / "5"))
    with pytest.raises(TypeError):
        layer(np.zeros([1, 32, 32, 3], np.float32), batch_norm_momentum=0.5)


@pytest.mark.parametrize(("make", "has"), [(module_layer, True), (keras_layer, False)])
def test_gradients_of_maps(stem, images, make, has):
    """Gradients of the output to a map, for Grad-CAM, are there in ours only."""
    key = "InceptionV1/Conv2d_2c_3x3"
    if has:
        _, layer = make(str(stem / "5"), endpoints=[key])
    else:
        layer = hub.KerasLayer(str(stem / "5"), arguments={"return_endpoints": True})
    with tf.GradientTape() as tape:
        outputs = layer(tf.constant(images(1, 32)))
        score = tf.reduce_sum(outputs["default"])
    assert (tape.gradient(score, outputs[key]) is not None) == has


# Keras' own, of arrays that it saves.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize(
    ("make", "is_loaded"), [(module_layer, True), (tfsm_layer, False), (keras_layer, False)]
)
def test_safe_mode(stem, images, tmp_path, make, is_loaded):
    """A model in the format `.keras` is loaded as it is, without a word on what it may run, only with ours."""
    library, layer = make(str(stem / "5"))
    model = model_of(library, layer, library.optimizers.SGD(1e-4))
    model.save(tmp_path / "model.keras")
    if is_loaded:
        loaded = library.models.load_model(tmp_path / "model.keras")
        expected = model.predict(images(2, 32), verbose=0)
        np.testing.assert_array_equal(loaded.predict(images(2, 32), verbose=0), expected)
    else:
        with pytest.raises((TypeError, ValueError)):
            library.models.load_model(tmp_path / "model.keras")
