"""The operations of each format, and what readers accept in it."""

import pytest

from slimhub.signatures.contract import formats
from slimhub.signatures.module import hub_protos


@pytest.mark.parametrize("format", [formats.TF1_HUB, formats.TF2_SAVED_MODEL], ids=["tf1", "tf2"])
def test_operations(format):
    """Each tag set has its operations, of which none reads or writes a file, or runs Python."""
    assert set(format.operations) == {rule.tags for rule in format.modes}
    for allowed in format.operations.values():
        assert allowed.isdisjoint({"ReadFile", "WriteFile", "PyFunc", "EagerPyFunc"})


def test_operations_of_tf1():
    """In the TF1 Hub format, only `train` may update moving averages and draw random numbers."""
    inference, training = (formats.TF1_HUB.operations[tags] for tags in ((), ("train",)))
    assert inference < training
    assert {"AssignSubVariableOp", "RandomUniform"} <= training - inference


def test_messages_of_the_library():
    """The TF Hub library's messages have its fields' numbers and types on the wire."""
    marker = hub_protos.ModuleDef(format=hub_protos.FORMAT_V3)
    assert marker.SerializeToString() == bytes.fromhex("08 03")
    info = hub_protos.ImageModuleInfo(default_image_size={"height": 299, "width": 300})
    assert info.SerializeToString() == bytes.fromhex("0a 06 08 ab 02 10 ac 02")
    attachment = hub_protos.ModuleAttachment(key=hub_protos.IMAGE_MODULE_INFO, value=b"x")
    assert attachment.SerializeToString() == b"\x0a\x11image_module_info\x12\x01x"
