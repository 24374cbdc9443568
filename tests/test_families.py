"""Modules of networks that are no Inceptions keep their contract; broken ones are found."""

import numpy as np
import pytest
from stem import RESNET_STEM, STEM, STEMS, VGG_STEM, breakage, broken_copy, node
from surgery import inside, network, set_const

from slimhub.signatures import conformance, contract, running
from slimhub.signatures.images import ImagesError, check
from slimhub.signatures.module import Module
from slimhub.signatures.saved_objects import Wiring

pytestmark = pytest.mark.xdist_group("families")

RESNET, VGG = RESNET_STEM.name, VGG_STEM.name
SLOW = pytest.mark.slow
# What other tests of this group export anyhow, and the others.
QUICK = [
    (RESNET, "feature_vector", 3),
    (RESNET, "feature_vector", 5),
    (VGG, "feature_vector", 3),
    (VGG, "feature_vector", 5),
    (VGG, "classification", 3),
]
EVERY = [
    pytest.param(*one, marks=() if one in QUICK else SLOW)
    for one in (
        (name, task, version)
        for name in STEMS
        for task in contract.TASKS
        for version in contract.VERSIONS
    )
]
# Of a channel, another than 103.94.
OFFSETS = [123.68, 116.78, 100.0]


@pytest.mark.parametrize(("name", "task", "version"), EVERY)
def test_good_module(family, name, task, version):
    """A module of every family passes every check."""
    report = conformance.check(family(name, task, version))
    assert report.failed == ()
    prefix = "google/imagenet" if name == STEM.name else "slim/imagenet"
    assert report.handle == f"{prefix}/{name}/{task}/{version}"


@pytest.mark.parametrize("version", contract.VERSIONS)
def test_no_batch_norm(family, version):
    """Without batch norm, nothing is promised that sets a momentum, and nothing that updates averages."""
    record = Module(family(VGG, "classification", 3)).provenance
    promise = contract.promise(version=version, task=record.task, interface=record.interface)
    assert (promise.momentum, promise.momentum_input) == (None, None)
    assert list(promise.network_inputs) == ["images"]
    for mode in promise.modes:
        assert not any("bn_hparams" in one.name for one in mode.signatures)
        assert not any(one.takes_momentum for one in (*mode.signatures, *mode.calls))


def test_dropout(family, images):
    """VGG's {train} draws anew what is behind its first dense layer, and nothing before."""
    batch = images(2, *VGG_STEM.image_size)
    with running.load(family(VGG, "feature_vector", 3), tags=("train",)) as module:
        first, second = (module.run(batch)["image_feature_vector"] for _ in range(2))
        assert list(module.collection("update_ops")) == []
    same = {key for key in first if np.array_equal(first[key], second[key])}
    random = {f"{VGG}/{layer}" for layer in ("fc7", "global_pool")}
    assert first.keys() - same == {"default", *random}


@pytest.mark.parametrize("size", [(27, 28), (28, 27), (1, 1)])
def test_small_images(family, size):
    """Images smaller than the smallest are refused with both sizes, before a module gets them."""
    promise = Module(family(VGG, "feature_vector", 3)).provenance.promise()
    says = f"the size is {size[0]} x {size[1]}, the smallest is 28 x 28"
    with pytest.raises(ImagesError, match=says):
        check(np.zeros([1, *size, 3], np.float32), promise=promise)
    check(np.zeros([1, 28, 29, 3], np.float32), promise=promise)


def without_dropout(m):
    """The second dense layer reads the first one itself."""
    node(m.train, f"{VGG}/fc7/Conv2D").input[0] = f"{VGG}/fc6/Relu"


def without_dropout_in_functions(m):
    for function in Wiring(m.infer).networks().values():
        inside(function, f"{VGG}/fc7/Conv2D").input[0] = f"{VGG}/fc6/Relu:activations:0"


def always_dropout(m):
    """At inference, too: the graph is that of training."""
    m.infer.graph_def.CopyFrom(m.train.graph_def)


def settable_momentum(m):
    signatures = m.infer.signature_def
    signatures["image_feature_vector_with_bn_hparams"].CopyFrom(signatures["image_feature_vector"])


BREAKAGES = {
    "no_dropout": (
        (VGG, 3),
        breakage(without_dropout, f"{VGG}/fc7: run twice on the same images, expected", "dropout"),
    ),
    "no_dropout_in_functions": (
        (VGG, 5),
        breakage(without_dropout_in_functions, "expected dropout to act on it", "dropout"),
    ),
    "dropout_at_inference": (
        (VGG, 3),
        breakage(always_dropout, "{} has 1 of the operation RandomUniform", "operations"),
    ),
    "momentum_of_nothing": (
        (VGG, 3),
        breakage(settable_momentum, "_with_bn_hparams", "signature-names"),
    ),
    "updates_of_nothing": (
        (VGG, 3),
        breakage(
            lambda m: m.train.collection_def["update_ops"].node_list.value.append(
                f"{VGG}/fc7/Relu"
            ),
            "{train}: expected 0, got 1",
            "update-ops",
        ),
    ),
    "one_offset": (
        (RESNET, 3),
        breakage(
            lambda m: set_const(node(m.train, "hub_input/Sub/y"), OFFSETS),
            "{train}: expected 255 * images - (123.68, 116.78, 103.94), got",
            "image-range",
        ),
    ),
    "one_offset_in_functions": (
        (RESNET, 5),
        breakage(
            lambda m: set_const(inside(network(m, training=True), "hub_input/Sub/y"), OFFSETS),
            "hub_input/Sub: expected the constant [123.68 116.78 103.94], got [123.68 116.78 100.",
            "image-range",
        ),
    ),
}


@pytest.mark.parametrize(("of", "how"), BREAKAGES.values(), ids=BREAKAGES)
def test_breakage(family, tmp_path, of, how):
    """A module that is broken in a way of its family fails the checks of that, and no others."""
    (name, version), (change, says, failed) = of, how
    good = family(name, "feature_vector", version)
    report = conformance.check(broken_copy(good, tmp_path / str(version), change))
    found = {result.id: result.problems for result in report.failed}
    assert found.keys() == set(failed)
    assert says in "\n".join(found[failed[0]])
