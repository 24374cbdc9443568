"""What the builders make is what the frozen contracts say."""

import pytest
from stem import STEMS

from slimhub.export import freeze_contracts
from slimhub.export.writers import slim_graph
from slimhub.models import catalog
from slimhub.signatures.contract import contract, network

MODELS = {model.name: model for model in (*STEMS.values(), *catalog.MODELS)}
FAMILIES = (*STEMS, "inception_v1", "inception_v3", "resnet_v1_50", "resnet_v2_50", "vgg_16")


@pytest.mark.parametrize("name", MODELS)
def test_frozen_contract(name):
    """The builder of every network makes what its frozen contract says, to the byte of the file."""
    assert freeze_contracts.describe(MODELS[name]).to_json() == network.get(name).to_json()


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize(("version", "task"), [(3, "classification"), (1, "feature_vector")])
def test_contract_of_a_module(name, version, task):
    """A graph of any image size, of another number of classes or of none is what the contract derives."""
    num_classes = 7 if task == "classification" else None
    built = slim_graph.build(MODELS[name], version=version, num_classes=num_classes, training=True)
    promise = contract.promise(
        version=version, task=task, network=network.get(name), num_classes=num_classes
    )
    assert slim_graph.describe(MODELS[name], built) == promise.network


def test_catalog():
    """Every network of the catalog has a frozen contract, and is in no other's place."""
    assert set(network.names()) == set(MODELS)
