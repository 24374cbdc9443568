"""signatures/contract.py: the promise of each version, as the original modules kept it."""

import dataclasses
import types

import pytest

from slimhub.signatures import contract, formats
from slimhub.signatures.interface import Interface, TensorSpec
from slimhub.signatures.module import Module

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
HEAD = {"InceptionV1/Logits": LOGITS, "InceptionV1/Predictions": PREDICTIONS}
TASKS = ("classification", "feature_vector")


def interface(task):
    return Interface(
        scope="InceptionV1",
        image_size=(224, 224),
        min_image_size=(1, 1),
        input_scale=2.0,
        input_offsets=(1.0,),
        batch_norm_decay=0.9997,
        weight_decay=0.00004,
        num_batch_norms=57,
        num_regularization_losses=58 if task == "classification" else 57,
        num_variables=230 if task == "classification" else 228,
        num_trainable_variables=116 if task == "classification" else 114,
        num_parameters=6_633_209 if task == "classification" else 5_607_184,
        behind_dropout=(),
        feature_vector=FEATURES,
        logits=LOGITS if task == "classification" else None,
        predictions=PREDICTIONS if task == "classification" else None,
        end_points=types.MappingProxyType(END_POINTS),
    )


def promise(version, task):
    return contract.promise(version=version, task=task, interface=interface(task))


def mode(version, task, *, training=False):
    [found] = [mode for mode in promise(version, task).modes if mode.training == training]
    return found


def signatures(version, task, *, training=False):
    found = mode(version, task, training=training).signatures
    assert len({signature.name for signature in found}) == len(found)
    return {signature.name: signature for signature in found}


def test_versions():
    """There are versions 1, 3 and 5; there was never a version 2."""
    assert set(contract.VERSIONS) == {1, 3, 5}


# By version, task, and whether in training.
NAMES = {
    (1, "feature_vector", None): {"default", "image_feature_vector"},
    (1, "classification", None): {"default", "image_feature_vector", "image_classification"},
    (3, "feature_vector", None): {
        "default",
        "image_feature_vector",
        "image_feature_vector_with_bn_hparams",
    },
    (3, "classification", None): {
        "default",
        "image_feature_vector",
        "image_feature_vector_with_bn_hparams",
        "image_classification",
        "image_classification_with_bn_hparams",
    },
    (5, "feature_vector", False): {"serving_default", "image_feature_vector"},
    (5, "classification", False): {
        "serving_default",
        "image_feature_vector",
        "image_classification",
    },
    (5, "feature_vector", True): {"image_feature_vector_with_bn_hparams"},
    (5, "classification", True): {
        "image_feature_vector_with_bn_hparams",
        "image_classification_with_bn_hparams",
    },
}


@pytest.mark.parametrize(
    ("which", "names"), NAMES.items(), ids=lambda p: "-".join(sorted(map(str, p)))
)
def test_signature_names(which, names):
    """A classification also serves features; batch norm's hyperparameters train in version 5."""
    version, task, training = which
    for each in (False, True) if training is None else (training,):
        assert set(signatures(version, task, training=each)) == names


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(("version", "size"), [(1, 224), (3, None), (5, None)])
def test_images(version, task, size, training):
    """Images are float32, of fixed size in version 1 and of any since; their key is `images`, when served `inputs`."""
    expected = TensorSpec(name="hub_input/images:0", shape=(None, size, size, 3), dtype="float32")
    for name, signature in signatures(version, task, training=training).items():
        images = "inputs" if name == "serving_default" else "images"
        assert signature.inputs[images] == expected
        momentum = {"batch_norm_momentum"} if name.endswith("_with_bn_hparams") else set()
        assert set(signature.inputs) == {images} | momentum
        assert signature.takes_momentum == bool(momentum)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("version", [3, 5])
def test_momentum_input(version, task):
    """`..._with_bn_hparams` takes the momentum, a float32 scalar, and gives what the other gives."""
    plain = signatures(version, task)
    found = signatures(version, task, training=True)
    settable = {name for name in found if name.endswith("_with_bn_hparams")}
    assert {name.removesuffix("_with_bn_hparams") for name in settable} == {
        name for name in plain if name.startswith("image_") and name not in settable
    }
    for name in settable:
        assert found[name].outputs == plain[name.removesuffix("_with_bn_hparams")].outputs
        momentum = found[name].inputs["batch_norm_momentum"]
        assert (momentum.dtype, momentum.shape) == ("float32", ())


@pytest.mark.parametrize(
    ("version", "main", "output"),
    [
        (1, "default", "default"),
        (3, "default", "default"),
        (5, "serving_default", "feature_vector"),
    ],
)
def test_outputs_of_feature_vector(version, main, output):
    """A feature vector has features and end points, and nothing of a classification."""
    found = signatures(version, "feature_vector")
    assert found[main].outputs == {output: FEATURES}
    assert found["image_feature_vector"].outputs == {"default": FEATURES, **END_POINTS}


@pytest.mark.parametrize(
    ("version", "main", "output"),
    [(1, "default", "default"), (3, "default", "default"), (5, "serving_default", "logits")],
)
def test_outputs_of_classification(version, main, output):
    """A classification has logits as its main output, end points, and logits and predictions by name."""
    found = signatures(version, "classification")
    assert found[main].outputs == {output: LOGITS}
    assert found["image_feature_vector"].outputs == {"default": FEATURES, **END_POINTS}
    assert found["image_classification"].outputs == {"default": LOGITS, **END_POINTS, **HEAD}


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(("version", "momentum"), [(1, 0.9997), (3, 0.99), (5, 0.99)])
def test_momentum(version, task, momentum):
    """Version 1 keeps the network's own momentum; later ones have 0.99 unless it is set."""
    found = promise(version, task)
    assert found.momentum == momentum
    assert (found.momentum_input is not None) == (version > 1)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("version", [1, 3])
def test_tag_sets(version, task):
    """Inference comes first, then training under the tag `train`, with the same signatures."""
    inference, training = promise(version, task).modes
    assert promise(version, task).tag_sets == {(): (inference,), ("train",): (training,)}
    assert (inference.label, inference.training) == ("{}", False)
    assert (training.label, training.training) == ("{train}", True)
    assert inference.signatures == training.signatures


@pytest.mark.parametrize("task", TASKS)
def test_tag_set_of_version_5(task):
    """Inference and training share the graph with the tag `serve`."""
    inference, training = promise(5, task).modes
    assert promise(5, task).tag_sets == {("serve",): (inference, training)}
    assert (inference.label, inference.training) == ("{serve}", False)
    assert (training.label, training.training) == ("{serve} training", True)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(("training", "function"), [(False, "serve"), (True, "train")])
def test_calls(task, training, function):
    """The object is called with or without end points, or as Keras 3 does, with images alone."""
    main, endpoints, alone = mode(5, task, training=training).calls
    output = {"default": LOGITS if task == "classification" else FEATURES}
    head = HEAD if task == "classification" else {}
    for call, gives_dictionary in ((main, False), (endpoints, True)):
        assert call.function == "__call__"
        assert call.arguments == {"training": training, "return_endpoints": gives_dictionary}
        assert list(call.defaults.items()) == [
            ("training", False),
            ("return_endpoints", False),
            ("batch_norm_momentum", 0.99),
        ]
        assert call.takes_momentum
        assert call.gives_dictionary == gives_dictionary
    assert main.outputs == alone.outputs == output
    assert endpoints.outputs == {**output, **END_POINTS, **head}
    assert (alone.function, alone.arguments, alone.defaults) == (function, {}, {})
    assert not alone.takes_momentum
    assert not alone.gives_dictionary


def test_name_of_a_call():
    """A call is named as people write it."""
    _, endpoints, alone = mode(5, "feature_vector").calls
    assert endpoints.name == "__call__(training=False, return_endpoints=True)"
    assert alone.name == "serve()"


@pytest.mark.parametrize("version", [1, 3])
def test_no_calls(version):
    """What TensorFlow 2 loads from the earlier versions has signatures alone."""
    assert [mode.calls for mode in promise(version, "classification").modes] == [(), ()]


@pytest.mark.parametrize("task", TASKS)
def test_attachment(task):
    """Version 3 has the default image size attached; version 1 predates that, version 5 has no place for it."""
    found = {version: promise(version, task).image_module_info for version in contract.VERSIONS}
    assert found == {1: None, 3: (224, 224), 5: None}


@pytest.mark.parametrize("task", TASKS)
def test_format(task):
    """Version 5 is a SavedModel of TensorFlow 2, the others are modules of TensorFlow 1."""
    found = {version: promise(version, task).format for version in contract.VERSIONS}
    assert found == {1: formats.TF1_HUB, 3: formats.TF1_HUB, 5: formats.TF2_SAVED_MODEL}


@pytest.mark.parametrize("version", [0, 2, 4, "3"])
def test_no_such_version(version):
    """A version without a contract is a ValueError that names those with one."""
    with pytest.raises(ValueError, match=f"version: expected one of 1, 3, 5, got {version!r}"):
        promise(version, "feature_vector")


def test_no_such_task():
    """A task without a contract is a ValueError that names those with one."""
    with pytest.raises(ValueError, match="expected one of classification, feature_vector, got"):
        contract.promise(version=3, task="detection", interface=interface("feature_vector"))


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("name", ["logits", "predictions"])
def test_interface_of_the_other_task(task, name):
    """Logits and predictions belong to classification, both of them and only there."""
    other = LOGITS if task == "feature_vector" else None
    wrong = dataclasses.replace(interface(task), **{name: other})
    with pytest.raises(ValueError, match=rf"interface\.{name}: expected it in"):
        contract.promise(version=3, task=task, interface=wrong)


def test_tensor_type():
    """A type is told with a question mark for any size."""
    assert TensorSpec(name="x:0", shape=(None, 3)).type == "float32 [?, 3]"
    assert TensorSpec(name="x:0", shape=(), dtype="int64").type == "int64 []"


@pytest.mark.xdist_group("inception_v1-3")
def test_names_in_a_real_module(module):
    """A real module promises the tensors by which users' scripts know the original."""
    found = Module(module("inception_v1", "classification", 3)).provenance.promise()
    expected = promise(3, "classification")
    assert found.images == expected.images
    assert found.interface.feature_vector == FEATURES
    assert found.interface.logits == LOGITS
    assert found.interface.predictions.shape == (None, 1001)
    assert END_POINTS.items() <= found.interface.end_points.items()
    assert len(found.interface.end_points) == 17
    for what in ("batch_norms", "regularization_losses", "variables", "trainable_variables"):
        name = f"num_{what}"
        assert getattr(found.interface, name) == getattr(expected.interface, name)
