"""`slimhub.keras.ModuleLayer` is the module: the same outputs, states, losses and gradients."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from stem import RESNET_STEM, STEM, VGG_STEM

from slimhub.keras import ModuleLayer
from slimhub.signatures.checks.bounds import difference
from slimhub.signatures.contract.network import MOVING_AVERAGES

MAP = "InceptionV1/Conv2d_2b_1x1"
MODULES = [
    (STEM.name, "feature_vector", 5),
    (STEM.name, "classification", 4),
    (RESNET_STEM.name, "classification", 5),
    (VGG_STEM.name, "classification", 5),
    (VGG_STEM.name, "feature_vector", 4),
]


def values(layer) -> dict[str, np.ndarray]:
    """Return the variables of a layer by Slim's names."""
    named = {variable.path.partition("/")[2]: variable for variable in layer.variables}
    # The state of random numbers is not float32.
    return {name: one.numpy() for name, one in named.items() if one.dtype == "float32"}


def moved(layer, before) -> set[str]:
    """Return the names of the variables that are not what they were."""
    after = values(layer)
    return {name for name in after if not np.array_equal(after[name], before[name])}


@pytest.mark.parametrize("traced", [False, True], ids=["eager", "traced"])
@pytest.mark.parametrize("module", MODULES, ids=lambda module: "-".join(map(str, module)))
def test_inference(family, images, module, traced):
    """All outputs are those of the module, for any size and batch, and nothing moves."""
    directory = str(family(*module))
    loaded = tf.saved_model.load(directory)
    sizes = [(2, 32, 32), (1, 32, 48)]
    every = set(loaded(images(*sizes[0]), return_endpoints=True)) - {"default"}
    layer = ModuleLayer(directory, endpoints=sorted(every))
    before = values(layer)
    apply = tf.function(layer) if traced else layer
    for size in sizes:
        found = apply(tf.constant(images(*size)))
        expected = loaded(images(*size), return_endpoints=True)
        assert found.keys() == expected.keys()
        for key, output in expected.items():
            # TensorFlow fuses operations of functions only, which rounds otherwise.
            allowed = 1e-6 if traced else 1e-5
            assert difference(found[key].numpy(), output.numpy()) <= allowed
    assert moved(layer, before) == set()


@pytest.mark.parametrize("momentum", [0.99, 0.5])
@pytest.mark.parametrize("name", [STEM.name, RESNET_STEM.name])
def test_training(family, images, name, momentum):
    """In training, outputs and moving averages are those of the module with the same momentum."""
    directory = str(family(name, "feature_vector", 5))
    loaded = tf.saved_model.load(directory)
    layer = ModuleLayer(directory, trainable=True, batch_norm_momentum=momentum)
    before = values(layer)
    for size in (32, 40):
        batch = images(4, size)
        expected = loaded(batch, training=True, batch_norm_momentum=momentum)
        assert difference(layer(batch, training=True).numpy(), expected.numpy()) <= 1e-6
    for variable in loaded.variables:
        found = values(layer)[variable.name.removesuffix(":0")]
        assert difference(found, variable.numpy()) <= 1e-6
    assert moved(layer, before) == {name for name in before if name.endswith(MOVING_AVERAGES)}


def test_dropout(family, images):
    """Dropout is active in training only, differs from call to call, and has a seed."""

    def draws():
        keras.utils.set_random_seed(7)
        layer = ModuleLayer(family(VGG_STEM.name, "feature_vector", 5), trainable=True)
        return [layer(images(2, 28), training=training).numpy() for training in (True, True, False)]

    first, second, inference = draws()
    assert not np.array_equal(first, second)
    assert not np.array_equal(first, inference)
    for found, again in zip((first, second, inference), draws(), strict=True):
        np.testing.assert_array_equal(found, again)


def test_variables(path):
    """Variables have Slim's names, are trainable as in the module, and are the checkpoint's, all float32."""
    layer = ModuleLayer(path, trainable=True)
    loaded = tf.saved_model.load(path)
    expected = {variable.name.removesuffix(":0"): variable for variable in loaded.variables}
    assert values(layer).keys() == expected.keys()
    for name, value in values(layer).items():
        np.testing.assert_array_equal(value, expected[name].numpy())
    trainable = {variable.name.removesuffix(":0") for variable in loaded.trainable_variables}
    assert {one.path.split("/", 1)[1] for one in layer.trainable_variables} == trainable
    assert {one.dtype for one in layer.variables} == {"float32"}
    assert not any(":" in one.path for one in layer.variables)


@pytest.mark.parametrize("arguments", [{}, {"trainable": False}, {"l2_losses": False}], ids=str)
def test_losses(path, arguments):
    """A layer that trains has the L2 losses of the module, one that doesn't none."""
    layer = ModuleLayer(path, **{"trainable": True, **arguments})
    losses = [loss.numpy() for loss in layer.losses]
    if arguments:
        assert losses == []
    else:
        loaded = tf.saved_model.load(path)
        expected = [loss().numpy() for loss in loaded.regularization_losses]
        np.testing.assert_allclose(np.sort(losses), np.sort(expected), rtol=1e-6)


def test_frozen(path, images, classifier, fit):
    """A layer that is not trainable is at inference whoever says `training`, and nothing in it moves."""
    layer = ModuleLayer(path)
    assert layer.trainable_variables == []
    before = values(layer)
    expected = layer(images(4, 32))
    np.testing.assert_array_equal(layer(images(4, 32), training=True), expected)
    losses = fit(classifier(layer))
    assert losses[-1] < losses[0]
    assert moved(layer, before) == set()


def test_frozen_later(path, classifier, fit):
    """A layer that was trained may be frozen, and released again."""
    layer = ModuleLayer(path, trainable=True)
    for trainable in (True, False, True):
        layer.trainable = trainable
        before = values(layer)
        fit(classifier(layer), steps=1)
        assert moved(layer, before) == (set(before) if trainable else set())


@pytest.mark.parametrize("wrapped", [False, True], ids=["eager", "traced"])
def test_gradients_of_end_points(path, images, wrapped):
    """Gradients lead from the output to an end point, as Grad-CAM wants: those of a mean are its weights."""
    layer = ModuleLayer(path, endpoints=["InceptionV1/Conv2d_2c_3x3", MAP])

    def gradients(batch):
        with tf.GradientTape() as tape:
            outputs = layer(batch)
            score = outputs["default"][:, 3]
        maps = [outputs["InceptionV1/Conv2d_2c_3x3"], outputs[MAP]]
        return tape.gradient(score, maps)

    apply = tf.function(gradients) if wrapped else gradients
    last, earlier = apply(tf.constant(images(2, 32)))
    # The output is the mean of the last map's channels.
    expected = np.zeros(last.shape, np.float32)
    expected[..., 3] = 1 / (last.shape[1] * last.shape[2])
    assert difference(last.numpy(), expected) <= 1e-6
    assert np.abs(earlier).max() > 0


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float16", "float64"])
def test_policies(path, images, policy):
    """Under any policy it computes in float32, and gives the policy's compute dtype."""
    expected = ModuleLayer(path)(images(2, 32)).numpy()
    layer = ModuleLayer(path, dtype=policy, trainable=True)
    found = layer(tf.cast(images(2, 32), layer.compute_dtype))
    assert found.dtype.name == layer.compute_dtype
    assert {one.dtype for one in layer.variables} == {"float32"}
    assert difference(tf.cast(found, tf.float32).numpy(), expected) <= 2e-2
    assert layer(images(2, 32)).dtype.name == layer.compute_dtype


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"endpoints": ["InceptionV1/Conv2d_2b"]}, "InceptionV1/Conv2d_2b_1x1"),
        ({"batch_norm_momentum": 1.5}, "batch_norm_momentum"),
        ({"batch_norm_momentum": -0.1}, "batch_norm_momentum"),
    ],
    ids=str,
)
def test_bad_arguments(path, arguments, says):
    """An end point or a momentum that makes no sense is a ValueError, which names the nearest."""
    with pytest.raises(ValueError, match=says):
        ModuleLayer(path, **arguments)
