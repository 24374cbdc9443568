"""Modules of version 5 in what trains them: `hub.load`, `hub.KerasLayer`, and Keras 3."""

import numpy as np
import pytest
from clients.reference import COUNTS, distance, is_average, moved, within
from clients.table import of

from slimhub.export.parity import difference

pytestmark = pytest.mark.parametrize("environment", ["tf-oldest", "tf-newest"], indirect=True)

MOMENTUM = 0.75
# Keras 3 can't give another.
DEFAULT_MOMENTUM = 0.99
# Large, as the smallest steps would else be lost in the digits of their weights.
RATE = 1.0
# Of the length of a step; a weight that does not move has 1.
STEP_TOLERANCE = 0.25


@pytest.fixture(scope="module")
def given(network, module, batches):
    """What every program takes."""
    return {
        "module": module(*network, 5),
        "images": batches(5),
        "momentum": MOMENTUM,
        "rate": RATE,
        "signature": f"image_{network[1]}_with_bn_hparams",
    }


@pytest.fixture(scope="module")
def loaded(run, given):
    return run("hub_load_5", **given)


@pytest.fixture(scope="module")
def in_keras_layer(run, given):
    return run("keras_layer_train", **given)


@pytest.fixture(scope="module")
def in_tfsm_layer(run, given):
    return run("tfsm_layer", **given)


@pytest.fixture(scope="module")
def outputs(slim, network, batches):
    """The one output of the module, by batch, and all of its outputs."""
    found = slim(*network).outputs(5, batches(5))
    main = {batch: found[f"{batch} image_{network[1]}:default"] for batch in batches(5)}
    return main, found


def weights_of(result, prefix, reference):
    """Weights by the names that Slim has for them: Keras 3.15 makes slashes underscores."""
    names = {name.replace("/", "_"): name for name in reference.weights}
    found = of(result.arrays, prefix)
    return {names[name.replace("/", "_")]: weight for name, weight in found.items()}


def assert_moved(row, before, after, statistics, *, momentum, times=1):
    """Each moving average moved so many times, to the exact mixture of it and the statistic."""
    expected = moved(before, statistics, momentum=momentum**times)
    assert set(expected) == {name for name in after if is_average(name)}
    row.compare(
        {name: after[name] for name in expected}, expected, tolerance=within(momentum**times)
    )
    for name, average in expected.items():
        assert difference(average, before[name]) > 1e-2 * (1 - momentum**times), name


def assert_step(before, after, expected):
    """Every weight moved as far as Slim's gradients move it."""
    for name, moved_to in expected.items():
        actual, step = after[name] - before[name], moved_to - before[name]
        assert distance(actual, step) <= STEP_TOLERANCE, name


@pytest.mark.client("hub.load", "calls")
def test_calls(loaded, row, network, outputs):
    """Called, with or without end points, and by its signatures, it gives what Slim gives."""
    row.saw(loaded)
    main, every = outputs
    expected = {f"{batch} call": output for batch, output in main.items()} | every
    for batch in main:
        of_task = of(every, f"{batch} image_{network[1]}:")
        expected |= {f"{batch} endpoints:{key}": output for key, output in of_task.items()}
    row.compare({key: loaded.arrays[key] for key in expected}, expected)
    assert loaded.facts["trainable"] == COUNTS[network][3]


@pytest.mark.client("hub.load", "training=True, moving averages, losses")
def test_training_calls(loaded, row, network, slim, batches):
    """In training, called or by a signature, it gives Slim's end points and moves its averages."""
    row.saw(loaded)
    reference, images = slim(*network, training=True), batches(5)["224"]
    outputs = of(reference.outputs(5, {"224": images}), f"224 image_{network[1]}_with_bn_hparams:")
    points = {key: output for key, output in outputs.items() if not is_random(key, network)}
    assert len(points) >= 16
    row.compare({key: loaded.arrays[f"training {key}"] for key in points}, points)
    statistics = reference.statistics(images)
    for times, prefix in ((1, "once "), (2, "twice ")):
        after = of(loaded.arrays, prefix)
        assert_moved(row, reference.weights, after, statistics, momentum=MOMENTUM, times=times)
        weights = {name: reference.weights[name] for name in reference.trainable}
        row.compare({name: after[name] for name in weights}, weights, tolerance=0)
    losses = np.sort(loaded.arrays["losses"])
    row.compare({"losses": losses}, {"losses": np.sort(reference.losses())})


def is_random(key, network):
    """Whether an output is behind dropout."""
    return network[1] == "classification" and (
        key == "default" or key.endswith(("/Logits", "/Predictions"))
    )


@pytest.mark.client("hub.KerasLayer", "predict, weights, losses")
def test_keras_layer(in_keras_layer, row, network, slim, outputs):
    """A model predicts what Slim gives, has the weights of the checkpoint, and Slim's losses."""
    result = in_keras_layer
    row.saw(result)
    main, _ = outputs
    row.compare({batch: result.arrays[f"{batch} before"] for batch in main}, main)
    reference = slim(*network)
    row.compare(of(result.arrays, "old "), reference.weights, tolerance=0)
    losses = np.sort(result.arrays["losses"])
    row.compare({"losses": losses}, {"losses": np.sort(reference.losses())})
    assert len(losses) == COUNTS[network][1]
    assert result.facts["trainable"] == COUNTS[network][3]


@pytest.mark.client("hub.KerasLayer", "fit, moving averages, save and load")
def test_keras_layer_in_training(in_keras_layer, row, network, slim, batches):
    """A step of `fit` moves weights and averages as Slim's would, and is saved."""
    result = in_keras_layer
    row.saw(result)
    images = batches(5)["224"]
    assert_fitted(result, row, network, slim, images, momentum=MOMENTUM, regularized=True)
    row.compare({"saved": result.arrays["saved"]}, {"saved": result.arrays["after"]})


@pytest.mark.client("keras.layers.TFSMLayer", "predict, serving_default, weights")
def test_tfsm_layer(in_tfsm_layer, row, network, slim, outputs):
    """A model predicts what Slim gives, as does `serving_default`, with the checkpoint's weights."""
    result = in_tfsm_layer
    row.saw(result)
    main, _ = outputs
    for what in ("before", "serving"):
        row.compare({batch: result.arrays[f"{batch} {what}"] for batch in main}, main)
    reference = slim(*network)
    row.compare(weights_of(result, "old ", reference), reference.weights, tolerance=0)
    assert result.facts["trainable"] == COUNTS[network][3]


@pytest.mark.client("keras.layers.TFSMLayer", "fit, moving averages")
def test_tfsm_layer_in_training(in_tfsm_layer, row, network, slim, batches):
    """A step of `fit` moves weights and averages as Slim's would, without its L2 losses."""
    row.saw(in_tfsm_layer)
    images = batches(5)["224"]
    assert_fitted(
        in_tfsm_layer, row, network, slim, images, momentum=DEFAULT_MOMENTUM, regularized=False
    )


def assert_fitted(result, row, network, slim, images, *, momentum, regularized):
    """After one step, weights and averages are what they should be, and so is what is predicted."""
    reference = slim(*network, training=True)
    before, after = reference.weights, weights_of(result, "new ", reference)
    assert_moved(row, before, after, reference.statistics(images), momentum=momentum)
    if network[1] == "feature_vector":
        expected = reference.step(images, rate=RATE, regularized=regularized)
        assert_step(before, after, expected)
    # Dropout's random numbers decide how far; that all move is left.
    assert all((after[name] != before[name]).any() for name in reference.trainable)
    with slim(*network).holding(after):
        outputs = slim(*network).outputs(5, {"224": images})
    expected = outputs[f"224 image_{network[1]}:default"]
    row.compare({"after": result.arrays["after"]}, {"after": expected})
