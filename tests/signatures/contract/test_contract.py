"""The promise of each version, as the original modules kept it."""

import dataclasses

import pytest
from stem import VGG_STEM

from slimhub.signatures.contract import contract, formats, network
from slimhub.signatures.contract.network import TensorSpec

TASKS = ("classification", "feature_vector")
# Tensor names and sizes of Inception V1 that users' scripts know, with two of its end points.
FEATURES = TensorSpec(name="hub_output/feature_vector/SpatialSqueeze:0", shape=(None, 1024))
LOGITS = TensorSpec(name="InceptionV1/Logits/SpatialSqueeze:0", shape=(None, 1001))
PREDICTIONS = TensorSpec(name="InceptionV1/Logits/Predictions/Reshape_1:0", shape=(None, 1001))
MOMENTUM = TensorSpec(name="hub_input/batch_norm_momentum:0", shape=())
MAIN = {"feature_vector": FEATURES, "classification": LOGITS}


def end_points(version):
    size = 7 if version == 1 else None
    return {
        "InceptionV1/Mixed_5c": TensorSpec(
            name="InceptionV1/InceptionV1/Mixed_5c/concat:0", shape=(None, size, size, 1024)
        ),
        "InceptionV1/global_pool": TensorSpec(
            name="InceptionV1/Logits/global_pool:0", shape=(None, 1, 1, 1024)
        ),
    }


def named_outputs(version, task):
    """Return outputs of the named signatures, by name and key."""
    named = {"image_feature_vector": {"default": FEATURES, **end_points(version)}}
    if task == "classification":
        named["image_classification"] = {
            "default": LOGITS,
            **end_points(version),
            "InceptionV1/Logits": LOGITS,
            "InceptionV1/Predictions": PREDICTIONS,
        }
    return named


def promise(version, task, **changes):
    frozen = network.get("inception_v1")
    two = {key: frozen.end_points[key] for key in end_points(version)}
    two_of_its = dataclasses.replace(frozen, end_points=two)
    return contract.promise(version=version, task=task, network=two_of_its, **changes)


def signatures(mode):
    """Return inputs and outputs of the signatures of a mode, by name."""
    return {one.name: (one.inputs, one.outputs) for one in mode.signatures}


def expected_signatures(version, task):
    """Return those of inference, and those that take the momentum."""
    size = 224 if version == 1 else None
    images = TensorSpec(name="hub_input/images:0", shape=(None, size, size, 3), dtype="float32")
    given, named = {"images": images}, named_outputs(version, task)
    plain = {name: (given, outputs) for name, outputs in named.items()}
    if version == 5:
        main = "logits" if task == "classification" else "feature_vector"
        plain["serving_default"] = {"inputs": images}, {main: MAIN[task]}
    else:
        plain["default"] = given, {"default": MAIN[task]}
    given = {**given, "batch_norm_momentum": MOMENTUM}
    return plain, {f"{name}_with_bn_hparams": (given, outputs) for name, outputs in named.items()}


@pytest.mark.parametrize("task", TASKS)
def test_version_1(task):
    """Version 1 has one image size, the network's own momentum, and a tag set each for both modes."""
    found = promise(1, task)
    assert found.format is formats.TF1_HUB
    assert (found.momentum, found.momentum_input) == (0.9997, None)
    assert found.image_module_info is None
    plain, _ = expected_signatures(1, task)
    assert_modes_of_tf1(found, plain)


@pytest.mark.parametrize("task", TASKS)
def test_version_3(task):
    """Version 3 takes any image size and the momentum, in both modes; the default size is attached."""
    found = promise(3, task)
    assert found.format is formats.TF1_HUB
    assert (found.momentum, found.momentum_input) == (0.99, MOMENTUM)
    assert found.image_module_info == (224, 224)
    plain, settable = expected_signatures(3, task)
    assert_modes_of_tf1(found, {**plain, **settable})


def assert_modes_of_tf1(found, expected):
    inference, training = found.modes
    assert found.tag_sets == {(): (inference,), ("train",): (training,)}
    assert (inference.training, training.training) == (False, True)
    for mode in found.modes:
        assert signatures(mode) == expected
        assert mode.calls == ()


@pytest.mark.parametrize("task", TASKS)
def test_version_5(task):
    """Version 5 shares the tag `serve`: signatures that take the momentum train, the others don't."""
    found = promise(5, task)
    assert found.format is formats.TF2_SAVED_MODEL
    assert (found.momentum, found.momentum_input) == (0.99, MOMENTUM)
    assert found.image_module_info is None
    inference, training = found.modes
    assert found.tag_sets == {("serve",): (inference, training)}
    assert (inference.training, training.training) == (False, True)
    plain, settable = expected_signatures(5, task)
    assert signatures(inference) == plain
    assert signatures(training) == settable


@pytest.mark.parametrize("task", TASKS)
def test_version_4(task):
    """Version 4 is version 5 without signatures."""
    before, after = promise(4, task), promise(5, task)
    modes = [dataclasses.replace(mode, signatures=()) for mode in after.modes]
    assert before == dataclasses.replace(after, version=4, modes=tuple(modes))


@pytest.mark.parametrize("task", TASKS)
def test_preview(task):
    """Version 4 of the preview for TensorFlow 2 takes images of one size; there was no other that worked."""
    found, other = promise(4, task, prefix="google/tf2-preview"), promise(4, task)
    assert (found.images.shape, other.images.shape) == ((None, 224, 224, 3), (None, None, None, 3))
    assert (found.any_image_size, other.any_image_size) == (False, True)
    assert found.network.end_points["InceptionV1/Mixed_5c"].shape == (None, 7, 7, 1024)
    for mode, same in zip(found.modes, other.modes, strict=True):
        assert [call.name for call in mode.calls] == [call.name for call in same.calls]
    for version in (1, 3, 5):
        with pytest.raises(ValueError, match=f"version: expected one of 4, got {version}"):
            promise(version, task, prefix="google/tf2-preview")


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(("index", "function"), [(0, "serve"), (1, "train")])
def test_calls(task, index, function):
    """The object is called with or without end points, or as Keras 3 does, with images alone."""
    defaults = {"training": False, "return_endpoints": False, "batch_norm_momentum": 0.99}
    main, training = {"default": MAIN[task]}, bool(index)

    def call(endpoints):
        return contract.Call(
            function="__call__",
            defaults=defaults,
            arguments={"training": training, "return_endpoints": endpoints},
            outputs=named_outputs(5, task)[f"image_{task}"] if endpoints else main,
            gives_dictionary=endpoints,
        )

    alone = contract.Call(function=function, defaults={}, arguments={}, outputs=main)
    found = promise(5, task).modes[index].calls
    assert found == (call(False), call(True), alone)
    assert list(found[0].defaults) == list(defaults)
    assert [one.takes_momentum for one in found] == [True, True, False]
    assert found[1].name == f"__call__(training={training}, return_endpoints=True)"


@pytest.mark.parametrize("version", contract.VERSIONS)
def test_no_batch_norm(version):
    """Without batch norm, nothing is promised that sets a momentum."""
    found = contract.promise(
        version=version, task="classification", network=network.get(VGG_STEM.name)
    )
    assert (found.momentum, found.momentum_input) == (None, None)
    assert list(found.network_inputs) == ["images"]
    for mode in found.modes:
        assert not any("bn_hparams" in one.name for one in mode.signatures)
        assert not any(one.takes_momentum for one in (*mode.signatures, *mode.calls))


@pytest.mark.parametrize("version", [0, 2, 6, "3"])
def test_no_such_version(version):
    """A version without a contract is a ValueError that names those with one."""
    with pytest.raises(ValueError, match=f"version: expected one of 1, 3, 4, 5, got {version!r}"):
        promise(version, "feature_vector")


@pytest.mark.parametrize("version", contract.VERSIONS)
def test_other_classes(version):
    """Logits and predictions have as many classes as the module has; without a number, those of the contract."""
    keys = ("default", "InceptionV1/Logits", "InceptionV1/Predictions")
    for num_classes, expected in ((7, 7), (None, 1001)):
        for mode in promise(version, "classification", num_classes=num_classes).modes:
            for signature in mode.signatures:
                if signature.name.startswith("image_classification"):
                    assert {signature.outputs[key].shape for key in keys} == {(None, expected)}


def test_no_classes():
    """A network without a classification layer has no contract for classification."""
    headless = network.get("inception_v1").without_head()
    for num_classes in (None, 7):
        with pytest.raises(ValueError, match="InceptionV1 has no classification layer"):
            contract.promise(
                version=3, task="classification", network=headless, num_classes=num_classes
            )
    found = contract.promise(version=3, task="feature_vector", network=headless, num_classes=7)
    assert found == contract.promise(
        version=3, task="feature_vector", network=network.get("inception_v1")
    )


def test_no_such_task():
    """A task without a contract is a ValueError that names those with one."""
    with pytest.raises(ValueError, match="task: expected one of classification, feature_vector"):
        promise(3, "detection")
