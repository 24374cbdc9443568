"""The promise of each version, as the original modules kept it."""

import dataclasses

import pytest
from stem import VGG_STEM

from slimhub.signatures.contract import contract, formats
from slimhub.signatures.contract.network import NetworkInterface, TensorSpec
from slimhub.signatures.module.module import Module

TASKS = ("classification", "feature_vector")
# Tensor names and sizes of Inception V1 that users' scripts know, with two of its end points.
FEATURES = TensorSpec(name="hub_output/feature_vector/SpatialSqueeze:0", shape=(None, 1024))
LOGITS = TensorSpec(name="InceptionV1/Logits/SpatialSqueeze:0", shape=(None, 1001))
PREDICTIONS = TensorSpec(name="InceptionV1/Logits/Predictions/Softmax:0", shape=(None, 1001))
END_POINTS = {
    "InceptionV1/Mixed_5c": TensorSpec(
        name="InceptionV1/InceptionV1/Mixed_5c/concat:0", shape=(None, None, None, 1024)
    ),
    "InceptionV1/global_pool": TensorSpec(
        name="InceptionV1/Logits/global_pool:0", shape=(None, 1, 1, 1024)
    ),
}
MOMENTUM = TensorSpec(name="hub_input/batch_norm_momentum:0", shape=())
# Outputs of the named signatures.
VECTOR = {"default": FEATURES, **END_POINTS}
CLASSES = {
    "default": LOGITS,
    **END_POINTS,
    "InceptionV1/Logits": LOGITS,
    "InceptionV1/Predictions": PREDICTIONS,
}
NAMED = {
    "feature_vector": {"image_feature_vector": VECTOR},
    "classification": {"image_feature_vector": VECTOR, "image_classification": CLASSES},
}
MAIN = {"feature_vector": FEATURES, "classification": LOGITS}


def interface(task):
    head = task == "classification"
    return NetworkInterface(
        scope="InceptionV1",
        image_size=(224, 224),
        min_image_size=(1, 1),
        input_scale=2.0,
        input_offsets=(1.0,),
        batch_norm_decay=0.9997,
        weight_decay=0.00004,
        num_batch_norms=57,
        num_regularization_losses=58 if head else 57,
        num_variables=230 if head else 228,
        num_trainable_variables=116 if head else 114,
        num_parameters=6_633_209 if head else 5_607_184,
        random_in_training=(),
        feature_vector=FEATURES,
        logits=LOGITS if head else None,
        predictions=PREDICTIONS if head else None,
        end_points=END_POINTS,
    )


def promise(version, task):
    return contract.promise(version=version, task=task, interface=interface(task))


def signatures(mode):
    """Return inputs and outputs of the signatures of a mode, by name."""
    return {one.name: (one.inputs, one.outputs) for one in mode.signatures}


def expected_signatures(version, task):
    """Return those of inference, and those that take the momentum."""
    size = 224 if version == 1 else None
    images = TensorSpec(name="hub_input/images:0", shape=(None, size, size, 3), dtype="float32")
    given = {"images": images}
    plain = {name: (given, outputs) for name, outputs in NAMED[task].items()}
    if version == 5:
        main = "logits" if task == "classification" else "feature_vector"
        plain["serving_default"] = {"inputs": images}, {main: MAIN[task]}
    else:
        plain["default"] = given, {"default": MAIN[task]}
    given = {**given, "batch_norm_momentum": MOMENTUM}
    return plain, {
        f"{name}_with_bn_hparams": (given, outputs) for name, outputs in NAMED[task].items()
    }


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
            outputs=NAMED[task][f"image_{task}"] if endpoints else main,
            gives_dictionary=endpoints,
        )

    alone = contract.Call(function=function, defaults={}, arguments={}, outputs=main)
    found = promise(5, task).modes[index].calls
    assert found == (call(False), call(True), alone)
    assert list(found[0].defaults) == list(defaults)
    assert [one.takes_momentum for one in found] == [True, True, False]
    assert found[1].name == f"__call__(training={training}, return_endpoints=True)"


@pytest.mark.parametrize("version", contract.VERSIONS)
def test_no_batch_norm(family, version):
    """Without batch norm, nothing is promised that sets a momentum."""
    record = Module(family(VGG_STEM.name, "classification", 3)).provenance
    found = contract.promise(version=version, task=record.task, interface=record.interface)
    assert (found.momentum, found.momentum_input) == (None, None)
    assert list(found.network_inputs) == ["images"]
    for mode in found.modes:
        assert not any("bn_hparams" in one.name for one in mode.signatures)
        assert not any(one.takes_momentum for one in (*mode.signatures, *mode.calls))


@pytest.mark.parametrize("version", [0, 2, 4, "3"])
def test_no_such_version(version):
    """A version without a contract is a ValueError that names those with one."""
    with pytest.raises(ValueError, match=f"version: expected one of 1, 3, 5, got {version!r}"):
        promise(version, "feature_vector")


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("name", ["logits", "predictions"])
def test_interface_of_the_other_task(task, name):
    """Logits and predictions belong to classification, both of them and only there."""
    other = LOGITS if task == "feature_vector" else None
    wrong = dataclasses.replace(interface(task), **{name: other})
    with pytest.raises(ValueError, match=rf"interface\.{name}: "):
        contract.promise(version=3, task=task, interface=wrong)


@pytest.mark.xdist_group("inception_v1-3")
def test_names_in_a_real_module(module):
    """A real module promises the tensors by which users' scripts know the original."""
    found = Module(module("inception_v1", "classification", 3)).provenance.interface
    assert END_POINTS.items() <= found.end_points.items()
    assert len(found.end_points) == 17
    expected = dataclasses.asdict(interface("classification"))
    same = {"logits", "feature_vector", *(name for name in expected if "num_" in name)}
    assert {name: dataclasses.asdict(found)[name] for name in same} == {
        name: expected[name] for name in same
    }
    assert found.predictions.shape == (None, 1001)
