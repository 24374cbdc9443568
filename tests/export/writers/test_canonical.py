"""Modules of version 5 carry nothing of the process that saved them."""

import pytest
from tensorflow.core.protobuf import saved_model_pb2


@pytest.fixture
def functions(stem):
    content = (stem / "5" / "saved_model.pb").read_bytes()
    [meta_graph] = saved_model_pb2.SavedModel.FromString(content).meta_graphs
    return meta_graph.graph_def.library.function


def test_numbers_of_functions(functions):
    """Functions are numbered from zero, in their order."""
    numbers = [int(function.signature.name.rpartition("_")[2]) for function in functions]
    assert numbers == list(range(len(functions)))


def test_nothing_of_this_process(functions):
    """No argument of a function carries the number of a tensor of the process that wrote it."""
    names = {
        attr.attr["_user_specified_name"].s.decode()
        for function in functions
        for attr in function.arg_attr.values()
        if "_user_specified_name" in attr.attr
    }
    assert {"images", "inputs", "batch_norm_momentum"} <= names
    assert not [name for name in names if name.isdigit()]
