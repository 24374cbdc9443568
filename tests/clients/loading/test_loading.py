"""Loaders of both TensorFlows, with each tag set: SavedModel's own, `hub.load` and `hub.KerasLayer`."""

import itertools

import pytest
from clients.reference import COUNTS
from clients.table import of

# As `tags`, of each version.
TAG_SETS = {1: [[], ["train"]], 3: [[], ["train"]], 4: [["serve"]], 5: [["serve"]]}
TF2 = ("tf-oldest", "tf-newest")


def pairs(*pairs):
    """Environments, and versions that they can load."""
    return pytest.mark.parametrize(
        ("environment", "version"), pairs, indirect=["environment"], scope="module"
    )


@pytest.fixture(scope="module")
def loaded(environment, run, fetch, module, network, version, batches):
    """The results of all ways to load a module that an environment has."""
    # In a session, there are only signatures, which version 4 has none of.
    ways, running = ["loader"] * (version != 4), run
    if environment.name in TF2:
        ways.append("saved_model")
        # What they fetch, others load from its directory.
        if version < 4:
            ways, running = [*ways, "hub.load", "KerasLayer"], fetch
    return running(
        "load",
        module=module(*network, version),
        images=batches(version),
        ways=ways,
        tag_sets=TAG_SETS[version],
        momentum=0.5,
        keras_signatures=[f"image_{task}" for task in sorted({"feature_vector", network[1]})],
    )


@pytest.fixture
def expected(loaded, slim, network, version, batches):
    """Return Slim's outputs in all modes that are loaded by their tags, keyed as the program does."""
    outputs, noise = {}, of(loaded.arrays, "noise ")
    for mode in ("inference", "training")[: len(TAG_SETS[version])]:
        reference = slim(*network, training=mode == "training")
        drawn = noise if noise and mode == "training" else None
        found = reference.outputs(version, batches(version), noise=drawn)
        outputs |= {f"{mode} {key}": output for key, output in found.items()}
    return outputs


# TensorFlow 1 reads what TensorFlow 2 wrote for it, not its own SavedModels.
@pairs(("tf-1.15", 1), ("tf-1.15", 3), *itertools.product(TF2, (1, 3, 5)))
@pytest.mark.client("tf.compat.v1.saved_model.loader", "every signature of every tag set")
def test_loader(loaded, row, expected):
    """In a session, every signature of each tag set gives what Slim gives, in training too."""
    row.saw(loaded)
    row.compare(of(loaded.arrays, "loader "), expected)


@pairs(*itertools.product(TF2, (1, 3, 4, 5)))
@pytest.mark.client("tf.saved_model.load", "every signature of every tag set, or a call")
def test_load(loaded, row, network, expected):
    """In TensorFlow 2, every signature of each tag set, or a call if there is none, gives what Slim gives, but for its dropout."""
    row.saw(loaded)
    actual = of(loaded.arrays, "saved_model ")
    assert set(actual) == set(expected)
    # Dropout draws here what nobody sees.
    known = {
        key
        for key in expected
        if key.startswith("inference") or not is_random_in_training(key, network)
    }
    row.compare({key: actual[key] for key in known}, {key: expected[key] for key in known})
    assert set(loaded.facts["variables"]) == {COUNTS[network][2]}


def is_random_in_training(key, network):
    """Whether an output of the training mode is random: those of classes are."""
    signature, _, output = key.split(" ")[-1].partition(":")
    if signature == "default":
        signature = f"image_{network[1]}"
    return "classification" in signature and (
        output == "default" or output.endswith(("/Logits", "/Predictions"))
    )


@pairs(*itertools.product(TF2, (1, 3)))
@pytest.mark.client("hub.load", "signatures, by a URL of make serve")
def test_hub_load(loaded, row, expected):
    """Every signature of a module of the TF1 Hub format, by its URL, gives what Slim gives."""
    row.saw(loaded)
    row.compare(of(loaded.arrays, "hub.load inference "), of(expected, "inference "))


@pairs(*itertools.product(TF2, (1, 3)))
@pytest.mark.client(
    "hub.KerasLayer", "signatures, in a model and by itself, by a URL of make serve"
)
def test_keras_layer(loaded, row, slim, network, version, batches):
    """Every signature without a momentum that a `hub.KerasLayer` takes gives what Slim gives."""
    row.saw(loaded)
    # Version 1 has no others.
    expected = slim(*network).outputs(1, batches(version))
    row.compare(of(loaded.arrays, "KerasLayer inference "), expected)
