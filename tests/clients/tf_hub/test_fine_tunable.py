"""Modules of versions 4 and 5 in what trains them: `hub.load`, `hub.KerasLayer`, and Keras 3."""

import numpy as np
import pytest
from clients.reference import COUNTS
from clients.table import of
from clients.tf_hub.steps import RATE, assert_moved, assert_step

pytestmark = pytest.mark.parametrize("environment", ["tf-oldest", "tf-newest"], indirect=True)

versions = pytest.mark.parametrize("version", [4, 5], scope="module")
# Programs of `handles` fit version 4 in any case.
slow_4 = pytest.mark.parametrize(
    "version", [pytest.param(4, marks=pytest.mark.slow), 5], scope="module"
)

MOMENTUM = 0.75
# Keras 3 can't give another.
DEFAULT_MOMENTUM = 0.99


@pytest.fixture(scope="module")
def given(version, network, module, batches):
    """Return the arguments that every program takes."""
    return {
        "module": module(*network, version),
        "images": batches(version),
        "momentum": MOMENTUM,
        "rate": RATE,
        "signature": f"image_{network[1]}_with_bn_hparams",
    }


@pytest.fixture(scope="module")
def outputs(slim, network, batches):
    """The one output of the module, by batch, and all of its outputs."""
    found = slim(*network).outputs(5, batches(5))
    main = {batch: found[f"{batch} image_{network[1]}:default"] for batch in batches(5)}
    return main, found


@pytest.mark.client("hub.load", "calls, training=True, moving averages, losses")
@versions
def test_calls(run, given, row, network, slim, outputs, batches):
    """Called, with or without end points, it gives what Slim gives; in training, it moves its averages."""
    loaded = run("hub_load_calls", **given)
    row.saw(loaded)
    main, every = outputs
    expected = {f"{batch} call": output for batch, output in main.items()}
    for batch in main:
        of_task = of(every, f"{batch} image_{network[1]}:")
        expected |= {f"{batch} endpoints:{key}": output for key, output in of_task.items()}
    row.compare({key: loaded.arrays[key] for key in expected}, expected)
    assert loaded.facts["trainable"] == COUNTS[network][3]

    reference, images = slim(*network, training=True), batches(5)["first"]
    outputs = reference.outputs(5, {"first": images})
    outputs = of(outputs, f"first image_{network[1]}_with_bn_hparams:")
    points = {key: output for key, output in outputs.items() if not is_random(key, network)}
    assert len(points) >= 16
    row.compare({key: loaded.arrays[f"training {key}"] for key in points}, points)
    statistics = reference.statistics(images)
    for times, prefix in ((1, "once "), (2, "twice ")):
        after = of(loaded.arrays, prefix)
        assert_moved(row, reference.weights, after, statistics, momentum=MOMENTUM**times)
        weights = {name: reference.weights[name] for name in reference.trainable}
        row.compare({name: after[name] for name in weights}, weights, tolerance=0)
    losses = np.sort(loaded.arrays["losses"])
    row.compare({"losses": losses}, {"losses": np.sort(reference.losses())})


def is_random(key, network):
    """Whether an output is behind dropout."""
    return network[1] == "classification" and (
        key == "default" or key.endswith(("/Logits", "/Predictions"))
    )


@pytest.mark.client("hub.KerasLayer", "predict, fit, losses, save and load, by a URL of make serve")
@slow_4
def test_keras_layer(fetch, given, row, network, slim, outputs, batches):
    """A model predicts and trains as Slim does, with its losses, and is saved."""
    result = fetch("keras_layer_train", **given)
    row.saw(result)
    main, _ = outputs
    row.compare({batch: result.arrays[f"{batch} before"] for batch in main}, main)
    losses, expected = np.sort(result.arrays["losses"]), np.sort(slim(*network).losses())
    row.compare({"losses": losses}, {"losses": expected})
    assert len(losses) == COUNTS[network][1]
    assert_fitted(result, row, network, slim, batches, momentum=MOMENTUM, regularized=True)
    row.compare({"saved": result.arrays["saved"]}, {"saved": result.arrays["after"]})


@pytest.mark.client("keras.layers.TFSMLayer", "predict, serving_default, fit")
@slow_4
def test_tfsm_layer(run, given, row, version, network, slim, outputs, batches):
    """A model predicts and trains as Slim does, without its L2 losses; so does `serving_default`, if it has one."""
    served = version == 5
    result = run("tfsm_layer", served=served, **given)
    row.saw(result)
    main, _ = outputs
    for what in ("before", *["serving"] * served):
        row.compare({batch: result.arrays[f"{batch} {what}"] for batch in main}, main)
    assert_fitted(result, row, network, slim, batches, momentum=DEFAULT_MOMENTUM, regularized=False)


def assert_fitted(result, row, network, slim, batches, *, momentum, regularized):
    """One step of `fit` moves weights and averages of the checkpoint, and what is predicted, as Slim's would."""
    reference, images = slim(*network, training=True), batches(5)["first"]
    # Keras 3.15 makes slashes in names underscores.
    names = {name.replace("/", "_"): name for name in reference.weights}
    before, after = (
        {
            names[name.replace("/", "_")]: weight
            for name, weight in of(result.arrays, prefix).items()
        }
        for prefix in ("old ", "new ")
    )
    row.compare(before, reference.weights, tolerance=0)
    assert result.facts["trainable"] == COUNTS[network][3]
    assert_moved(row, before, after, reference.statistics(images), momentum=momentum)
    if network[1] == "feature_vector":
        expected = reference.step(images, rate=RATE, regularized=regularized)
        assert_step(before, after, expected)
    # Dropout's random numbers decide how far; that all move is left.
    assert all((after[name] != before[name]).any() for name in reference.trainable)
    with slim(*network).holding(after):
        outputs = slim(*network).outputs(5, {"first": images})
    expected = outputs[f"first image_{network[1]}:default"]
    row.compare({"after": result.arrays["after"]}, {"after": expected})
