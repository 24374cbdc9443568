"""`hub.Module`: the API of TensorFlow 1, in the first and the last releases that still matter."""

import dataclasses

import numpy as np
import pytest
from clients.reference import COUNTS, distance, is_average, moved, within
from clients.table import of

from slimhub.export.parity import difference

pytestmark = pytest.mark.parametrize("environment", ["tf-1.15", "tf-2.15"], indirect=True)

END_POINTS = {"inception_v1": 17, "inception_v2": 16}
# Large, as the smallest steps would else be lost in the digits of their weights.
RATE = 1.0
# Of the length of a step; a weight that does not move has 1.
STEP_TOLERANCE = 0.25


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
def inferred(run, given, path, batches):
    return run("hub_module", module=path, images=batches(given.version))


@pytest.fixture(scope="module")
def images(given, batches):
    """The pictures of a step, others for the second application, and some for what was exported."""
    found = batches(given.version)
    other = found["224" if given.version == 1 else "160"]
    return {"step": found["224"], "again": other[::-1, ::-1].copy(), "exported": other}


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


@pytest.mark.client("hub.Module", "signature names")
def test_signatures(inferred, row, given):
    """Both tag sets have the same signatures, which are those of the version."""
    row.saw(inferred)
    assert set(inferred.facts["at_inference"]) == {"default"} | given.signatures
    assert inferred.facts["in_training"] == inferred.facts["at_inference"]


@pytest.mark.client("hub.Module", "infos")
def test_infos(inferred, row, given):
    """Every signature has the inputs and outputs of its kind, with their types and shapes."""
    row.saw(inferred)
    size = 224 if given.version == 1 else None
    for name, infos in inferred.facts["at_inference"].items():
        inputs, outputs = infos["inputs"], infos["outputs"]
        momentum = {"batch_norm_momentum": ["float32", []]}
        images = {"images": ["float32", [None, size, size, 3]]}
        assert inputs == (images | momentum if name.endswith("_with_bn_hparams") else images)
        classifies = "classification" in (name if name != "default" else given.network[1])
        assert outputs["default"] == ["float32", [None, 1001 if classifies else 1024]]
        count = 0 if name == "default" else END_POINTS[given.network[0]] + 2 * classifies
        assert len(outputs) == 1 + count


@pytest.mark.client("hub.Module", "image size")
def test_image_size(inferred, row):
    """The expected image size is that of the network, in version 1 by the shape of its input."""
    row.saw(inferred)
    assert inferred.facts["image_size"] == [224, 224]


@pytest.mark.client("hub.Module", "inference")
def test_inference(inferred, row, given, slim, batches):
    """Every output of every signature is that of Slim, and nothing is there to be updated."""
    row.saw(inferred)
    expected = slim(*given.network).outputs(given.version, batches(given.version))
    row.compare(inferred.arrays, expected)
    assert inferred.facts["update_ops"] == 0


@pytest.mark.client("hub.Module", "counts of updates, losses and variables")
def test_counts(trained, row, given):
    """In training there are two updates a batch norm, and Slim's losses and variables."""
    row.saw(trained)
    facts = trained.facts
    norms, losses, variables, trainable = COUNTS[given.network]
    assert (facts["updates"], facts["losses"]) == (2 * norms, losses)
    assert (facts["variables"], facts["trainable"]) == (variables, trainable)


@pytest.mark.client("hub.Module", "losses")
def test_losses(trained, row, given, slim):
    """The regularization losses are those of Slim."""
    row.saw(trained)
    expected = slim(*given.network, training=True).losses()
    row.compare({"losses": np.sort(trained.arrays["losses"])}, {"losses": np.sort(expected)})


@pytest.mark.client("hub.Module", "output in training")
def test_training(trained, row, given, slim, images):
    """The output in training is Slim's, if dropout draws the same."""
    row.saw(trained)
    noise = of(trained.arrays, "noise ")
    outputs = slim(*given.network, training=True).outputs(
        given.version, {"step": images["step"]}, noise=noise or None
    )
    expected = outputs[f"step image_{given.network[1]}:default"]
    row.compare({"step": trained.arrays["step"]}, {"step": expected})


@pytest.mark.client("hub.Module", "an optimizer step")
def test_step(trained, row, given, slim, images):
    """One step of gradient descent moves every weight, as far as Slim's own gradients do."""
    row.saw(trained)
    reference = slim(*given.network, training=True)
    noise = of(trained.arrays, "noise ").get("step")
    expected = reference.step(images["step"], rate=RATE, noise=noise)
    before, after = of(trained.arrays, "before "), of(trained.arrays, "after ")
    row.compare(before, reference.weights, tolerance=0)
    for name, moved_to in expected.items():
        actual, step = after[name] - before[name], moved_to - before[name]
        assert distance(actual, step) <= STEP_TOLERANCE, name


@pytest.mark.client("hub.Module", "moving averages")
def test_averages(trained, row, given, slim, images):
    """A step moves each moving average once, to the exact mixture of it and the batch's statistic."""
    row.saw(trained)
    reference = slim(*given.network, training=True)
    statistics = reference.statistics(images["step"])
    expected = moved(reference.weights, statistics, momentum=given.momentum)
    after = of(trained.arrays, "after ")
    share = 1 - given.momentum
    row.compare(
        {name: after[name] for name in expected}, expected, tolerance=within(given.momentum)
    )
    assert len(expected) == 2 * COUNTS[given.network][0]
    assert {name for name in after if is_average(name)} == set(expected)
    for name, average in expected.items():
        assert difference(average, reference.weights[name]) > 1e-2 * share, name


@pytest.mark.client("hub.Module", "two applications")
def test_sharing(trained, row, given, slim, images):
    """A second application has the variables of the first, also after a step."""
    row.saw(trained)
    assert trained.facts["variables_of_two"] == COUNTS[given.network][2]
    reference = slim(*given.network, training=True)
    noise = of(trained.arrays, "noise ")
    with reference.holding(of(trained.arrays, "after ")):
        outputs = reference.outputs(given.version, {"again": images["again"]}, noise=noise or None)
    expected = outputs[f"again image_{given.network[1]}:default"]
    row.compare({"again": trained.arrays["again"]}, {"again": expected})


@pytest.mark.client("hub.Module", "export of a fine-tuned module")
def test_export(trained, row, given, slim, images):
    """What is exported after a step is a module, with the outputs of Slim with the weights after it."""
    row.saw(trained)
    assert set(trained.facts["signatures"]) == {"default"} | given.signatures
    assert trained.facts["image_size"] == [224, 224]
    reference = slim(*given.network)
    with reference.holding(of(trained.arrays, "after ")):
        outputs = reference.outputs(given.version, {"exported": images["exported"]})
    plain = f"exported image_{given.network[1]}:"
    row.compare(of(trained.arrays, "exported "), of(outputs, plain))
