"""Small members of the families that are not Inceptions: residual blocks, and no batch norm at all."""

import numpy as np
import pytest
from clients.reference import Slim
from stem import RESNET_STEM, VGG_STEM, stem_in_catalog

from slimhub.export.checkpoints import synthetic
from slimhub.signatures.checks.bounds import difference

TASK = "classification"
FAMILIES = pytest.mark.parametrize("network", [RESNET_STEM, VGG_STEM], ids=["resnet", "vgg"])
TF1 = pytest.mark.parametrize("environment", ["tf-1.15", "tf-2.15"], indirect=True)
TF2 = pytest.mark.parametrize("environment", ["tf-oldest", "tf-newest"], indirect=True)


@pytest.fixture(scope="session")
def references(tmp_path_factory):
    """The Slim graph of each at inference, by name."""
    found = {}
    with stem_in_catalog():
        for one in (RESNET_STEM, VGG_STEM):
            path = tmp_path_factory.mktemp("checkpoints") / one.archive.member
            synthetic.write_checkpoint(synthetic.weights(one), path)
            found[one.name] = Slim(one.name, TASK, training=False, checkpoint=path)
    return found


@pytest.fixture(scope="module")
def noise():
    """A function of a network and a version that gives batches of noise, of the sizes that it takes."""

    def get(family, version):
        random, (height, width) = np.random.RandomState(version), family.image_size
        sizes = {"default": (height, width), "larger": (height + 9, width + 16)}
        return {
            name: random.uniform(size=(4, *size, 3)).astype(np.float32)
            for name, size in sizes.items()
            if version > 1 or name == "default"
        }

    return get


@pytest.mark.client("hub.Module", "networks with residual blocks, and without batch norm")
@TF1
@FAMILIES
@pytest.mark.parametrize("version", [1, 3])
def test_hub_module(run, row, family, references, noise, network, version):
    """Every output is Slim's; in training there are updates if there is batch norm, and dropout acts if there is any."""
    batches = noise(network, version)
    result = run("family", module=family(network.name, TASK, version), images=batches)
    row.saw(result)
    everything = references[network.name].outputs(version, batches)
    expected = {key: value for key, value in everything.items() if "_with_bn_hparams:" not in key}
    found = {key: value for key, value in result.arrays.items() if key.split()[0] in batches}
    row.compare(found, expected)
    norms = network.batch_norm.count if network.batch_norm else 0
    facts = result.facts
    settable = any(name.endswith("_with_bn_hparams") for name in facts["signatures"])
    assert settable == (version > 1 and norms > 0)
    assert (facts["updates"], facts["averages"], facts["moved"]) == (2 * norms,) * 3
    assert facts["losses"] == network.num_regularized
    first, second = result.arrays["first"], result.arrays["second"]
    assert (difference(first, second) > 1e-2) == (network.dropout is not None)


@pytest.mark.client("hub.KerasLayer", "networks with residual blocks, and without batch norm")
@TF2
@FAMILIES
@pytest.mark.parametrize("version", [pytest.param(4, marks=pytest.mark.slow), 5])
def test_keras_layer(run, row, family, references, noise, network, version):
    """Every output is Slim's, there is a momentum if there is batch norm, and a few steps of training help."""
    batches = noise(network, version)
    module = family(network.name, TASK, version)
    result = run("family_keras_layer", module=module, images=batches)
    row.saw(result)
    prefix = f"image_{TASK}:"
    everything = references[network.name].outputs(5, batches)
    expected = {
        key.replace(prefix, ""): value for key, value in everything.items() if prefix in key
    }
    row.compare(result.arrays, expected)
    arguments = ["inputs", "training", "return_endpoints"]
    momentum = ["batch_norm_momentum"] if network.batch_norm else []
    assert result.facts["arguments"] == arguments + momentum
    variables, trainable, changed = result.facts["weights"]
    norms = network.batch_norm.count if network.batch_norm else 0
    assert variables == trainable + 2 * norms == changed
    assert result.facts["num_losses"] == network.num_regularized
    before, after = result.facts["losses"]
    assert after < before
