"""signatures/contract.py: the promise of each version, as the original modules kept it."""

import dataclasses
import types

import pytest

from slimhub.signatures import contract, formats, hub_protos
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
        rescale=(2.0, 1.0),
        batch_norm_decay=0.9997,
        weight_decay=0.00004,
        num_batch_norms=57,
        num_regularization_losses=58 if task == "classification" else 57,
        num_variables=230 if task == "classification" else 228,
        num_trainable_variables=116 if task == "classification" else 114,
        feature_vector=FEATURES,
        logits=LOGITS if task == "classification" else None,
        predictions=PREDICTIONS if task == "classification" else None,
        end_points=types.MappingProxyType(END_POINTS),
    )


def promise(version, task):
    return contract.promise(version=version, task=task, interface=interface(task))


def signatures(version, task):
    return {signature.name: signature for signature in promise(version, task).signatures}


def test_versions():
    """There are versions 1 and 3, and there was never a version 2."""
    assert set(contract.VERSIONS) == {1, 3}


@pytest.mark.parametrize(
    ("version", "task", "names"),
    [
        (1, "feature_vector", {"default", "image_feature_vector"}),
        (1, "classification", {"default", "image_feature_vector", "image_classification"}),
        (
            3,
            "feature_vector",
            {"default", "image_feature_vector", "image_feature_vector_with_bn_hparams"},
        ),
        (
            3,
            "classification",
            {
                "default",
                "image_feature_vector",
                "image_feature_vector_with_bn_hparams",
                "image_classification",
                "image_classification_with_bn_hparams",
            },
        ),
    ],
)
def test_signature_names(version, task, names):
    """A classification module also serves features; version 3 adds batch norm's hyperparameters."""
    found = [signature.name for signature in promise(version, task).signatures]
    assert len(found) == len(set(found))
    assert set(found) == names


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(("version", "size"), [(1, 224), (3, None)])
def test_images(version, task, size):
    """The one input is `images`: float32, of fixed size in version 1 and of any in version 3."""
    expected = TensorSpec(name="hub_input/images:0", shape=(None, size, size, 3), dtype="float32")
    for name, signature in signatures(version, task).items():
        assert signature.inputs["images"] == expected
        momentum = {"batch_norm_momentum"} if name.endswith("_with_bn_hparams") else set()
        assert set(signature.inputs) == {"images"} | momentum


@pytest.mark.parametrize("task", TASKS)
def test_momentum_input(task):
    """`..._with_bn_hparams` takes the momentum, a float32 scalar, and gives what the other gives."""
    found = signatures(3, task)
    for name in set(found) - {"default"}:
        plain = found[name.removesuffix("_with_bn_hparams")]
        settable = found[plain.name + "_with_bn_hparams"]
        assert settable.outputs == plain.outputs
        momentum = settable.inputs["batch_norm_momentum"]
        assert (momentum.dtype, momentum.shape) == ("float32", ())


@pytest.mark.parametrize("version", [1, 3])
def test_outputs_of_feature_vector(version):
    """A feature vector has features and end points, and nothing of a classification."""
    found = signatures(version, "feature_vector")
    assert found["default"].outputs == {"default": FEATURES}
    assert found["image_feature_vector"].outputs == {"default": FEATURES, **END_POINTS}


@pytest.mark.parametrize("version", [1, 3])
def test_outputs_of_classification(version):
    """A classification has logits as `default`, end points, and logits and predictions by name."""
    found = signatures(version, "classification")
    assert found["default"].outputs == {"default": LOGITS}
    assert found["image_feature_vector"].outputs == {"default": FEATURES, **END_POINTS}
    assert found["image_classification"].outputs == {"default": LOGITS, **END_POINTS, **HEAD}


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(("version", "momentum"), [(1, 0.9997), (3, 0.99)])
def test_momentum(version, task, momentum):
    """Version 1 keeps the network's own momentum; version 3 has 0.99 unless it is set."""
    found = promise(version, task)
    assert found.momentum == momentum
    assert (found.momentum_input is not None) == (version == 3)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("version", [1, 3])
def test_tag_sets(version, task):
    """Inference comes first and updates nothing; `train` updates two averages a batch norm."""
    found = promise(version, task).tag_sets
    assert [tag_set.tags for tag_set in found] == [(), ("train",)]
    assert [tag_set.training for tag_set in found] == [False, True]
    assert [tag_set.num_update_ops for tag_set in found] == [0, 114]
    assert [tag_set.label for tag_set in found] == ["{}", "{train}"]


@pytest.mark.parametrize("task", TASKS)
def test_attachment(task):
    """Version 3 has the default image size attached; version 1 predates that."""
    assert promise(1, task).image_module_info is None
    assert promise(3, task).image_module_info == (224, 224)


def test_files():
    """A module is a SavedModel, the marker of its format, and where it came from."""
    assert set(formats.TF1_HUB.files) == {
        "saved_model.pb",
        "variables/variables.index",
        "variables/variables.data-00000-of-00001",
        "tfhub_module.pb",
        "assets.extra/provenance.json",
    }


def test_collections():
    """Collections are those that the TF Hub library accepts."""
    assert set(formats.SUPPORTED_COLLECTIONS) == {
        "variables",
        "trainable_variables",
        "model_variables",
        "table_initializer",
        "update_ops",
        "regularization_losses",
        "asset_filepaths",
        "cond_context",
        "while_context",
        "hub_module_attachments",
    }


def test_messages_of_the_library():
    """The TF Hub library's messages have its fields' numbers and types on the wire."""
    marker = hub_protos.ModuleDef(format=hub_protos.FORMAT_V3)
    assert marker.SerializeToString() == bytes.fromhex("08 03")
    info = hub_protos.ImageModuleInfo(default_image_size={"height": 299, "width": 300})
    assert info.SerializeToString() == bytes.fromhex("0a 06 08 ab 02 10 ac 02")
    attachment = hub_protos.ModuleAttachment(key=hub_protos.IMAGE_MODULE_INFO, value=b"x")
    assert attachment.SerializeToString() == b"\x0a\x11image_module_info\x12\x01x"


@pytest.mark.parametrize("version", [0, 2, 4, "3"])
def test_no_such_version(version):
    """A version without a contract is a ValueError that names those with one."""
    with pytest.raises(ValueError, match=f"version: expected one of 1, 3, got {version!r}"):
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
