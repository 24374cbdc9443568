"""signatures/formats.py: the files of each format, and what readers accept in them."""

import pytest

from slimhub.signatures import formats, hub_protos

# Of both formats.
FILES = {
    "saved_model.pb",
    "variables/variables.index",
    "variables/variables.data-00000-of-00001",
    "assets.extra/provenance.json",
}


@pytest.mark.parametrize(
    ("format", "own"),
    [(formats.TF1_HUB, "tfhub_module.pb"), (formats.TF2_SAVED_MODEL, "fingerprint.pb")],
    ids=["tf1", "tf2"],
)
def test_files(format, own):
    """A module is a SavedModel, the file that its format has for itself, and where it came from."""
    assert set(format.files) == FILES | {own}
    assert len(format.files) == len(set(format.files))


def test_operations_of_tf1():
    """In the TF1 Hub format, only `train` may update moving averages and draw random numbers."""
    inference, training = (formats.TF1_HUB.operations[tags] for tags in ((), ("train",)))
    assert inference < training
    assert {"AssignSubVariableOp", "RandomUniform"} <= training - inference


@pytest.mark.parametrize("format", [formats.TF1_HUB, formats.TF2_SAVED_MODEL], ids=["tf1", "tf2"])
def test_no_operation_of_files_or_code(format):
    """No module may read or write files of its own choosing, nor run Python."""
    for allowed in format.operations.values():
        assert allowed.isdisjoint({"ReadFile", "WriteFile", "PyFunc", "EagerPyFunc"})


@pytest.mark.parametrize("format", [formats.TF1_HUB, formats.TF2_SAVED_MODEL], ids=["tf1", "tf2"])
def test_operations_of_every_tag_set(format):
    """A format says for each of its tag sets which operations may be in it."""
    assert set(format.operations) == {rule.tags for rule in format.modes}


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
