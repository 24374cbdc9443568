"""signatures/saved_objects.py: what a module holds, and how it is wired, read off the small one."""

import pytest
import tensorflow as tf

from slimhub.signatures.contract import BATCH_NORM_MOMENTUM
from slimhub.signatures.module import Module
from slimhub.signatures.saved_objects import Objects, Wiring, given_variables, to_python

FEATURES = "hub_output/feature_vector/SpatialSqueeze"
IMAGES, MOMENTUM = "float32 [?, ?, ?, 3]", BATCH_NORM_MOMENTUM.type
TRAINING = "image_feature_vector_with_bn_hparams"


@pytest.fixture
def module(stem):
    return Module(stem / "5")


@pytest.fixture
def meta_graph(module):
    return module.meta_graphs["serve",]


@pytest.fixture
def objects(meta_graph):
    return Objects(meta_graph)


@pytest.fixture
def wiring(meta_graph):
    return Wiring(meta_graph)


def trains(wiring, source):
    ops = {node.op for node in wiring.networks()[source.function].node_def}
    return "AssignSubVariableOp" in ops


def traced(objects, name):
    """Names of the functions behind that attribute of the object, by their inputs."""
    return {inputs: name for name, inputs, _ in objects.traces(objects.function(name))}


def test_signatures_lead_to_the_network(module, meta_graph, wiring):
    """The outputs of each signature come from the promised tensors, three calls below the main graph."""
    for mode in module.provenance.promise().modes:
        for signature in mode.signatures:
            outputs = meta_graph.signature_def[signature.name].outputs
            for key, spec in signature.outputs.items():
                source = wiring.source(outputs[key].name)
                assert f"{source.node}:0" == spec.name
                assert trains(wiring, source) == mode.training
                assert source.calls[0][0] == ""
                assert len(source.calls) == 3


def test_momentum_of_a_signature(meta_graph, wiring):
    """The momentum of a signature comes from its own placeholder, or else from a constant."""
    given = meta_graph.signature_def[TRAINING].outputs["default"].name
    found = wiring.argument(wiring.source(given), "batch_norm_momentum")
    assert (found.op, found.name) == ("Placeholder", f"{TRAINING}_batch_norm_momentum")
    alone = meta_graph.signature_def["serving_default"].outputs["feature_vector"].name
    found = wiring.argument(wiring.source(alone), "batch_norm_momentum")
    assert found.op == "Const"
    assert tf.make_ndarray(found.attr["value"].tensor) == pytest.approx(0.99)


def test_arguments_of_a_call(objects, wiring):
    """What a call is given is told by the names of its own arguments."""
    for training in (False, True):
        name = traced(objects, "__call__")[IMAGES, training, False, MOMENTUM]
        [source] = wiring.outputs(name)
        assert (source.node, trains(wiring, source)) == (FEATURES, training)
        assert wiring.argument(source, "images") == "inputs"
        assert wiring.argument(source, "batch_norm_momentum") == "batch_norm_momentum"


def test_no_such_argument(objects, wiring):
    """An argument that a function does not have comes from nowhere."""
    [name] = objects.function("serve").concrete_functions
    [source] = wiring.outputs(name)
    assert wiring.argument(source, "labels") is None


def test_source_in_the_main_graph(meta_graph, wiring):
    """What no function makes comes from the main graph, through no calls."""
    source = wiring.source(meta_graph.signature_def["serving_default"].inputs["inputs"].name)
    assert (source.function, source.node, source.calls) == ("", "serving_default_inputs", ())


def test_networks(meta_graph, wiring):
    """Of all functions, two hold the network."""
    assert len(wiring.networks()) == 2 < len(meta_graph.graph_def.library.function)


def test_variables_given(module, meta_graph):
    """Signatures and calls all give a network every variable of the module, once."""
    given = list(given_variables(meta_graph))
    assert {"serving_default", TRAINING} < {name for name, _, _ in given}
    assert len(given) == 3 + 3 + 4 + 2, "signatures in the graph and of the object, and its calls"
    for _, _, names in given:
        assert sorted(names) == sorted(module.variables)


def test_members(module, objects):
    """Members of a list are in its order, and there are none of a list that is not there."""
    assert [node.variable.name for node in objects.members("variables")] == sorted(module.variables)
    assert objects.members("layers") == []


def test_function(objects):
    """Only an attribute that is a function is one."""
    assert objects.function("train").concrete_functions
    assert objects.function("variables") is None
    assert objects.function("predict") is None


def test_traces(objects):
    """The object is traced with every combination of its flags; what comes out is told by its types."""
    flags = {(training, endpoints) for training in (False, True) for endpoints in (False, True)}
    assert set(traced(objects, "__call__")) == {(IMAGES, *pair, MOMENTUM) for pair in flags}
    for _, (_, _, endpoints, _), outputs in objects.traces(objects.function("__call__")):
        features = outputs["default"] if endpoints else outputs
        assert features == "float32 [?, 192]"
    [(_, inputs, outputs)] = objects.traces(objects.function("train"))
    assert (inputs, outputs) == ((IMAGES,), "float32 [?, 192]")


def test_captured(objects):
    """Behind each loss there is one kernel."""
    losses = objects.members("regularization_losses")
    assert [objects.captured(loss.function) for loss in losses] == [
        ["InceptionV1/Conv2d_1a_7x7/weights"],
        ["InceptionV1/Conv2d_2b_1x1/weights"],
        ["InceptionV1/Conv2d_2c_3x3/weights"],
    ]


def test_to_python(objects):
    """Arguments of a function are read as `inspect.getfullargspec` tells them."""
    found = to_python(objects.function("__call__").function_spec.fullargspec)
    assert found["args"] == ["inputs", "training", "return_endpoints", "batch_norm_momentum"]
    assert found["defaults"] == (False, False, 0.99)
    assert found["varargs"] is None
    assert found["annotations"] == {}
