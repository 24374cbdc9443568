"""`hub.load` of TensorFlow 2: signatures."""

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
