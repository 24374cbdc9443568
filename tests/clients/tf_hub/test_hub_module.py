"""`hub.Module`: the API of TensorFlow 1, in the first and the last releases that still matter."""

import dataclasses

import numpy as np
import pytest
from clients.reference import COUNTS
from clients.table import of
from clients.tf_hub.steps import RATE, assert_moved, assert_step

pytestmark = pytest.mark.parametrize("environment", ["tf-1.15", "tf-2.15"], indirect=True)

END_POINTS = {"inception_v1": 17, "inception_v2": 16}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Given:
    """A network, a version of its module, and what a step is taken with."""

    network: tuple[str, str]
    version: int

    @property
    def momentum(self) -> float:
        # That of version 1 can't be set.
        return 0.9997 if self.version == 1 else 0.75

    @property
    def signatures(self) -> set[str]:
        """The named ones."""
        tasks = {"feature_vector", self.network[1]}
        endings = ("",) if self.version == 1 else ("", "_with_bn_hparams")
        return {f"image_{task}{ending}" for task in tasks for ending in endings}


@pytest.fixture(scope="module", params=[1, 3])
def given(request, network):
    return Given(network=network, version=request.param)


@pytest.fixture(scope="module")
def path(given, module):
    return module(*given.network, given.version)


@pytest.fixture(scope="module")
def inferred(fetch, given, path, batches):
    return fetch("hub_module", module=path, images=batches(given.version))


@pytest.fixture(scope="module")
def images(given, batches):
    """The pictures of a step, others for the second application, and some for what was exported."""
    found = batches(given.version)
    other = found["first" if given.version == 1 else "second"]
    return {"step": found["first"], "again": other[::-1, ::-1].copy(), "exported": other}


@pytest.fixture(scope="module")
def trained(run, given, path, images):
    plain = f"image_{given.network[1]}"
    settable = given.version > 1
    return run(
        "hub_module_train",
        module=path,
        images=images,
        signature=plain + settable * "_with_bn_hparams",
        plain_signature=plain,
        momentum=given.momentum if settable else None,
        rate=RATE,
    )


@pytest.fixture
def reference(slim, given):
    """Slim's graph in training."""
    return slim(*given.network, training=True)


@pytest.mark.client("hub.Module", "signature names, infos, image size")
def test_interface(inferred, row, given):
    """Both tag sets have the signatures of the version, with the inputs and outputs of their kind."""
    row.saw(inferred)
    assert set(inferred.facts["at_inference"]) == {"default"} | given.signatures
    assert inferred.facts["in_training"] == inferred.facts["at_inference"]
    assert inferred.facts["image_size"] == [224, 224]
    size = 224 if given.version == 1 else None
    images = {"images": ["float32", [None, size, size, 3]]}
    with_momentum = images | {"batch_norm_momentum": ["float32", []]}
    for name, infos in inferred.facts["at_inference"].items():
        inputs, outputs = infos["inputs"], infos["outputs"]
        assert inputs == (with_momentum if name.endswith("_with_bn_hparams") else images)
        classifies = "classification" in (name if name != "default" else given.network[1])
        assert outputs["default"] == ["float32", [None, 1001 if classifies else 1024]]
        count = 0 if name == "default" else END_POINTS[given.network[0]] + 2 * classifies
        assert len(outputs) == 1 + count


@pytest.mark.client("hub.Module", "inference, by a URL of make serve")
def test_inference(inferred, row, given, slim, batches):
    """Every output of every signature is that of Slim, and nothing is there to be updated."""
    row.saw(inferred)
    expected = slim(*given.network).outputs(given.version, batches(given.version))
    row.compare(inferred.arrays, expected)
    assert inferred.facts["update_ops"] == 0


@pytest.mark.client("hub.Module", "counts of updates, losses and variables; losses")
def test_losses(trained, row, given, reference):
    """In training there are two updates a batch norm, and Slim's losses and variables."""
    row.saw(trained)
    facts, (norms, losses, variables, trainable) = trained.facts, COUNTS[given.network]
    assert (facts["updates"], facts["losses"]) == (2 * norms, losses)
    # Those of two applications of the module.
    assert (facts["variables"], facts["trainable"]) == (variables, trainable)
    actual, expected = np.sort(trained.arrays["losses"]), np.sort(reference.losses())
    row.compare({"losses": actual}, {"losses": expected})


@pytest.mark.client("hub.Module", "output in training, an optimizer step, two applications")
def test_step(trained, row, given, reference, images):
    """Both applications in training give Slim's output, and a step between moves weights as Slim's gradients do."""
    row.saw(trained)
    noise = of(trained.arrays, "noise ")
    before, after = of(trained.arrays, "before "), of(trained.arrays, "after ")
    row.compare(before, reference.weights, tolerance=0)
    for batch, weights in (("step", {}), ("again", after)):
        with reference.holding(weights):
            outputs = reference.outputs(given.version, {batch: images[batch]}, noise=noise or None)
        expected = outputs[f"{batch} image_{given.network[1]}:default"]
        row.compare({batch: trained.arrays[batch]}, {batch: expected})
    expected = reference.step(images["step"], rate=RATE, noise=noise.get("step"))
    assert_step(before, after, expected)


@pytest.mark.client("hub.Module", "moving averages")
def test_averages(trained, row, given, reference, images):
    """A step moves each moving average once, to the exact mixture of it and the batch's statistic."""
    row.saw(trained)
    statistics = reference.statistics(images["step"])
    assert len(statistics) == 2 * COUNTS[given.network][0]
    after = of(trained.arrays, "after ")
    assert_moved(row, reference.weights, after, statistics, momentum=given.momentum)


@pytest.mark.client("hub.Module", "export of a fine-tuned module")
def test_export(trained, row, given, slim, images):
    """An export after a step of training is a module with the outputs of Slim with the weights after it."""
    row.saw(trained)
    assert set(trained.facts["signatures"]) == {"default"} | given.signatures
    assert trained.facts["image_size"] == [224, 224]
    reference = slim(*given.network)
    with reference.holding(of(trained.arrays, "after ")):
        outputs = reference.outputs(given.version, {"exported": images["exported"]})
    plain = f"exported image_{given.network[1]}:"
    row.compare(of(trained.arrays, "exported "), of(outputs, plain))
