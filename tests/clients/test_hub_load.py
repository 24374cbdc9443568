"""`hub.load` and `hub.KerasLayer` of TensorFlow 2, with modules of the TF1 Hub format."""

import pytest

pytestmark = pytest.mark.parametrize("environment", ["tf-oldest", "tf-newest"], indirect=True)


@pytest.mark.client("hub.load", "signatures")
@pytest.mark.parametrize("version", [1, 3])
def test_signatures(run, row, slim, network, module, batches, version):
    """Every signature of a module of the TF1 Hub format gives what Slim gives."""
    images = batches(version)
    result = run("hub_load", module=module(*network, version), images=images, momentum=0.5)
    row.saw(result)
    row.compare(result.arrays, slim(*network).outputs(version, images))


@pytest.mark.client("hub.KerasLayer", "signatures, in a model and by itself")
@pytest.mark.parametrize("version", [1, 3])
def test_keras_layer(run, row, slim, network, module, batches, version):
    """Every signature without a momentum that a `hub.KerasLayer` takes gives what Slim gives."""
    images = batches(version)
    tasks = sorted({"feature_vector", network[1]})
    result = run(
        "keras_layer",
        module=module(*network, version),
        images=images,
        signatures=[f"image_{task}" for task in tasks],
    )
    row.saw(result)
    # Version 1 has no others.
    row.compare(result.arrays, slim(*network).outputs(1, images))
